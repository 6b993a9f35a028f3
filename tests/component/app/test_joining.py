"""Several clusters in one process: joined, left, lost and found, while the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from audit_log import stored
from fake_apiserver import DEPLOYMENTS, PODS, FakeApiServer, raw
from kubeweft.app.collecting import Collector, Place
from kubeweft.app.identifying import Identities
from kubeweft.app.joining import ClusterSet
from kubeweft.app.membership import Pace, Shared
from kubeweft.app.pipeline import Pipeline
from kubeweft.kube.clients import ClusterClient
from kubeweft.kube.collection import Recognise
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import JoinedCluster, Plan, Scope
from kubeweft.model.references import ResourceType
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.runtime import clock
from kubeweft.runtime.tasks import supervise
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver
from running_reflectors import eventually
from tcp_gate import TcpGate

QUICK = Pace(look=0.05, second_look=0.02, answer=2.0, broken_kubeconfig=0.1, last_checkpoint=3.0)
IDENTITY = "/api/v1/namespaces/kube-system"
EVERYTHING = (Scope(policy="p"),)


@contextlib.asynccontextmanager
async def cluster(uid: str = "") -> AsyncIterator[FakeApiServer]:
    """A small cluster; without a UID, nobody may know which."""
    async with FakeApiServer([PODS, DEPLOYMENTS]) as server:
        if uid:
            be(server, uid)
        yield server


def be(server: FakeApiServer, uid: str) -> None:
    """From now on (for the rest of a test) this is the cluster of this UID."""
    server.unscript(IDENTITY)
    server.script(IDENTITY, raw(json.dumps({"metadata": {"uid": uid}}).encode()), times=5_000)


def port_of(server: FakeApiServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def joined(name: str, port: int, *, token: str = "t") -> JoinedCluster:
    """A cluster as a policy joins it."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return JoinedCluster(name=name, kubeconfig=yaml.safe_dump(content).encode())


class Process:
    """A set of clusters that runs, and the store behind it."""

    def __init__(
        self,
        file: Path,
        store: SqliteStore,
        writer: Writer,
        home: FakeApiServer,
        *,
        identities: Identities | None = None,
        forget: Callable[[str], Awaitable[None]] | None = None,
        pace: Pace = QUICK,
    ) -> None:
        self.file = file
        self.store = store
        kinds = Kinds()
        pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=kinds), writer)

        def collect(name: str, client: ClusterClient, plan: Plan, recognise: Recognise) -> Collector:
            return Collector(
                client,
                place=Place(cluster=name, observer="test", window_length=DEFAULT_WINDOW),
                memory=store,
                pipeline=pipeline,
                kinds=kinds,
                install_key=store.install_key,
                plan=plan,
                recognise=recognise,
            )

        self.left: list[str] = []

        async def remember_left(name: str) -> None:
            self.left.append(name)

        self.clusters = ClusterSet(
            "home",
            connect=home.client,
            plan=Plan(scopes=EVERYTHING),
            shared=Shared(
                identities=identities or Identities(store, local="home", write=writer.write),
                pipeline=pipeline,
                install_key=store.install_key,
                collect=collect,
                forget=forget or remember_left,
                observer="test",
                pace=pace,
            ),
        )

    def use(self, *clusters: JoinedCluster) -> None:
        """These are joined from now on."""
        self.clusters.use(replace(self.clusters.plan, clusters=clusters))

    def spans(self, source: str = "change", cluster: str = "") -> list[Span]:
        """What is stored, all clusters together unless one is named."""
        found = stored(self.file).values()
        return [s for s in found if s.source == source and (not cluster or s.key.cluster == cluster)]

    def names(self, cluster: str) -> set[str]:
        """The objects of which a change or a sighting is stored."""
        return {span.key.name for span in self.spans("change", cluster)}

    def message(self, name: str) -> str:
        """The trouble of a cluster; a cluster that is not there is troubled by that."""
        member = self.clusters.members().get(name)
        return member.trouble.message if member is not None else "not a member"

    def reached(self, name: str, resource: ResourceType) -> str:
        """The version up to which the watch of a type has handed on everything; empty while it is not watched."""
        collector = self.clusters.members()[name].collector
        return collector.watch.states()[resource].version if collector is not None else ""

    async def until_watched(self, name: str) -> None:
        await eventually(
            lambda: (
                (member := self.clusters.members().get(name)) is not None
                and member.collector is not None
                and {s.phase for s in member.collector.watch.states().values()} == {"Watching"}
            )
        )


@contextlib.asynccontextmanager
async def running(folder: Path, home: FakeApiServer, *, pace: Pace = QUICK) -> AsyncIterator[Process]:
    """A process for the length of a block, on the store of the folder."""
    with SqliteStore(folder / "kubeweft.db") as store:
        async with Writer(store) as writer:
            process = Process(folder / "kubeweft.db", store, writer, home, pace=pace)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(process.clusters.run())
                try:
                    await process.until_watched("home")
                    yield process
                finally:
                    task.cancel()


@pytest.fixture
async def home() -> AsyncIterator[FakeApiServer]:
    async with cluster("uid-home") as server:
        yield server


@pytest.fixture
async def process(tmp_path: Path, home: FakeApiServer) -> AsyncIterator[Process]:
    async with running(tmp_path, home) as process:
        yield process


async def test_a_cluster_is_joined_and_left_while_the_others_go_on(
    process: Process, home: FakeApiServer
) -> None:
    async with cluster("uid-west") as west:
        west.create(PODS, "there-before")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"there-before"})
        west.create(PODS, "while-joined")
        home.create(PODS, "at-home")
        await eventually(lambda: process.names("west") == {"there-before", "while-joined"})
        await eventually(lambda: process.names("home") == {"at-home"})
        assert process.clusters.members()["west"].uid == "uid-west"
        process.use()
        await eventually(lambda: "west" not in process.clusters.members())
        west.create(PODS, "after-leaving")
        await eventually(lambda: west.watchers(PODS) == 0)
        home.create(PODS, "still-at-home")
        await eventually(lambda: "still-at-home" in process.names("home"))
        assert process.names("west") == {"there-before", "while-joined"}


async def test_who_joins_again_goes_on_where_it_was(process: Process) -> None:
    async with cluster("uid-west") as west:
        west.create(PODS, "pod")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"pod"})
        process.use()
        await eventually(lambda: "west" not in process.clusters.members())
        west.update(PODS, "pod", spec={"nodeName": "n1"})
        west.create(PODS, "meanwhile")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"pod", "meanwhile"})
        await eventually(lambda: len(process.spans("change", "west")) == 3)
        assert process.spans("gap") == []


async def test_a_rotated_kubeconfig_goes_on_with_the_new_credential(process: Process) -> None:
    async with cluster("uid-west") as west:
        west.create(PODS, "pod")
        process.use(joined("west", port_of(west), token="first"))
        await process.until_watched("west")
        await eventually(lambda: process.names("west") == {"pod"})
        process.use(joined("west", port_of(west), token="second"))
        west.update(PODS, "pod", spec={"nodeName": "n1"})
        await eventually(lambda: any(a.authorization == "Bearer second" for a in west.asked))
        await process.until_watched("west")
        since = len(west.asked)
        west.create(PODS, "later")
        await eventually(lambda: process.names("west") == {"pod", "later"})
        await eventually(lambda: len(process.spans("change", "west")) == 3)
        assert {a.authorization for a in west.asked[since:]} <= {"Bearer second"}
        assert process.spans("gap") == []
        await eventually(lambda: west.watchers(PODS) == 1)
        assert process.left == []  # its objects are linked as before
        process.use()
        await eventually(lambda: process.left == ["west"])


async def test_labels_and_tokens_of_a_cluster_change_without_a_new_connection(process: Process) -> None:
    async with cluster("uid-west") as west:
        entry = joined("west", port_of(west))
        process.use(entry)
        await process.until_watched("west")
        member = process.clusters.members()["west"]
        process.use(replace(entry, labels=(("env", "test"),), audit_token="secret"))
        west.create(PODS, "pod")
        await eventually(lambda: process.names("west") == {"pod"})
        assert process.clusters.members()["west"] is member


async def test_a_cluster_that_is_down_when_it_is_joined_holds_nobody_up_and_is_a_gap(
    process: Process, home: FakeApiServer
) -> None:
    async with cluster("uid-west") as west, TcpGate(port_of(west), is_open=False) as gate:
        west.create(PODS, "pod")
        process.use(joined("west", gate.port))
        await eventually(lambda: "Connect" in process.message("west"))
        home.create(PODS, "at-home")
        await eventually(lambda: process.names("home") == {"at-home"})
        await gate.open()
        await eventually(lambda: process.message("west") == "")
        await eventually(lambda: process.names("west") == {"pod"})
        gaps = process.spans("gap")
        assert {(s.key.cluster, s.key.resource, s.key.name) for s in gaps} == {
            ("west", "pods", ""),
            ("west", "deployments", ""),
        }
        assert {s.attributes[v.GAP_REASON] for s in gaps} == {"NotReached"}
        assert all(s.end > s.start for s in gaps)


async def test_a_cluster_that_goes_away_for_a_while_has_missed_nothing(
    process: Process, home: FakeApiServer
) -> None:
    async with cluster("uid-west") as west, TcpGate(port_of(west)) as gate:
        process.use(joined("west", gate.port))
        await process.until_watched("west")
        await gate.shut()
        await eventually(lambda: process.message("west") not in ("", "not a member"))
        assert process.message("home") == ""
        west.create(PODS, "meanwhile")
        home.create(PODS, "at-home")
        await eventually(lambda: process.names("home") == {"at-home"})
        assert process.clusters.members()["west"].collector is not None
        await gate.open()
        await eventually(lambda: process.message("west") == "")
        await eventually(lambda: process.names("west") == {"meanwhile"})
        assert process.spans("gap") == []


async def test_a_kubeconfig_that_cannot_be_used_is_told_and_replaced(process: Process) -> None:
    async with cluster("uid-west") as west:
        process.use(JoinedCluster(name="west", kubeconfig=b"users: [{user: {exec: {}}}]"))
        await eventually(lambda: "exec" in process.message("west"))
        assert process.clusters.members()["west"].trouble.reason == "InvalidKubeconfig"
        west.create(PODS, "pod")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"pod"})
        assert process.message("west") == ""


async def test_two_names_of_one_cluster_are_traced_once(process: Process) -> None:
    async with cluster("uid-west") as west:
        west.create(PODS, "pod")
        first, second = joined("west", port_of(west)), joined("other", port_of(west))
        process.use(first)
        await eventually(lambda: process.names("west") == {"pod"})
        process.use(first, second)
        await eventually(lambda: "'west'" in process.message("other"))
        assert process.names("other") == set()
        assert process.clusters.members()["other"].collector is None
        process.use(second)
        await eventually(lambda: process.names("other") == {"pod"})
        assert process.message("other") == ""


async def test_the_local_cluster_is_not_traced_again_under_another_name(
    process: Process, home: FakeApiServer
) -> None:
    process.use(joined("mirror", port_of(home)))
    await eventually(lambda: "'home'" in process.message("mirror"))
    home.create(PODS, "pod")
    await eventually(lambda: process.names("home") == {"pod"})
    assert process.names("mirror") == set()


async def test_another_cluster_under_a_known_name_is_not_mixed_in(process: Process) -> None:
    async with cluster("uid-west") as west, cluster("uid-new") as new:
        west.create(PODS, "pod-of-west")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"pod-of-west"})
        new.create(PODS, "pod-of-new")
        process.use(joined("west", port_of(new)))
        await eventually(lambda: "uid-new" in process.message("west"))
        assert process.names("west") == {"pod-of-west"}
        process.use(joined("new", port_of(new)))
        await eventually(lambda: process.names("new") == {"pod-of-new"})


async def test_a_name_that_retention_has_freed_takes_up_nothing_of_its_former_cluster(
    process: Process,
) -> None:
    async with cluster("uid-west") as west, cluster("uid-new") as new:
        west.create(PODS, "pod-of-west")
        process.use(joined("west", port_of(west)))
        await process.until_watched("west")
        await eventually(lambda: process.names("west") == {"pod-of-west"})
        process.use()
        await eventually(lambda: "west" not in process.clusters.members())
        new.create(PODS, "pod-of-new")  # at the version of the other, from which a watch would not show it
        assert new.version == west.version
        process.use(joined("west", port_of(new)))
        await eventually(lambda: "uid-new" in process.message("west"))
        for _ in process.store.housekeeping().pieces(now=clock.now() + 10**15, max_age=1, max_bytes=0):
            pass
        await eventually(lambda: process.names("west") == {"pod-of-new"})
        assert [span.attributes[v.CHANGE_TYPE] for span in process.spans("change", "west")] == ["Sighting"]
        assert process.spans("gap") == []


@pytest.mark.parametrize("pods", [{"pod"}, set()], ids=["traced", "nothing-seen-yet"])
async def test_a_cluster_that_is_replaced_behind_its_address_is_given_up(
    process: Process, pods: set[str]
) -> None:
    async with cluster("uid-west") as west:
        for name in pods:
            west.create(PODS, name)
        process.use(joined("west", port_of(west)))
        await process.until_watched("west")
        await eventually(lambda: process.names("west") == pods)
        be(west, "uid-new")
        await eventually(lambda: "uid-new" in process.message("west"))
        west.create(PODS, "pod-of-new")
        await eventually(lambda: process.clusters.members()["west"].collector is None)
        await eventually(lambda: west.watchers(PODS) == 0)
        assert process.names("west") == pods


@pytest.mark.parametrize("streams_lists", [True, False])
@pytest.mark.parametrize("has_to_list", [True, False])
async def test_nothing_is_taken_of_a_replaced_cluster_before_somebody_looks(
    tmp_path: Path, home: FakeApiServer, has_to_list: bool, streams_lists: bool
) -> None:
    async with (
        cluster("uid-west") as west,
        running(tmp_path, home, pace=replace(QUICK, look=600.0)) as process,
    ):
        west.streams_lists = streams_lists
        west.create(PODS, "pod")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"pod"})
        await process.until_watched("west")
        be(west, "uid-new")
        west.cut_watches(PODS)
        west.create(PODS, "pod-of-new")
        if has_to_list:
            west.compact(PODS)

        collector = process.clusters.members()["west"].collector
        assert collector is not None
        await eventually(lambda: "uid-new" in collector.watch.states()[PODS].message)
        assert process.names("west") == {"pod"}
        be(west, "uid-west")
        collector.watch.poke()
        await eventually(lambda: process.names("west") == {"pod", "pod-of-new"})


async def test_forbidden_types_are_named_and_the_others_watched(process: Process) -> None:
    async with cluster() as west:
        west.forbidden.add("/apis/apps/v1/deployments")
        west.create(PODS, "pod")
        process.use(joined("west", port_of(west)))
        await eventually(lambda: process.names("west") == {"pod"})
        member = process.clusters.members()["west"]

        def phases() -> dict[str, str]:
            assert member.collector is not None
            return {t.resource: s.phase for t, s in member.collector.watch.states().items()}

        await eventually(lambda: phases() == {"pods": "Watching", "deployments": "Forbidden"})
        assert (member.trouble.message, member.uid) == ("", "")


async def test_what_was_seen_is_written_when_the_process_stops(tmp_path: Path, home: FakeApiServer) -> None:
    async with cluster("uid-west") as west:
        west.create(PODS, "pod")
        async with running(tmp_path, home) as process:
            process.use(joined("west", port_of(west)))
            await eventually(lambda: process.names("west") == {"pod"})
            west.update(PODS, "pod", spec={"nodeName": "n1"})
            version = str(west.version)
            # Not until it is stored: the watch learns of that a moment later, and what it broke off it does again.
            await eventually(lambda: process.reached("west", PODS) == version)
        assert len(process.spans("change", "west")) == 2
        with SqliteStore(tmp_path / "kubeweft.db") as store:
            known = store.resume("west", "", "pods")
        assert known is not None
        assert known.version == version


async def test_the_rules_of_a_cluster_are_there_before_it_can_be_reached(process: Process) -> None:
    async with cluster("uid-west") as west, TcpGate(port_of(west), is_open=False) as gate:
        only_west = Scope(policy="w", clusters=frozenset({"west"}))
        process.clusters.use(Plan(scopes=(only_west,), clusters=(joined("west", gate.port),)))
        rules = process.clusters.rules_of("west")
        assert rules.plan.scopes == (only_west,)
        assert process.clusters.rules_of("west") is rules
        assert process.clusters.rules_of("home").plan.scopes == ()
        await gate.open()
        await process.until_watched("west")
        assert process.clusters.rules_of("west").plan.scopes == (only_west,)


@pytest.mark.parametrize("breaks", ["forget", "expect"])
async def test_a_failure_while_one_cluster_leaves_or_joins_ends_no_other(
    tmp_path: Path, home: FakeApiServer, breaks: str
) -> None:
    async with cluster("uid-west") as west, cluster("uid-east") as east:
        with SqliteStore(tmp_path / "kubeweft.db") as store:
            async with Writer(store) as writer:
                identities, forgotten = FailingOnce(store, local="home", write=writer.write), []

                async def forget(name: str) -> None:
                    forgotten.append(name)
                    if breaks == "forget":
                        raise RuntimeError("the disk has failed")

                process = Process(
                    tmp_path / "kubeweft.db", store, writer, home, identities=identities, forget=forget
                )
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(supervise("clusters", process.clusters.run, longest_wait=0.1))
                    try:
                        await process.until_watched("home")
                        process.use(joined("west", port_of(west)), joined("east", port_of(east)))
                        await process.until_watched("west")
                        await process.until_watched("east")
                        identities.fails = breaks == "expect"
                        process.use(joined("east", port_of(east)), joined("more", port_of(west)))
                        await process.until_watched("more")
                        await process.until_watched("east")
                        await process.until_watched("home")
                        east.create(PODS, "later")
                        await eventually(lambda: process.names("east") == {"later"})
                        assert forgotten == ["west"]
                        assert not identities.fails
                        assert list(process.clusters.members()) == ["home", "east", "more"]
                    finally:
                        task.cancel()


class FailingOnce(Identities):
    """Fails with the next name that is expected, if told so."""

    fails = False

    def expect(self, name: str) -> None:
        if self.fails:
            self.fails = False
            raise RuntimeError("the disk has failed")
        super().expect(name)
