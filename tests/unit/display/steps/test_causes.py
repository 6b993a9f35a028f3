"""What caused what, over objects."""

from __future__ import annotations

import random

import pytest

from kubeweft.display.made import SHOWN_BECAUSE, tag
from kubeweft.display.parameters import Duration
from kubeweft.display.steps.causes import ASKED, COLLECTION, FORMER, OWN, PARENT, nest_causes
from kubeweft.display.trees import Fact, facts_of, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from memory_reader import story_of
from span_builders import change, event, key, owner, request, uid, weave

D, RS, POD, OTHER = (
    key("deployments", "web"),
    key("replicasets", "web-1"),
    key("pods", "web-1-a"),
    key("pods", "web-1-b"),
)
STS, STS_POD = key("statefulsets", "db"), key("pods", "db-0")
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
RS_CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
MANAGER = "kube-controller-manager/v1.36.3"
ROLLOUT: list[Observation] = [
    request(D, "create", "10:00:00.000", code=201, uid=uid(1), version="1"),
    change(D, "Added", "10:00:00", uid=uid(1), version="1"),
    request(RS, "create", "10:00:00.200", code=201, uid=uid(2), version="2", user=CONTROLLER, agent=MANAGER),
    change(RS, "Added", "10:00:00", uid=uid(2), version="2", owners=(owner(D, uid(1)),)),
    request(
        POD, "create", "10:00:00.300", code=201, uid=uid(3), version="3", user=RS_CONTROLLER, agent=MANAGER
    ),
    change(POD, "Added", "10:00:00", uid=uid(3), version="3", owners=(owner(RS, uid(2)),)),
]
SCALED: list[Observation] = [
    request(RS, "patch", "10:01:00.000", uid=uid(2), version="9", user=CONTROLLER, agent=MANAGER),
    change(RS, "Modified", "10:01:00", uid=uid(2), old="2", version="9", words=("spec.replicas 1 → 0",)),
]


def causes(target: ObjectKey, *seen: Observation, within: Duration | None = None) -> dict[str, str]:
    """``pod/verb`` → what it stands under, and why, for everything that has a cause."""
    tree = story_of(target, weave(*seen))
    nested = nest_causes(tree) if within is None else nest_causes(tree, within=within)
    found: dict[str, str] = {}

    def visit(fact: Fact) -> None:
        for child in fact.children:
            if why := tag(child.label, SHOWN_BECAUSE):
                found[name(child)] = f"{name(fact)}: {why}"
            visit(child)

    for node in nodes_of(nested.root):
        for fact in node.facts:
            visit(fact)
    return found


def name(fact: Fact) -> str:
    if fact.span.source == "change":
        return f"{fact.span.key.name} v{fact.text(v.RESOURCE_VERSION)}"
    return f"{fact.span.key.name} {fact.span.name}"


def test_a_rollout_is_one_chain() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(
            POD,
            "create",
            "10:00:00.400",
            code=201,
            uid=uid(3),
            subresource="binding",
            user="system:kube-scheduler",
            agent="kube-scheduler",
        ),
        change(
            POD,
            "Modified",
            "10:00:00",
            uid=uid(3),
            old="3",
            version="4",
            words=("+ spec.nodeName = n1",),
            patch=[{"op": "add", "path": "/spec/nodeName", "value": "n1"}],
        ),
        request(
            POD,
            "patch",
            "10:00:01.000",
            uid=uid(3),
            version="5",
            subresource="status",
            user="system:node:n1",
            agent="kubelet",
        ),
        event(POD, "Started", "10:00:01.500", uid=uid(3)),
    )
    assert found == {
        "web-1 create": f"web create: {PARENT}",
        "web-1-a create": f"web-1 create: {PARENT}",
        "web-1-a create binding": f"web-1-a create: {OWN}",
        "web-1-a patch status": f"web-1-a create binding: {OWN}",
        "web-1-a Started": f"web-1-a create binding: {OWN}",
    }


def test_without_an_audit_log_changes_make_the_same_chain() -> None:
    found = causes(
        D,
        change(D, "Added", "10:00:00", uid=uid(1), version="1", manager="kubectl-create"),
        change(
            RS,
            "Added",
            "10:00:00",
            uid=uid(2),
            version="2",
            owners=(owner(D, uid(1)),),
            manager="kube-controller-manager",
        ),
        change(
            POD,
            "Added",
            "10:00:01",
            uid=uid(3),
            version="3",
            owners=(owner(RS, uid(2)),),
            manager="kube-controller-manager",
        ),
        change(
            POD,
            "Modified",
            "10:00:01",
            uid=uid(3),
            old="3",
            version="4",
            words=("+ spec.nodeName = n1",),
            manager="kube-controller-manager",
        ),
        change(
            POD,
            "Modified",
            "10:00:02",
            uid=uid(3),
            old="4",
            version="5",
            words=("status.phase Pending → Running",),
            manager="kubelet",
            subresource="status",
        ),
    )
    assert found == {
        "web-1 v2": f"web v1: {PARENT}",
        "web-1-a v3": f"web-1 v2: {PARENT}",
        "web-1-a v4": f"web-1-a v3: {OWN}",
        "web-1-a v5": f"web-1-a v4: {OWN}",
    }


def test_an_event_whose_second_hides_the_order_is_no_report_on_what_is_gone() -> None:
    found = causes(
        POD,
        change(POD, "Added", "10:00:00", uid=uid(3), version="3", manager="kube-controller-manager"),
        change(
            POD,
            "Modified",
            "10:00:00",
            uid=uid(3),
            old="3",
            version="4",
            words=("+ spec.nodeName = n1",),
            manager="kube-controller-manager",
        ),
        change(
            POD, "Modified", "10:00:00", uid=uid(3), old="4", version="5", words=("spec.containers a → b",)
        ),
        change(POD, "Deleted", "10:00:00", uid=uid(3), old="5", version="6"),
        event(POD, "Scheduled", "10:00:00.800", uid=uid(3), reporter="default-scheduler"),
        event(POD, "Pulled", "10:00:00.900", uid=uid(3)),
    )
    assert found["web-1-a Scheduled"] == f"web-1-a v4: {OWN}"
    assert found["web-1-a Pulled"] == f"web-1-a v5: {OWN}"


def test_in_one_second_a_higher_version_is_no_cause() -> None:
    found = causes(
        D,
        change(D, "Added", "10:00:00", uid=uid(1), version="1"),
        change(D, "Modified", "10:00:00", uid=uid(1), old="1", version="7", words=("spec.replicas 1 → 2",)),
        change(RS, "Added", "10:00:00", uid=uid(2), version="5", owners=(owner(D, uid(1)),)),
    )
    assert found["web-1 v5"] == f"web v1: {PARENT}"


@pytest.mark.parametrize("user", ["kubernetes-admin", "alice", "system:admin"])
def test_people_act_unasked(user: str) -> None:
    seen = request(POD, "delete", "10:00:05.000", uid=uid(3), user=user)
    assert "web-1-a delete" not in causes(D, *ROLLOUT, seen)


def test_somebody_impersonated_is_who_acts() -> None:
    seen = request(POD, "delete", "10:00:05.000", uid=uid(3), user=CONTROLLER, impersonated="alice")
    assert "web-1-a delete" not in causes(D, *ROLLOUT, seen)


def test_a_scaled_down_pod_goes_because_of_the_scaling() -> None:
    gone = request(POD, "delete", "10:01:00.100", uid=uid(3), user=RS_CONTROLLER, agent=MANAGER)
    assert causes(D, *ROLLOUT, *SCALED, gone)["web-1-a delete"] == f"web-1 patch: {PARENT}"


def test_the_end_of_a_deletion_stands_under_the_request_for_it() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(POD, "delete", "10:02:00.000", uid=uid(3), version="20"),
        change(
            POD,
            "Modified",
            "10:02:00",
            uid=uid(3),
            old="3",
            version="20",
            words=("+ metadata.deletionTimestamp = x",),
        ),
        request(POD, "delete", "10:02:30.000", uid=uid(3), user="system:node:n1", agent="kubelet"),
        change(POD, "Deleted", "10:02:30", uid=uid(3), old="20", version="21"),
    )
    assert found["web-1-a delete"] == f"web-1-a delete: {ASKED}"


def test_what_takes_the_place_of_a_deleted_life_stands_under_its_deletion() -> None:
    owners = (owner(STS, uid(1)),)
    sts = "system:serviceaccount:kube-system:statefulset-controller"
    before: list[Observation] = [
        request(STS, "create", "10:00:00.000", code=201, uid=uid(1), version="1"),
        request(STS_POD, "create", "10:00:00.100", code=201, uid=uid(2), version="2", user=sts),
        change(STS_POD, "Added", "10:00:00", uid=uid(2), version="2", owners=owners),
    ]
    after: list[Observation] = [
        request(STS_POD, "delete", "10:05:00.000", uid=uid(2)),
        change(STS_POD, "Deleted", "10:05:00", uid=uid(2), old="2", version="8"),
        request(STS_POD, "create", "10:05:00.100", code=201, uid=uid(3), version="9", user=sts),
        change(STS_POD, "Added", "10:05:00", uid=uid(3), version="9", owners=owners),
    ]
    assert causes(STS, *before) == {"db-0 create": f"db create: {PARENT}"}
    (create,) = nest_causes(story_of(STS, weave(*before, *after))).root.facts
    (delete,) = nest_causes(story_of(STS, weave(*before, *after))).root.children[0].facts
    assert [name(child) for child in create.children] == ["db-0 create"]
    assert [name(child) for child in delete.children] == ["db-0 v8", "db-0 create"]
    assert tag(delete.children[1].label, SHOWN_BECAUSE) == FORMER


def test_a_deletion_long_ago_explains_no_creation() -> None:
    later = request(
        OTHER, "create", "10:30:00.000", code=201, uid=uid(4), version="30", user=RS_CONTROLLER, agent=MANAGER
    )
    added = change(OTHER, "Added", "10:30:00", uid=uid(4), version="30", owners=(owner(RS, uid(2)),))
    gone = request(POD, "delete", "10:20:00.000", uid=uid(3))
    assert causes(D, *ROLLOUT, gone, later, added)["web-1-b create"] == f"web-1 create: {PARENT}"


def test_what_is_too_long_after_is_told_where_it_happened() -> None:
    late = event(POD, "BackOff", "10:10:00", uid=uid(3), type="Warning")
    assert "web-1-a BackOff" in causes(D, *ROLLOUT, late)
    assert "web-1-a BackOff" not in causes(D, *ROLLOUT, late, within=Duration.read("5m"))


def test_a_collection_that_was_being_deleted_explains_what_went_with_it() -> None:
    everything = key("pods", "")
    found = causes(
        POD,
        change(POD, "Added", "10:00:00", uid=uid(3), version="3"),
        request(everything, "deletecollection", "10:05:00.000", took=1),
        change(POD, "Deleted", "10:05:00", uid=uid(3), old="3", version="9"),
    )
    assert found == {"web-1-a v9": f" deletecollection: {COLLECTION}"}


def test_what_the_garbage_collector_takes_went_because_of_its_owner() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(D, "delete", "10:03:00.000", uid=uid(1)),
        change(D, "Deleted", "10:03:00", uid=uid(1), old="1", version="40"),
        request(RS, "delete", "10:03:00.100", uid=uid(2), user=COLLECTOR, agent=MANAGER),
        change(RS, "Deleted", "10:03:00", uid=uid(2), old="2", version="41"),
    )
    assert found["web-1 delete"] == f"web delete: {PARENT}"


def test_requests_that_failed_are_no_causes_but_have_one() -> None:
    failed = request(D, "patch", "10:00:30.000", code=422, uid=uid(1), reason="Invalid")
    tried = request(RS, "update", "10:01:00.000", code=409, base="2", user=CONTROLLER, agent=MANAGER)
    assert causes(D, *ROLLOUT, failed, tried)["web-1 update"] == f"web create: {PARENT}"


def test_reads_gaps_and_sightings_stay_where_they_are() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(POD, "get", "10:00:02.000", user="system:node:n1"),
        change(OTHER, "Sighting", "10:00:02", uid=uid(9), version="9", owners=(owner(RS, uid(2)),)),
    )
    assert not {"web-1-a get", "web-1-b v9"} & set(found)


def test_a_clock_that_is_minutes_off_makes_no_cause() -> None:
    early = request(
        POD,
        "patch",
        "09:50:00.000",
        uid=uid(3),
        version="9",
        subresource="status",
        user="system:node:n1",
        agent="kubelet",
    )
    assert "web-1-a patch status" not in causes(D, *ROLLOUT, early)


def test_it_is_done_once_and_in_any_order_of_arrival() -> None:
    spans = weave(*ROLLOUT, *SCALED)
    once = nest_causes(story_of(D, spans))
    assert nest_causes(once) == once
    assert sum(1 for node in nodes_of(once.root) for _ in facts_of(node.facts)) == 8
    for seed in range(5):
        random.Random(seed).shuffle(spans)
        assert nest_causes(story_of(D, spans)) == once
