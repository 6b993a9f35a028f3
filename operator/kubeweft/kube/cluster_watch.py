"""Watches everything that is wanted of one cluster: one supervised reflector for each type, for as long as it is served.

Types come and go (CRDs, aggregated APIs, other policies); what is not affected goes on undisturbed. A reflector that
crashes is reported, counted and started again, and never takes another with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.kube.collection import Recognise, whoever_answers
from kubeweft.kube.definitions import DefinitionReceiver, defines_types
from kubeweft.kube.discovery import NOTHING, Discovered, discover
from kubeweft.kube.failures import ApiFailure
from kubeweft.kube.pacing import Limits
from kubeweft.kube.receiving import Receiver
from kubeweft.kube.reflector import DEFAULT_LIMITS, Reflector
from kubeweft.kube.watch_state import ReflectorState
from kubeweft.model.references import ResourceType
from kubeweft.runtime import clock
from kubeweft.runtime.tasks import supervise

logger = logging.getLogger(__name__)

LISTS_AT_ONCE = 8
NOT_ASKED_YET = "not asked yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryPace:
    """When discovery is asked again, in seconds.

    ``settle`` gathers the many changes of one installation; ``second_look`` follows because an API server tells of a
    new definition before it serves it.
    """

    settle: float = 1.0
    second_look: float = 5.0
    routine: float = 600.0
    while_stale: float = 30.0
    while_failing: float = 5.0
    absent: float = 2.0
    longest_absence: float = 60.0
    longest_stop: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealth:
    """How the cluster as a whole is doing; ``since`` is when ``reachable`` last changed (nanoseconds)."""

    reachable: bool
    message: str
    since: int
    stale: tuple[str, ...]
    crashes: int


class _Mode(NamedTuple):
    wanted: bool  # else it is there only because it defines other types
    metadata_only: bool


class _Watch(NamedTuple):
    task: asyncio.Task[None]
    mode: _Mode


DEFAULT_PACE = DiscoveryPace()


def is_secret(resource: ResourceType) -> bool:
    """Types of which only metadata is asked for."""
    return (resource.group, resource.resource) == ("", "secrets")


class ClusterWatch:
    """All watches of one cluster. ``rediscover``, ``replan`` and ``poke`` may be called from any thread."""

    def __init__(
        self,
        client: ApiClient,
        *,
        wanted: Callable[[ResourceType], bool],
        receiver_for: Callable[[ResourceType], Receiver],
        on_discovered: Callable[[Discovered], None] = lambda _: None,
        metadata_only: Callable[[ResourceType], bool] = is_secret,
        recognise: Recognise = whoever_answers,
        limits: Limits = DEFAULT_LIMITS,
        pace: DiscoveryPace = DEFAULT_PACE,
    ) -> None:
        """``receiver_for`` is called for each start of a watch; ``on_discovered`` whenever types have changed."""
        self._client = client
        self._wanted = wanted
        self._receiver_for = receiver_for
        self._on_discovered = on_discovered
        self._metadata_only = metadata_only
        self._recognise = recognise
        self._limits = limits
        self._pace = pace
        self._slots = asyncio.Semaphore(LISTS_AT_ONCE)
        self._watches: dict[ResourceType, _Watch] = {}
        self._reflectors: dict[ResourceType, Reflector] = {}
        self._discovered = NOTHING
        self._unreachable = NOT_ASKED_YET
        self._reachable_since = clock.now()
        self._crashes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._discovery_due = True
        self._look_again = False

    @property
    def discovered(self) -> Discovered:
        """What the cluster serves, as last seen."""
        return self._discovered

    @property
    def health(self) -> ClusterHealth:
        """Whether the cluster answers at all."""
        return ClusterHealth(
            reachable=not self._unreachable,
            message=self._unreachable,
            since=self._reachable_since,
            stale=self._discovered.stale,
            crashes=self._crashes,
        )

    def states(self) -> Mapping[ResourceType, ReflectorState]:
        """How each watch is doing."""
        return {resource: reflector.state for resource, reflector in self._reflectors.items()}

    def rediscover(self) -> None:
        """Types may have come or gone: ask again soon."""
        self._in_loop(self._mark_discovery)

    def replan(self) -> None:
        """``wanted`` and ``metadata_only`` may answer differently now: start and stop watches accordingly."""
        self._in_loop(self._woken.set)

    def poke(self) -> None:
        """Permissions or the network may be better now: no watch waits any longer."""
        self._in_loop(self._poke_all)

    async def run(self) -> None:
        """Watch until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._woken.clear()
                    if self._discovery_due:
                        await self._discover()
                    await self._start_and_stop(group)
                    await self._wait()
        finally:
            self._watches.clear()
            self._reflectors.clear()

    # ------------------------------------------------------------------------------------------------ discovery

    async def _discover(self) -> None:
        self._discovery_due = False
        before = self._discovered
        try:
            self._discovered = await discover(self._client, previous=before)
        except ApiFailure as failure:
            self._report(str(failure), stale_before=before.stale)
            return
        self._report("", stale_before=before.stale)
        if self._discovered != before:
            self._on_discovered(self._discovered)

    def _report(self, unreachable: str, *, stale_before: tuple[str, ...]) -> None:
        stale = self._discovered.stale
        changed = bool(unreachable) != bool(self._unreachable)
        if changed:
            self._reachable_since = clock.now()
        self._unreachable = unreachable
        if changed or stale != stale_before:
            logger.info(
                "cluster: reachable=%s stale=%s message=%s", not unreachable, ",".join(stale), unreachable
            )

    async def _wait(self) -> None:
        """Until something has changed or discovery is due."""
        pace = self._pace
        waits = [pace.routine]
        waits += [pace.while_failing] if self._unreachable else []
        waits += [pace.while_stale] if self._discovered.stale else []
        waits += [pace.second_look] if self._look_again else []
        try:
            async with asyncio.timeout(min(waits)):
                await self._woken.wait()
        except TimeoutError:
            self._discovery_due, self._look_again = True, False
        else:
            if self._discovery_due:
                self._look_again = True
                await asyncio.sleep(self._pace.settle)

    # -------------------------------------------------------------------------------------------------- watches

    async def _start_and_stop(self, group: asyncio.TaskGroup) -> None:
        desired = {t: self._mode_of(t) for t in self._discovered.types}
        desired = {t: mode for t, mode in desired.items() if mode.wanted or defines_types(t)}
        await self._stop([t for t, watch in self._watches.items() if desired.get(t) != watch.mode])
        busy = {(t.group, t.resource) for t in self._watches}
        for resource, mode in desired.items():
            if (resource.group, resource.resource) not in busy:
                task = group.create_task(self._keep(resource, mode), name=f"watch {resource}")
                self._watches[resource] = _Watch(task, mode)

    def _mode_of(self, resource: ResourceType) -> _Mode:
        wanted = self._wanted(resource)
        return _Mode(wanted, not wanted or self._metadata_only(resource))

    async def _stop(self, leaving: list[ResourceType]) -> None:
        if not leaving:
            return
        tasks = [self._watches[resource].task for resource in leaving]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=self._pace.longest_stop)
        for resource, task in zip(leaving, tasks, strict=True):
            if task.done():
                del self._watches[resource]
                self._reflectors.pop(resource, None)
            else:  # never two watches of one type: the next round tries again
                logger.error("a watch does not stop: resource=%s", resource)
                self._mark_discovery()

    async def _keep(self, resource: ResourceType, mode: _Mode) -> None:
        async def attempt() -> None:
            try:
                await self._watch(resource, mode)
            except Exception:
                self._crashes += 1
                raise

        await supervise(f"watch {resource}", attempt)

    async def _watch(self, resource: ResourceType, mode: _Mode) -> None:
        """One watch after another. Each ends when the type is not served: discovery then ends this task, or not."""
        absences = 0
        while True:
            reflector = Reflector(
                self._client,
                resource,
                self._make_receiver(resource, mode),
                list_slots=self._slots,
                metadata_only=mode.metadata_only,
                on_recovery=self._server_is_back,
                recognise=self._recognise,
                limits=self._limits,
            )
            self._reflectors[resource] = reflector
            await reflector.run()
            self.rediscover()
            absences = 0 if reflector.state.version else absences + 1
            await asyncio.sleep(min(self._pace.absent * 2**absences, self._pace.longest_absence))

    def _make_receiver(self, resource: ResourceType, mode: _Mode) -> Receiver:
        if not defines_types(resource):
            return self._receiver_for(resource)
        return DefinitionReceiver(self.rediscover, self._receiver_for(resource) if mode.wanted else None)

    # --------------------------------------------------------------------------------------------------- waking

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            call()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is left to wake
            self._loop.call_soon_threadsafe(call)

    def _mark_discovery(self) -> None:
        self._discovery_due = True
        self._woken.set()

    def _server_is_back(self) -> None:
        """After an outage the luckiest of many random waits ends all the others."""
        for reflector in self._reflectors.values():
            reflector.server_is_back()
        if self._unreachable:
            self._mark_discovery()

    def _poke_all(self) -> None:
        for reflector in self._reflectors.values():
            reflector.poke()
