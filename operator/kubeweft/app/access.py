"""Who may see what, by asking Kubernetes: a bearer token is somebody, who may see what they may ``get``.

Each cluster is asked about its own objects, and who the token stands for there: a user name of one cluster means nothing in
another. Rights are asked from the widest to the narrowest (everything, the type, the type in the namespace, the one object),
so that a whole namespace costs one question. Whatever is not answered with yes, in time, is no.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.app.access_memory import Memory, TokenNames
from kubeweft.display.serving.http.failing import Refused
from kubeweft.kube.clients import connect
from kubeweft.kube.failures import ApiFailure
from kubeweft.kube.reviews import WIDTHS, Person, ReadQuestion, Width, may_read, who_is
from kubeweft.model.errors import NotNow
from kubeweft.model.references import ObjectKey

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

LONGEST_TOKEN: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is asked, and how long it is believed. Times are seconds.

    ``reviews`` is how many questions one answer may cost; ``deadline`` holds for all questions that are asked at once.
    """

    keep: float = 10.0
    keep_failure: float = 3.0
    reviews: int = 500
    at_once: int = 16
    deadline: float = 10.0
    entries: int = 50_000


class Gate:
    """Decides for everybody. Lives in one event loop; the viewers that it makes are asked from threads."""

    def __init__(
        self,
        clients: Mapping[str, ApiClient],
        *,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Needs a running event loop. ``clients`` by the names of clusters may change at any time."""
        self.bounds = bounds or Bounds()
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._clients = clients
        self._names = TokenNames()
        self._persons = Memory[Person | None](most=self.bounds.entries, clock=clock)
        self._rights = Memory[bool](most=self.bounds.entries, clock=clock)
        self._slots = asyncio.Semaphore(self.bounds.at_once)
        self._silent: set[str] = set()

    async def viewer_for(self, token: str | None) -> GatedViewer:
        """Whoever the token stands for in at least one cluster.

        Raises ``Refused`` (401) where no cluster accepts it, and ``NotNow`` where that cannot be known.
        """
        if not token:
            raise Refused("who are you? Send a Kubernetes bearer token (Authorization: Bearer …)", status=401)
        if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            raise Refused("that is no Kubernetes bearer token", status=401)
        viewer = GatedViewer(self, token, self._names.of(token))
        if await self._known_somewhere(viewer):
            return viewer
        if self._silent.intersection(self._clients):
            silent = ", ".join(sorted(self._silent.intersection(self._clients)))
            raise NotNow(
                f"nobody can be let in now: the API server of {silent} does not say who you are", delay=1.0
            )
        raise Refused("no cluster accepts this token", status=401)

    async def _known_somewhere(self, viewer: GatedViewer) -> bool:
        """The first yes will do: a cluster that does not answer keeps nobody out of the others."""
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(self.person(viewer, cluster)) for cluster in list(self._clients)]
            for answer in asyncio.as_completed(tasks):
                if await answer is not None:
                    for task in tasks:
                        task.cancel()
                    return True
        return False

    async def person(self, viewer: GatedViewer, cluster: str) -> Person | None:
        """Who the viewer is in a cluster; None for nobody, and where that cannot be known."""
        client = self._clients.get(cluster)
        if client is None:
            return None
        question = (viewer.name, cluster)
        known = self._persons.recall(question)
        if known is not None:
            return known[0]
        try:
            async with asyncio.timeout(self.bounds.deadline), self._slots:
                said = await who_is(client, viewer.token)
        except (ApiFailure, TimeoutError) as failure:
            self._tell_silence(cluster, failure)
            self._persons.keep(question, None, seconds=self.bounds.keep_failure)
            return None
        self._silent.discard(cluster)
        self._persons.keep(question, said, seconds=self.bounds.keep)
        return said

    async def decide(
        self, viewer: GatedViewer, keys: Collection[ObjectKey], *, by_name: bool
    ) -> AbstractSet[ObjectKey]:
        """Those that the viewer may see, as far as that is known in time."""
        widths = WIDTHS if by_name else WIDTHS[:-1]
        by_cluster: dict[str, set[ObjectKey]] = {}
        for key in keys:
            by_cluster.setdefault(key.cluster, set()).add(key)
        decisions = [_Decision(cluster, pending) for cluster, pending in by_cluster.items()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.bounds.deadline), asyncio.TaskGroup() as deciding:
                for decision in decisions:
                    deciding.create_task(self._decide(viewer, decision, widths))
        viewer.undecided += sum(len(decision.pending) for decision in decisions)
        return frozenset(key for decision in decisions for key in decision.allowed)

    async def _decide(self, viewer: GatedViewer, decision: _Decision, widths: Sequence[Width]) -> None:
        person = await self.person(viewer, decision.cluster)
        if person is None:
            decision.pending.clear()
            return
        unanswered: set[ObjectKey] = set()
        for width in widths:
            questions: dict[ReadQuestion, list[ObjectKey]] = {}
            for key in decision.pending:
                question = width(key)
                if question is not None:
                    questions.setdefault(question, []).append(key)
            answers = await self._ask(viewer, person, decision.cluster, questions)
            for question, asked_about in questions.items():
                if question not in answers:
                    unanswered.update(asked_about)
                elif answers[question]:
                    decision.allow(asked_about)
        decision.pending.intersection_update(unanswered)

    async def _ask(
        self, viewer: GatedViewer, person: Person, cluster: str, questions: Iterable[ReadQuestion]
    ) -> dict[ReadQuestion, bool]:
        """The answers, without those that would have been too much."""
        answers: dict[ReadQuestion, bool] = {}
        unknown: list[ReadQuestion] = []
        for question in questions:
            known = self._rights.recall((viewer.name, cluster, question))
            if known is not None:
                answers[question] = known[0]
            elif viewer.spend():
                unknown.append(question)
        async with asyncio.TaskGroup() as asking:
            tasks = {q: asking.create_task(self._review(viewer, person, cluster, q)) for q in unknown}
        return answers | {question: task.result() for question, task in tasks.items()}

    async def _review(
        self, viewer: GatedViewer, person: Person, cluster: str, question: ReadQuestion
    ) -> bool:
        client = self._clients.get(cluster)
        remembered = (viewer.name, cluster, question)
        if client is None:
            return False
        async with self._slots:
            known = self._rights.recall(remembered)
            if known is not None:  # somebody else asked meanwhile
                return known[0]
            try:
                may = await may_read(client, person, question)
            except ApiFailure as failure:
                self._tell_silence(cluster, failure)
                self._rights.keep(remembered, False, seconds=self.bounds.keep_failure)
                return False
        self._silent.discard(cluster)
        self._rights.keep(remembered, may, seconds=self.bounds.keep)
        return may

    def _tell_silence(self, cluster: str, failure: Exception) -> None:
        """Once, until it answers again: everybody is shut out meanwhile, and whoever runs this should know why."""
        if cluster not in self._silent:
            self._silent.add(cluster)
            logger.warning(
                "nothing of cluster %s is shown to anybody, rights cannot be asked: %s", cluster, failure
            )


@dataclass(slots=True)
class _Decision:
    """What is known about objects of one cluster."""

    cluster: str
    pending: set[ObjectKey]
    allowed: set[ObjectKey] = field(default_factory=set)

    def allow(self, keys: Iterable[ObjectKey]) -> None:
        self.allowed.update(keys)
        self.pending.difference_update(keys)


class GatedViewer:
    """One person, for one answer: a :class:`~kubeweft.display.serving.access.Viewer` that is asked from threads."""

    def __init__(self, gate: Gate, token: str, name: bytes) -> None:
        """``name`` stands for the token wherever something is remembered."""
        self._gate = gate
        self._left = gate.bounds.reviews
        self.token = token
        self.name = name
        self.undecided = 0

    def allowed(self, keys: Collection[ObjectKey], *, by_name: bool = True) -> AbstractSet[ObjectKey]:
        """Those of the objects that may be seen; none where that cannot be known in time."""
        return self._in_loop(lambda: self._gate.decide(self, keys, by_name=by_name), frozenset())

    def clusters(self, names: Iterable[str]) -> list[str]:
        """Those of the clusters that know the token."""
        wanted = list(names)

        async def known() -> list[str]:
            return [name for name in wanted if await self._gate.person(self, name) is not None]

        return self._in_loop(known, [])

    def spend(self) -> bool:
        """Take one of the questions that this answer may cost; False where none is left."""
        self._left -= 1
        return self._left >= 0

    def _in_loop(self, work: Callable[[], Coroutine[Any, Any, Result]], nothing: Result) -> Result:
        """What ``work`` gives in the loop of the gate; ``nothing`` where it gives nothing in time."""
        if threading.get_ident() == self._gate.thread:
            raise RuntimeError("a viewer is asked in a thread, never in the event loop that has to answer")
        if self._gate.loop.is_closed():
            return nothing
        future = asyncio.run_coroutine_threadsafe(work(), self._gate.loop)
        try:
            return future.result(timeout=self._gate.bounds.deadline + 1)
        except (TimeoutError, concurrent.futures.CancelledError):
            future.cancel()
            return nothing


@contextlib.asynccontextmanager
async def open_gate(
    *,
    cluster: str,
    kubeconfig: str = "",
    context: str = "",
    others: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[Gate]:
    """A gate that asks the API server of ``cluster``, and of ``others`` by a context each of the same kubeconfig.

    Raises ``UserError`` where a cluster is not configured. Of any other cluster nothing is shown.
    """
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[str, ApiClient] = {}
        for name, chosen in {cluster: context, **(others or {})}.items():
            client = await connect(kubeconfig=kubeconfig, context=chosen)
            stack.push_async_callback(client.close)
            clients[name] = client
        yield Gate(clients, bounds=bounds)
