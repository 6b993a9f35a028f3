"""The life of one cluster in this process: reached, recognised, watched, lost and found again, left.

Each cluster lives on its own: whatever happens to one is told as its trouble, and never holds up another. A watch that
goes on at the version it had reached has missed nothing, and one that cannot makes its own gap; only of types that were
never seen before nobody else could say that they went unseen, so that this is done here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from kubeweft.app.collecting import Collector, is_watched
from kubeweft.app.identifying import Identities
from kubeweft.app.pipeline import Pipeline
from kubeweft.kube.clients import ClusterClient, cluster_uid
from kubeweft.kube.collection import Recognise
from kubeweft.kube.discovery import discover
from kubeweft.kube.failures import TOO_MANY_REQUESTS, ApiFailure, Gone, Refused, Unavailable
from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.observations import Gap
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.runtime import clock
from kubeweft.runtime.tasks import supervise
from kubeweft.sources.objects.choosing import Chooser
from kubeweft.sources.objects.shaping import Rules

logger = logging.getLogger(__name__)

Connect = Callable[[], AbstractAsyncContextManager[ClusterClient]]
Collect = Callable[[str, ClusterClient, Plan, Recognise], Collector]
Relink = Callable[[str, str], bool]
NEVER_REACHED = "NotReached"
ATTEMPTS = 3  # to recognise a cluster that is busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a cluster is looked at, in seconds.

    Two looks in a row have to fail before it counts as unreachable: with these numbers, and what it takes to write a
    status, that is known well within half a minute.
    """

    look: float = 5.0
    second_look: float = 1.0
    answer: float = 8.0
    broken_kubeconfig: float = 30.0
    last_checkpoint: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all clusters of a process have in common. ``forget`` is told which cluster has been left."""

    identities: Identities
    pipeline: Pipeline
    install_key: bytes
    collect: Collect
    forget: Callable[[str], Awaitable[None]]
    observer: str
    pace: Pace = Pace()

    def rules_under(self, cluster: str, plan: Plan) -> Rules:
        """The rules that a plan has for a cluster that nobody watches."""
        redactor = Redactor(plan.redaction, self.install_key)
        return Rules(plan=plan, redactor=redactor, chooser=Chooser(cluster, plan))


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a cluster is not watched now; without a ``message`` there is no trouble."""

    reason: Literal["Unreachable", "InvalidKubeconfig", "WrongCluster"] = "Unreachable"
    message: str = ""


NO_TROUBLE = Trouble()


def no_type(_group: str, _resource: str) -> bool:
    """Nothing is linked anew."""
    return False


class Member:
    """One cluster under one name with one credential. ``run`` it; ``use`` another plan at any time."""

    def __init__(self, name: str, *, connect: Connect, plan: Plan, shared: Shared) -> None:
        """``connect`` may raise ``UserError``; ``plan`` is the cluster's own part of the plan."""
        self.name = name
        self.uid = ""
        self.collector: Collector | None = None
        self.client: ClusterClient | None = (
            None  # while it is watched, and so is known to be the one it should be
        )
        self.trouble = NO_TROUBLE
        self.settled = asyncio.Event()  # it has been reached once, or could not be
        self._connect = connect
        self._plan = plan
        self._shared = shared
        self._pace = shared.pace
        self._joined = clock.now()
        self._goes_unseen = False  # it was down when it was joined for the first time
        self._is_new = shared.identities.is_new(name)

    @property
    def plan(self) -> Plan:
        """The plan it is watched by."""
        return self._plan

    def use(self, plan: Plan, *, relink: Relink = no_type) -> None:
        """Work by another plan from now on; objects of the types that ``relink`` names are linked anew."""
        self._plan = plan
        if self.collector is not None:
            self.collector.use(plan, relink=relink)

    async def run(self) -> None:
        """Until cancelled. What fails here is supervised by whoever runs it."""
        try:
            while True:
                try:
                    async with self._connect() as client:
                        await self._live(client)
                except UserError as error:
                    self._suffer(Trouble("InvalidKubeconfig", str(error)))
                    await asyncio.sleep(self._pace.broken_kubeconfig)
        except Exception as error:
            self._suffer(Trouble(message=f"failed with {type(error).__name__}, starting again"))
            raise

    async def _live(self, client: ClusterClient) -> None:
        while True:
            self._suffer(await self._look(client))
            if not self.trouble.message and await self._has_told_what_went_unseen(client):
                await self._trace(client)
            self._goes_unseen = self._is_new
            await asyncio.sleep(self._pace.look)

    async def _trace(self, client: ClusterClient) -> None:
        """Watch it for as long as it is the cluster it was."""
        recognise = partial(self._recognise, client)
        collector = self.collector = self._shared.collect(self.name, client, self._plan, recognise)
        self.client = client
        try:
            async with asyncio.TaskGroup() as group:
                work = [
                    group.create_task(supervise(f"{what} of {self.name}", run))
                    for what, run in (
                        ("watches", collector.watch.run),
                        ("checkpoints", collector.flush_now_and_then),
                    )
                ]
                await self._look_after(client, collector)
                for task in work:
                    task.cancel()
        finally:
            self.collector = self.client = None
            await self._flush_if_possible(collector)

    async def _look_after(self, client: ClusterClient, collector: Collector) -> None:
        """Until it has become another cluster: tell when it cannot be reached, and wake its watches when it can."""
        failures = 0
        while True:
            await asyncio.sleep(self._pace.second_look if failures == 1 else self._pace.look)
            trouble = await self._look(client)
            if trouble.reason == "WrongCluster":
                return self._suffer(trouble)
            failures = failures + 1 if trouble.message else 0
            if failures == 1:
                continue
            if self.trouble.message and not trouble.message:
                collector.watch.poke()
            self._suffer(trouble)

    async def _look(self, client: ClusterClient) -> Trouble:
        """Ask it who it is."""
        try:
            async with asyncio.timeout(self._pace.answer):
                uid = await cluster_uid(client, deadline=self._pace.answer) or ""
        except ApiFailure as failure:
            busy = failure.status == TOO_MANY_REQUESTS and self.collector is not None
            return NO_TROUBLE if busy else Trouble(message=str(failure))
        except TimeoutError:
            return Trouble(message="no answer in time")
        self.uid = uid
        refusal = self._shared.identities.claim(self.name, uid)
        if refusal:
            return Trouble("WrongCluster", refusal)
        try:
            await self._shared.identities.remember(self.name, uid)
        except NotNow as error:
            former = "what is remembered of the cluster that had this name before cannot be forgotten now"
            return Trouble("WrongCluster", f"{former}: {error}")
        return NO_TROUBLE

    async def _recognise(self, client: ClusterClient) -> None:
        """Nothing of another cluster may be taken for the few seconds until the next look."""
        try:
            uid = await self._patiently(lambda: cluster_uid(client)) or ""
        except (Gone, Refused) as failure:  # it would be taken for the answer to what was asked before
            raise Unavailable(str(failure)) from failure
        refusal = self._shared.identities.claim(self.name, uid)
        if refusal:
            raise Unavailable(refusal)

    async def _patiently(self, ask: Callable[[], Awaitable[str | None]]) -> str | None:
        """Again where the API server is busy: whole lists, which have been read already, hang on this."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await ask()
            except Unavailable as failure:
                await asyncio.sleep(
                    min(failure.retry_after or 0.0, self._pace.look) or self._pace.second_look
                )
        return await ask()

    def _suffer(self, trouble: Trouble) -> None:
        if trouble.message != self.trouble.message:
            if trouble.message:
                logger.warning(
                    "cluster: name=%s reason=%s message=%s", self.name, trouble.reason, trouble.message
                )
            else:
                logger.info("cluster: name=%s uid=%s reached", self.name, self.uid or "unknown")
        self.trouble = trouble
        self.settled.set()

    async def _has_told_what_went_unseen(self, client: ClusterClient) -> bool:
        """It was down when it was joined: its types went unseen until now, which is a gap in each."""
        if self._goes_unseen:
            try:
                served = await discover(client, deadline=self._pace.answer)
            except ApiFailure as failure:
                self._suffer(Trouble(message=str(failure)))
                return False
            now = clock.now()
            wanted = [resource for resource in served.types if is_watched(self._plan, resource)]
            await self._shared.pipeline.deliver([self._unseen(resource, until=now) for resource in wanted])
        self._is_new = False
        return True

    def _unseen(self, resource: ResourceType, *, until: int) -> Gap:
        return Gap(
            key=ObjectKey(self.name, resource.group, resource.resource, "", ""),
            observer=self._shared.observer,
            reason=NEVER_REACHED,
            message="the cluster could not be reached since it was joined",
            start=self._joined,
            end=until,
        )

    async def _flush_if_possible(self, collector: Collector) -> None:
        """The last checkpoint, unless the store is full: then the next start begins at the one before, and repeats."""
        try:
            async with asyncio.timeout(self._pace.last_checkpoint):
                await collector.flush()
        except TimeoutError:
            logger.warning(
                "the last checkpoint cannot be written: the next start repeats what came since the one before: "
                "cluster=%s",
                self.name,
            )
