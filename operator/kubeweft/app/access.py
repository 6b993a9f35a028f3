"""Who may see what, by asking Kubernetes: a bearer token is somebody, who may see what they may ``get``.

A token is sent to the home cluster only, since whoever gets one can use it. Another cluster is asked about the person by
name and groups, and only where whoever runs this says that it knows the same people; of any other nothing is shown.
Rights are asked from the widest to the narrowest (everything, the type, the type in the namespace, the one object), so that
a whole namespace costs one question. Whatever is not answered with yes, in time, is no.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.app.access_bounds import Bounds
from kubeweft.app.access_memory import Memory, TokenNames
from kubeweft.app.access_persons import Caller, Persons, Silence, Silent
from kubeweft.display.serving.http.failing import Refused
from kubeweft.kube.clients import connect
from kubeweft.kube.failures import ApiFailure
from kubeweft.kube.reviews import WIDTHS, Person, ReadQuestion, Width, may_read
from kubeweft.model.errors import NotNow
from kubeweft.model.references import ObjectKey

Result = TypeVar("Result")
Item = TypeVar("Item")

LONGEST_TOKEN: Final = 16 * 1024
AT_A_STRETCH: Final = 100


class Gate:
    """Decides for everybody. Lives in one event loop; the viewers that it makes are asked from threads."""

    def __init__(
        self,
        client: ApiClient,
        *,
        cluster: str,
        others: Mapping[str, ApiClient] | None = None,
        shared: Collection[str] = (),
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Needs a running event loop. ``client`` is that of the home cluster, which alone gets tokens.

        ``shared`` are clusters that know the same people by the same names, as whoever runs this says; they are asked by
        their clients in ``others``, which may change at any time. Of any other cluster nothing is shown.
        """
        self.bounds = bounds or Bounds()
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._home, self._client = cluster, client
        self._others = {} if others is None else others
        self._shared = frozenset(shared) - {cluster}
        self._names = TokenNames()
        self._callers = weakref.WeakValueDictionary[bytes, Caller]()
        self._silence = Silence()
        self._persons = Persons(
            client, cluster=cluster, silence=self._silence, bounds=self.bounds, clock=clock
        )
        self._rights = Memory[bool](most=self.bounds.entries, clock=clock)
        self._slots = asyncio.Semaphore(self.bounds.at_once)

    async def viewer_for(self, token: str | None) -> GatedViewer:
        """Whoever the token stands for in the home cluster.

        Raises ``Refused`` (401) where it does not accept it, and ``NotNow`` where that cannot be known.
        """
        if not token:
            raise Refused("who are you? Send a Kubernetes bearer token (Authorization: Bearer …)", status=401)
        if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            raise Refused("that is no Kubernetes bearer token", status=401)
        name = self._names.of(token)
        caller = self._callers.get(name)
        if caller is None:
            self._callers[name] = caller = Caller(token, name, self.bounds)
        if await self._persons.whose(caller) is None:
            raise Refused(f"the cluster {self._home} does not accept this token", status=401)
        return GatedViewer(self, caller)

    async def decide(
        self, viewer: GatedViewer, pending: Mapping[str, set[ObjectKey]], *, by_name: bool
    ) -> list[set[ObjectKey]]:
        """Those that the viewer may see, as far as that is known in time; ``pending`` by the names of their clusters."""
        widths = WIDTHS if by_name else WIDTHS[:-1]
        decisions = [_Decision(cluster, keys) for cluster, keys in pending.items()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.bounds.deadline), asyncio.TaskGroup() as deciding:
                for decision in decisions:
                    deciding.create_task(self._decide(viewer, decision, widths))
        viewer.undecided += sum(len(decision.pending) for decision in decisions)
        return [decision.allowed for decision in decisions]

    async def known_in(self, viewer: GatedViewer, clusters: Iterable[str]) -> list[str]:
        """Those of the clusters in which the viewer is somebody."""
        try:
            return [name for name in clusters if await self._known_in(viewer, name) is not None]
        except NotNow:
            return []

    async def _known_in(self, viewer: GatedViewer, cluster: str) -> _Known | None:
        """Whom to ask about there, and by what; None where nothing of the cluster is shown."""
        client = self._client if cluster == self._home else self._others.get(cluster)
        if client is None or (cluster != self._home and cluster not in self._shared):
            return None
        person = await self._persons.whose(viewer.caller)
        if person is not None and cluster != self._home:
            person = person.elsewhere()
        return None if person is None else _Known(client, person)

    async def _decide(self, viewer: GatedViewer, decision: _Decision, widths: Sequence[Width]) -> None:
        try:
            known = await self._known_in(viewer, decision.cluster)
        except Silent:
            known = None
        except NotNow:  # too many ask: nobody has said no
            return
        if known is None:
            decision.pending.clear()
            return
        unanswered: set[ObjectKey] = set()
        for width in widths:
            questions: dict[ReadQuestion, list[ObjectKey]] = {}
            async for key in _gently(decision.pending):
                question = width(key)
                if question is not None:
                    questions.setdefault(question, []).append(key)
            answers = await self._ask(viewer, known, decision.cluster, questions)
            async for question in _gently(questions):
                if question not in answers:
                    unanswered.update(questions[question])
                elif answers[question]:
                    decision.allow(questions[question])
        decision.pending.intersection_update(unanswered)

    async def _ask(
        self, viewer: GatedViewer, known: _Known, cluster: str, questions: Iterable[ReadQuestion]
    ) -> dict[ReadQuestion, bool]:
        """The answers, without those that would have been too much."""
        answers: dict[ReadQuestion, bool] = {}
        unknown: list[ReadQuestion] = []
        async for question in _gently(questions):
            said = self._rights.recall((viewer.caller.name, cluster, question))
            if said is not None:
                answers[question] = said[0]
            elif viewer.spend():
                unknown.append(question)
        async with asyncio.TaskGroup() as asking:
            tasks = {q: asking.create_task(self._review(viewer.caller, known, cluster, q)) for q in unknown}
        return answers | {question: task.result() for question, task in tasks.items()}

    async def _review(self, caller: Caller, known: _Known, cluster: str, question: ReadQuestion) -> bool:
        remembered = (caller.name, cluster, question)
        async with caller.slots, self._slots:
            said = self._rights.recall(remembered)
            if said is not None:  # somebody else asked meanwhile
                return said[0]
            try:
                may = await may_read(known.client, known.person, question)
            except ApiFailure as failure:
                self._silence.tell(cluster, failure)
                self._rights.keep(remembered, False, seconds=self.bounds.keep_failure)
                return False
        self._silence.end(cluster)
        self._rights.keep(remembered, may, seconds=self.bounds.keep)
        return may


async def _gently(items: Iterable[Item]) -> AsyncIterator[Item]:
    """All of them, with others let at the event loop now and then: it is that of everything this process takes in."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % AT_A_STRETCH == 0:
            await asyncio.sleep(0)


class _Known(NamedTuple):
    """Somebody in one cluster, and by what that one is asked about them."""

    client: ApiClient
    person: Person


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

    def __init__(self, gate: Gate, caller: Caller) -> None:
        """``caller`` is whom the gate knows by their token."""
        self._gate = gate
        self._left = gate.bounds.reviews
        self.caller = caller
        self.undecided = 0

    def allowed(self, keys: Collection[ObjectKey], *, by_name: bool = True) -> AbstractSet[ObjectKey]:
        """Those of the objects that may be seen; none where that cannot be known in time."""
        pending: dict[str, set[ObjectKey]] = {}
        for key in keys:
            pending.setdefault(key.cluster, set()).add(key)
        nothing: list[set[ObjectKey]] = []
        return frozenset[ObjectKey]().union(
            *self._in_loop(lambda: self._gate.decide(self, pending, by_name=by_name), nothing)
        )

    def clusters(self, names: Iterable[str]) -> list[str]:
        """Those of the clusters in which the viewer is somebody."""
        wanted = list(names)
        nowhere: list[str] = []
        return self._in_loop(lambda: self._gate.known_in(self, wanted), nowhere)

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
    shared: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[Gate]:
    """A gate at the home ``cluster``, which also asks clusters of the same people, by a context each of the same kubeconfig.

    Raises ``UserError`` where a cluster is not configured. Of any other cluster nothing is shown.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def client_of(chosen: str) -> ApiClient:
            client = await connect(kubeconfig=kubeconfig, context=chosen)
            stack.push_async_callback(client.close)
            return client

        home = await client_of(context)
        others = {name: await client_of(chosen) for name, chosen in (shared or {}).items()}
        yield Gate(home, cluster=cluster, others=others, shared=others, bounds=bounds)
