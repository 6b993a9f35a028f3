"""All watches of a cluster: one for each wanted type, undisturbed by what happens to the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from fake_apiserver import CRDS, DEPLOYMENTS, NODES, PODS, SECRETS, FakeApiServer, answer
from kubeweft.kube.clients import ClusterClient, collection_path
from kubeweft.kube.cluster_watch import ClusterWatch, DiscoveryPace
from kubeweft.kube.discovery import Discovered
from kubeweft.kube.receiving import Receiver
from kubeweft.kube.watch_state import Phase
from kubeweft.model.references import ResourceType
from recording_receiver import RecordingReceiver
from running_reflectors import QUICK, eventually

WIDGETS = ResourceType("example.com", "v1", "widgets", "Widget", True)
PACE = DiscoveryPace(
    settle=0.02,
    second_look=600,
    routine=600,
    while_stale=0.05,
    while_failing=0.05,
    absent=0.05,
    longest_stop=2.0,
)


@dataclass
class Rig:
    """What a test of ``ClusterWatch`` looks at and turns."""

    server: FakeApiServer = field(init=False)
    watch: ClusterWatch = field(init=False)
    unwanted: set[ResourceType] = field(default_factory=set)
    metadata_only: set[ResourceType] = field(default_factory=lambda: {SECRETS})
    receivers: dict[ResourceType, RecordingReceiver] = field(default_factory=dict)
    made: Counter[ResourceType] = field(default_factory=Counter)
    discovered: list[Discovered] = field(default_factory=list)

    def phases(self) -> dict[ResourceType, Phase]:
        """What each watch is doing."""
        return {resource: state.phase for resource, state in self.watch.states().items()}

    async def all_watching(self, *resources: ResourceType) -> None:
        """Wait until exactly these are watched."""
        wanted = dict.fromkeys(resources, Phase.WATCHING)
        await eventually(lambda: self.phases() == wanted)


@pytest.fixture
async def rig(server: FakeApiServer, client: ClusterClient) -> Rig:
    """A watch of the whole fake cluster, not yet running."""

    made = Rig()

    def receiver_for(resource: ResourceType) -> Receiver:
        made.made[resource] += 1
        made.receivers[resource] = RecordingReceiver()
        return made.receivers[resource]

    made.server = server
    made.watch = ClusterWatch(
        client,
        wanted=lambda resource: resource not in made.unwanted,
        receiver_for=receiver_for,
        metadata_only=lambda resource: resource in made.metadata_only,
        on_discovered=made.discovered.append,
        limits=QUICK,
        pace=PACE,
    )
    return made


def stale(rig: Rig) -> list[str]:
    return list(rig.watch.health.stale)


def reachable(rig: Rig) -> bool:
    return rig.watch.health.reachable


@contextlib.asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.watch.run())
        try:
            yield
        finally:
            task.cancel()


async def test_every_wanted_type_is_watched(rig: Rig) -> None:
    rig.unwanted.add(NODES)
    rig.server.create(SECRETS, "s", data={"k": "c2VjcmV0"})
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, DEPLOYMENTS)
        rig.server.create(PODS, "a")
        await rig.receivers[PODS].until(lambda: rig.receivers[PODS].names() == ["a"])
        assert reachable(rig)
        assert rig.watch.health.message == ""
    assert rig.watch.states() == {}
    assert [set(d.types) for d in rig.discovered] == [{PODS, SECRETS, NODES, DEPLOYMENTS}]
    assert not any(b"c2VjcmV0" in body for body in rig.receivers[SECRETS].raw)
    assert not any(asked.path == collection_path(NODES) for asked in rig.server.asked)
    assert {asked.method for asked in rig.server.asked} == {"GET"}


async def test_a_changed_plan_starts_and_stops_watches_only_where_it_differs(rig: Rig) -> None:
    rig.unwanted.add(NODES)
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, DEPLOYMENTS)
        rig.unwanted = {PODS}
        rig.watch.replan()
        await rig.all_watching(SECRETS, DEPLOYMENTS, NODES)
        rig.unwanted = set()
        rig.watch.replan()
        await rig.all_watching(PODS, SECRETS, DEPLOYMENTS, NODES)
    assert rig.made == {PODS: 2, SECRETS: 1, DEPLOYMENTS: 1, NODES: 1}
    assert sum(asked.path == "/api" for asked in rig.server.asked) == 1


async def test_a_plan_that_asks_for_more_of_a_type_restarts_its_watch(rig: Rig) -> None:
    rig.server.create(SECRETS, "s", data={"k": "c2VjcmV0"})
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
        assert not any(b"c2VjcmV0" in body for body in rig.receivers[SECRETS].raw)
        rig.metadata_only.clear()
        rig.watch.replan()
        await eventually(lambda: any(b"c2VjcmV0" in body for body in rig.receivers[SECRETS].raw))
    assert rig.made == {PODS: 1, SECRETS: 2, NODES: 1, DEPLOYMENTS: 1}


async def test_types_come_and_go_with_their_definitions(rig: Rig) -> None:
    rig.server.serve(CRDS)
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS, CRDS)
        for _ in range(3):
            rig.server.serve(WIDGETS)
            rig.server.create(CRDS, "widgets.example.com")
            await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS, CRDS, WIDGETS)
            rig.server.create(WIDGETS, "w")
            await rig.receivers[WIDGETS].until(lambda: rig.receivers[WIDGETS].names() == ["w"])
            rig.server.unserve(WIDGETS)
            rig.server.delete(CRDS, "widgets.example.com")
            await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS, CRDS)
    assert rig.made[PODS] == 1
    assert rig.watch.health.crashes == 0
    assert "MODIFIED" not in {kind for kind, _, _ in rig.receivers[CRDS].lines}
    assert len(rig.receivers[CRDS].lines) == 6


async def test_definitions_are_watched_even_if_they_are_not_wanted(rig: Rig) -> None:
    rig.server.serve(CRDS)
    rig.unwanted.add(CRDS)
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS, CRDS)
        rig.server.serve(WIDGETS)
        rig.server.create(CRDS, "widgets.example.com")
        await eventually(lambda: rig.phases().get(WIDGETS) is Phase.WATCHING)
        assert CRDS not in rig.receivers
        rig.unwanted.clear()
        rig.watch.replan()
        await eventually(lambda: CRDS in rig.receivers and rig.receivers[CRDS].names())
    accepts = [asked.accept for asked in rig.server.asked if asked.path == collection_path(CRDS)]
    assert "PartialObjectMetadata" in accepts[0]
    assert accepts[-1] == "application/json"


async def test_another_preferred_version_replaces_the_watch(rig: Rig) -> None:
    rig.server.serve(WIDGETS)
    newer = WIDGETS._replace(version="v2")
    async with running(rig):
        await eventually(lambda: rig.phases().get(WIDGETS) is Phase.WATCHING)
        rig.server.unserve(WIDGETS)
        rig.server.serve(newer)
        rig.watch.rediscover()
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS, newer)
    assert rig.made[newer] == 1


async def test_a_crashing_receiver_is_started_again_and_disturbs_nobody(rig: Rig) -> None:
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
        rig.receivers[PODS].refuse = [ValueError("a bug")]
        rig.server.create(PODS, "a")
        await eventually(lambda: rig.made[PODS] == 2)
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
        assert rig.receivers[PODS].names() == ["a"]
        assert rig.watch.health.crashes == 1
    assert rig.made == {PODS: 2, SECRETS: 1, NODES: 1, DEPLOYMENTS: 1}


async def test_a_dead_api_is_stale_and_everything_else_goes_on(rig: Rig) -> None:
    rig.server.serve(WIDGETS)
    rig.server.stale.add("example.com")
    rig.server.script(f"{collection_path(WIDGETS)}*", answer(503, "no backend"), times=10_000)
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
        assert stale(rig) == ["example.com/v1"]
        rig.server.stale.clear()  # asked again by itself, soon
        await eventually(lambda: rig.phases().get(WIDGETS) is Phase.BACKING_OFF)
        assert stale(rig) == []
        rig.server.stale.add("example.com")
        rig.watch.rediscover()
        await eventually(lambda: stale(rig))
        assert rig.phases()[WIDGETS] is Phase.BACKING_OFF
        assert rig.phases()[PODS] is Phase.WATCHING
    assert rig.made[PODS] == 1


async def test_a_forbidden_type_disturbs_nobody_and_is_poked(rig: Rig) -> None:
    rig.server.forbidden.add(collection_path(NODES))
    async with running(rig):
        await eventually(lambda: rig.phases().get(NODES) is Phase.FORBIDDEN)
        await eventually(lambda: rig.phases()[PODS] is Phase.WATCHING)
        rig.server.forbidden.clear()
        rig.watch.poke()
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)


async def test_an_unreachable_cluster_is_asked_until_it_answers(rig: Rig) -> None:
    rig.server.script("/api*", answer(503, "starting"), times=4)
    async with running(rig):
        await eventually(lambda: rig.watch.health.message == "starting (HTTP 503)")
        assert not reachable(rig)
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
        assert reachable(rig)
        rig.server.script("/api*", answer(503, "down again"), times=2)
        rig.watch.rediscover()
        await eventually(lambda: not reachable(rig))
        assert set(rig.phases().values()) == {Phase.WATCHING}
        await eventually(lambda: reachable(rig))
    assert rig.made[PODS] == 1


async def test_a_type_that_is_discovered_but_not_served_is_tried_slower_and_slower(rig: Rig) -> None:
    rig.server.script(f"{collection_path(NODES)}*", answer(404), times=3)
    began = time.monotonic()
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
    assert time.monotonic() - began >= PACE.absent * (2 + 4 + 8)
    assert rig.made[NODES] == 4
    assert rig.watch.health.crashes == 0


async def test_at_most_eight_lists_run_at_once(rig: Rig) -> None:
    for number in range(20):
        rig.server.serve(ResourceType("many.example.com", "v1", f"things{number}", f"Thing{number}", True))
    rig.server.hold_lists = asyncio.Event()
    async with running(rig):
        await eventually(lambda: rig.server.open_lists == 8)
        await eventually(lambda: len(rig.watch.states()) == 24)
        rig.server.hold_lists.set()
        await eventually(lambda: set(rig.phases().values()) == {Phase.WATCHING})
    assert rig.server.most_open_lists == 8


async def test_many_calls_make_one_discovery_and_any_thread_may_call(rig: Rig) -> None:
    rig.watch.rediscover()
    async with running(rig):
        await rig.all_watching(PODS, SECRETS, NODES, DEPLOYMENTS)
        asked = sum(a.path == "/api" for a in rig.server.asked)
        rig.server.serve(WIDGETS)

        def call_often() -> None:
            for _ in range(50):
                rig.watch.rediscover()

        thread = threading.Thread(target=call_often)
        thread.start()
        await eventually(lambda: rig.phases().get(WIDGETS) is Phase.WATCHING)
        thread.join()
        await eventually(lambda: sum(a.path == "/api" for a in rig.server.asked) > asked)
        assert sum(a.path == "/api" for a in rig.server.asked) <= asked + 2
        asked = sum(a.path == "/api" for a in rig.server.asked)
        rig.watch.rediscover()
        await eventually(lambda: sum(a.path == "/api" for a in rig.server.asked) > asked)
    assert [WIDGETS in found.types for found in rig.discovered] == [False, True]


async def test_a_definition_that_is_served_late_is_found_by_a_second_look(
    server: FakeApiServer, client: ClusterClient
) -> None:
    server.serve(CRDS)
    watch = ClusterWatch(
        client,
        wanted=lambda _: True,
        receiver_for=lambda _: RecordingReceiver(),
        limits=QUICK,
        pace=replace(PACE, second_look=0.3),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await eventually(lambda: len(watch.states()) == 5)
        roots = sum(asked.path == "/apis" for asked in server.asked)
        server.create(CRDS, "widgets.example.com")
        await eventually(lambda: sum(asked.path == "/apis" for asked in server.asked) > roots)
        server.serve(WIDGETS)
        await eventually(lambda: WIDGETS in watch.states())
        task.cancel()


async def test_routine_discovery_finds_what_nobody_announced(
    server: FakeApiServer, client: ClusterClient
) -> None:
    watch = ClusterWatch(
        client,
        wanted=lambda _: True,
        receiver_for=lambda _: RecordingReceiver(),
        limits=QUICK,
        pace=replace(PACE, routine=0.05),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await eventually(lambda: len(watch.states()) == 4)
        server.serve(WIDGETS)
        await eventually(lambda: WIDGETS in watch.states())
        task.cancel()
