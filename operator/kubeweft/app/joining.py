"""The clusters of the plan: the local one, and those that policies join. They come and go while everything runs.

A cluster is joined anew when its kubeconfig has changed: the old connection ends, what it had seen is written, and the
new one goes on from there. The store knows a cluster by its name alone, so that nothing is lost in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from kubeweft.app.membership import Connect, Member, Relink, Shared, no_type
from kubeweft.kube.clients import ClusterClient, connect_with
from kubeweft.model.plan import JoinedCluster, Plan
from kubeweft.runtime.tasks import supervise
from kubeweft.sources.objects.shaping import Rules

logger = logging.getLogger(__name__)

LONGEST_STOP = 30.0  # seconds
LOCAL_FIRST = 10.0  # seconds that joined clusters wait for the local one, whose name counts for more


class _Joined(NamedTuple):
    """A member that runs, and what it was joined by (nothing: it is the local one)."""

    member: Member
    task: asyncio.Task[None]
    credential: tuple[bytes, str] | None


class ClusterSet:
    """Runs one :class:`~kubeweft.app.membership.Member` for each cluster of the plan."""

    def __init__(self, local: str, *, connect: Connect, plan: Plan, shared: Shared) -> None:
        """``connect`` connects to the cluster of the name ``local``. Nothing is started yet."""
        self._shared = shared
        self._plan = plan
        self._news = asyncio.Event()
        self._joined: dict[str, _Joined] = {}
        self._rules: dict[str, Rules] = {}  # of clusters that nobody watches now
        shared.identities.expect(local)
        self.local = Member(local, connect=connect, plan=plan.of_cluster(local), shared=shared)

    @property
    def plan(self) -> Plan:
        """The plan that all clusters work by."""
        return self._plan

    def members(self) -> Mapping[str, Member]:
        """All clusters by name, the local one first."""
        return {self.local.name: self.local} | {name: joined.member for name, joined in self._joined.items()}

    @property
    def clients(self) -> Mapping[str, ClusterClient]:
        """The clients of clusters that are watched at the moment at which somebody looks, by name."""
        return ConnectedClients(self.members)

    def rules_of(self, cluster: str) -> Rules:
        """The rules in force for a cluster: those its watches work by, or the plan's where nobody watches it."""
        member = self.members().get(cluster)
        if member is not None and member.collector is not None:
            return member.collector.rules
        if cluster not in self._rules:
            self._rules[cluster] = self._shared.rules_under(cluster, self._plan.of_cluster(cluster))
        return self._rules[cluster]

    def use(self, plan: Plan, *, relink: Relink = no_type) -> None:
        """Work by another plan from now on: join and leave, and let the others go on by it."""
        self._plan = plan
        self._rules.clear()
        for name, member in self.members().items():
            member.use(plan.of_cluster(name), relink=relink)
        self._news.set()

    def relink(self, concerns: Relink) -> None:
        """Objects of these types are linked anew, in all clusters."""
        for member in self.members().values():
            if member.collector is not None:
                member.collector.relink(concerns)

    @property
    def know_objects(self) -> bool:
        """Whether all that can be reached have told all of their objects under the plan in force."""
        return all(
            member.settled.is_set() and (member.collector is None or member.collector.knows_objects)
            for member in self.members().values()
        )

    def rediscover(self) -> None:
        """Types may have come to the local cluster or gone: ask again soon."""
        if self.local.collector is not None:
            self.local.collector.watch.rediscover()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._start(group, self.local)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOCAL_FIRST):
                    await self.local.settled.wait()
            while True:
                self._news.clear()
                await self._leave()
                self._join(group)
                await self._news.wait()

    def _start(self, group: asyncio.TaskGroup, member: Member) -> asyncio.Task[None]:
        name = f"cluster {member.name}"
        return group.create_task(supervise(name, member.run), name=name)

    def _wanted(self) -> dict[str, JoinedCluster]:
        return {joined.name: joined for joined in self._plan.clusters if joined.name != self.local.name}

    def _join(self, group: asyncio.TaskGroup) -> None:
        new = [joined for name, joined in self._wanted().items() if name not in self._joined]
        for joined in new:  # all are expected before the first is asked who it is
            self._shared.identities.expect(joined.name)
        for joined in new:
            logger.info("joining a cluster: name=%s", joined.name)
            plan = self._plan.of_cluster(joined.name)
            member = Member(joined.name, connect=_connect_to(joined), plan=plan, shared=self._shared)
            self._joined[joined.name] = _Joined(member, self._start(group, member), _credential(joined))

    async def _leave(self) -> None:
        leaving = dict(self._leaving())
        if not leaving:
            return
        for name, joined in leaving.items():
            logger.info("leaving a cluster: name=%s", name)
            joined.task.cancel()
        await asyncio.wait([joined.task for joined in leaving.values()], timeout=LONGEST_STOP)
        for name, joined in leaving.items():
            if joined.task.done():
                del self._joined[name]
                self._shared.identities.forget(name)
                await self._forget(name)
            else:  # never two under one name: the next round tries again
                logger.error("a cluster cannot be left: name=%s", name)
                self._news.set()

    async def _forget(self, name: str) -> None:
        """A cluster was left for good. One that is joined again at once keeps what is known of its objects."""
        if name in self._wanted():
            return
        try:
            await self._shared.forget(name)
        except Exception:  # the other clusters must not be left because of this one
            logger.exception("what was known of a cluster cannot be forgotten: name=%s", name)

    def _leaving(self) -> Iterator[tuple[str, _Joined]]:
        """Those that are not wanted any more or not so, and those whose tasks have ended with an earlier run."""
        wanted = self._wanted()
        for name, joined in self._joined.items():
            if joined.task.done() or name not in wanted or _credential(wanted[name]) != joined.credential:
                yield name, joined


class HasClient(Protocol):
    """A cluster that may be connected."""

    @property
    def client(self) -> ClusterClient | None:
        """How to ask it; None while it is not known to be the cluster it should be."""


class ConnectedClients(Mapping[str, ClusterClient]):
    """Clusters come and go while somebody holds this: it always tells those of now."""

    def __init__(self, members: Callable[[], Mapping[str, HasClient]]) -> None:
        """``members`` gives all clusters by name, connected or not."""
        self._members = members

    def __getitem__(self, name: str) -> ClusterClient:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> dict[str, ClusterClient]:
        return {name: member.client for name, member in self._members().items() if member.client is not None}


def _credential(joined: JoinedCluster) -> tuple[bytes, str]:
    return joined.kubeconfig, joined.context


def _connect_to(joined: JoinedCluster) -> Connect:
    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator[ClusterClient]:
        client = await connect_with(joined.kubeconfig, context=joined.context)
        try:
            yield client
        finally:
            await client.close()

    return connected
