"""How the parts are doing, in the few words of a status and as metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from kubernetes_asyncio.client.api_client import ApiClient
from prometheus_client import CollectorRegistry, generate_latest

from kubeweft.app.collecting import Collector, is_watched
from kubeweft.app.health import health_of
from kubeweft.app.membership import NO_TROUBLE, Member, Trouble
from kubeweft.app.metrics import MOST_CLUSTERS, OTHERS, ProcessCollector
from kubeweft.control.judging.health import ClusterHealth, ExporterHealth, Health, TypeHealth
from kubeweft.export.standing import ExporterState
from kubeweft.kube import cluster_watch
from kubeweft.kube.cluster_watch import ClusterWatch
from kubeweft.kube.discovery import Discovered
from kubeweft.kube.receiving import Receiver
from kubeweft.kube.watch_state import Phase, ReflectorState
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan, Scope
from kubeweft.model.references import ResourceType
from kubeweft.model.selectors import ResourcePattern
from kubeweft.store.interfaces import StoreStatistics
from kubeweft.store.retention import RetentionStatistics

STORE = StoreStatistics(
    spans=70,
    windows=7,
    bytes=8192,
    max_bytes=10**9,
    position=77,
    positions={"otlp": 70},
    pending=7,
    max_pending=100,
    full=False,
)


RETAINED = RetentionStatistics(windows=3, spans=40, held_windows=2, seconds=0.5, runs=1, refused=0)


def type_of(group: str, resource: str) -> ResourceType:
    found = Kinds().kind_of(group, resource)
    assert found is not None
    return found


PODS, EVENTS = type_of("", "pods"), type_of("", "events")
NEW_EVENTS, SECRETS = type_of("events.k8s.io", "events"), type_of("", "secrets")


class Watch(ClusterWatch):
    """A watch of a cluster that is as the test says."""

    def __init__(
        self, phases: dict[ResourceType, Phase] | None = None, *served: ResourceType, message: str = ""
    ) -> None:
        self._phases = phases or {}
        self._served = served
        self._message = message

    @property
    def health(self) -> cluster_watch.ClusterHealth:
        return cluster_watch.ClusterHealth(
            reachable=not self._message, message=self._message, since=1, stale=(), crashes=0
        )

    @property
    def discovered(self) -> Discovered:
        return Discovered(types=self._served, all_types=self._served)

    def states(self) -> dict[ResourceType, ReflectorState]:
        return {
            resource: ReflectorState(phase=phase, message=f"is {phase}", since=1)
            for resource, phase in self._phases.items()
        }


class Cluster(Member):
    """A cluster that is as the test says; without a watch it is not traced now."""

    def __init__(
        self,
        name: str,
        watch: ClusterWatch | None,
        *,
        plan: Plan,
        trouble: Trouble = NO_TROUBLE,
        told: bool = True,
    ) -> None:
        self.name = name
        self.uid = f"uid-{name}"
        self.trouble = trouble
        self.settled = asyncio.Event()
        self._plan = plan
        self.collector = None
        if watch is not None:
            self.collector = Collector.__new__(Collector)
            self.collector.watch = watch
        if told:
            self.settled.set()


def health(
    watch: ClusterWatch,
    *others: Cluster,
    plan: Plan | None = None,
    store: StoreStatistics = STORE,
    **exporters: str,
) -> Health:
    states = {name: replace(ExporterState(), reason=reason) for name, reason in exporters.items()}  # type: ignore[arg-type]
    return health_of(
        plan=plan or Plan(),
        members=[Cluster("local", watch, plan=plan or Plan()), *others],
        last_audit=lambda name: 5 if name == "local" else 0,
        exporters=states,
        store=store,
        rules={"owner": RuleStatistics(matched=3, resolved=2, unresolved=1, first_error="no")},
    )


def local(watch: ClusterWatch, *, plan: Plan | None = None) -> ClusterHealth:
    return health(watch, plan=plan).clusters["local"]


def test_every_phase_that_somebody_can_do_something_about_is_told() -> None:
    watch = Watch(
        {
            PODS: Phase.WATCHING,
            SECRETS: Phase.FORBIDDEN,
            EVENTS: Phase.BACKING_OFF,
            NEW_EVENTS: Phase.NOT_SERVED,
            type_of("", "nodes"): Phase.STOPPED,
        }
    )
    assert local(watch).types == (
        TypeHealth("", "pods", "Watching", "is Watching"),
        TypeHealth("", "secrets", "Forbidden", "is Forbidden"),
        TypeHealth("", "events", "Failing", "is BackingOff"),
    )


def test_types_that_are_about_to_be_watched_are_being_listed() -> None:
    watch = Watch({PODS: Phase.WATCHING}, PODS, SECRETS, EVENTS, NEW_EVENTS)
    told = [(str(one), one.phase) for one in local(watch).types]
    assert told == [("pods", "Watching"), ("secrets", "Listing"), ("events", "Listing")]


def test_types_that_no_policy_wants_are_not() -> None:
    only_pods = Scope(
        policy="p", resources=(ResourcePattern(frozenset({""}), frozenset({"pods"})),), events=False
    )
    watch = Watch({}, PODS, SECRETS, EVENTS)
    assert [str(one) for one in local(watch, plan=Plan(scopes=(only_pods,))).types] == ["pods"]


@pytest.mark.parametrize(
    ("resource", "events", "watched"),
    [
        (PODS, True, True),
        (PODS, False, True),
        (EVENTS, True, True),
        (EVENTS, False, False),
        (NEW_EVENTS, True, False),
    ],
)
def test_events_are_watched_under_one_of_their_two_names(
    resource: ResourceType, events: bool, watched: bool
) -> None:
    assert is_watched(Plan(scopes=(Scope(policy="p", events=events),)), resource) is watched


def test_a_cluster_that_has_not_been_asked_yet_is_not_called_unreachable() -> None:
    assert local(Watch(message="connection refused")).unreachable == "connection refused"
    fresh = ClusterWatch(
        ApiClient.__new__(ApiClient), wanted=lambda _: True, receiver_for=no_receiver, on_discovered=print
    )
    assert fresh.health.message
    assert local(fresh).unreachable == ""


def test_each_cluster_is_told_by_itself() -> None:
    lost = Cluster("lost", Watch({PODS: Phase.BACKING_OFF}), plan=Plan(), trouble=Trouble(message="refused"))
    broken = Cluster("broken", None, plan=Plan(), trouble=Trouble("InvalidKubeconfig", "no YAML"))
    twin = Cluster("twin", None, plan=Plan(), trouble=Trouble("WrongCluster", "this is 'local'"))
    silent = Cluster("silent", None, plan=Plan(), told=False)
    told = health(Watch({PODS: Phase.WATCHING}), lost, broken, twin, silent).clusters
    assert set(told) == {"local", "lost", "broken", "twin"}
    assert (told["local"].uid, told["local"].unreachable, told["local"].last_audit) == ("uid-local", "", 5)
    assert (told["lost"].unreachable, told["lost"].reason) == ("refused", "Unreachable")
    assert [str(one) for one in told["lost"].types] == ["pods"]
    assert (told["broken"].unreachable, told["broken"].reason) == ("no YAML", "InvalidKubeconfig")
    assert told["twin"].unreachable == "this is 'local'"


def test_what_rules_do_is_told_by_name() -> None:
    assert health(Watch()).rules == {
        "owner": RuleStatistics(matched=3, resolved=2, unresolved=1, first_error="no")
    }


def no_receiver(_: ResourceType) -> Receiver:
    raise AssertionError("nothing is watched here")


def test_a_full_store_is_an_overload() -> None:
    assert health(Watch()).overloaded == ""
    assert health(Watch(), store=replace(STORE, full=True)).overloaded == "the store is full"


def test_exporters_that_have_nothing_to_say_yet_say_nothing() -> None:
    told = health(Watch(), a="Pending", b="Unreachable", c="Exporting").exporters
    assert told == (
        ExporterHealth("b", "Unreachable", "nothing sent yet"),
        ExporterHealth("c", "Exporting", "nothing sent yet"),
    )


def test_metrics_are_read_when_they_are_asked_for() -> None:
    registry = CollectorRegistry()
    store = [STORE]
    watch = Watch({PODS: Phase.WATCHING, SECRETS: Phase.WATCHING, EVENTS: Phase.FORBIDDEN})
    registry.register(
        ProcessCollector(store=lambda: store[0], health=lambda: health(watch), retention=lambda: RETAINED)
    )
    store[0] = replace(STORE, spans=71, full=True)
    lines = generate_latest(registry).decode().splitlines()
    assert "kubeweft_store_spans 71.0" in lines
    assert "kubeweft_store_full 1.0" in lines
    assert "kubeweft_retention_removed_spans_total 40.0" in lines
    assert "kubeweft_retention_held_windows 2.0" in lines
    assert "kubeweft_store_pending_spans 7.0" in lines
    assert 'kubeweft_watched_resources{phase="Watching"} 2.0' in lines
    assert 'kubeweft_watched_resources{phase="Forbidden"} 1.0' in lines
    assert 'kubeweft_cluster_reachable{cluster="local"} 1.0' in lines
    assert 'kubeweft_cluster_watched_resources{cluster="local",phase="Watching"} 2.0' in lines


def test_the_labels_of_metrics_do_not_grow_with_the_number_of_clusters() -> None:
    registry = CollectorRegistry()
    watch = Watch({PODS: Phase.WATCHING})
    others = [
        Cluster(f"c{number}", watch, plan=Plan(), trouble=Trouble(message="x" * (number == 150)))
        for number in range(200)
    ]
    registry.register(
        ProcessCollector(
            store=lambda: STORE, health=lambda: health(watch, *others), retention=lambda: RETAINED
        )
    )
    lines = generate_latest(registry).decode().splitlines()
    assert sum(line.startswith("kubeweft_cluster_reachable{") for line in lines) == MOST_CLUSTERS + 1
    assert f'kubeweft_cluster_reachable{{cluster="{OTHERS}"}} 0.0' in lines
    assert f'kubeweft_cluster_watched_resources{{cluster="{OTHERS}",phase="Watching"}} 101.0' in lines
    assert 'kubeweft_watched_resources{phase="Watching"} 201.0' in lines
