"""What explains that something ended, and what takes its place."""

from __future__ import annotations

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.explaining.explanations import (
    ASKED,
    COLLECTION,
    FORMER,
    OWN,
    PARENT,
    SPACE,
)
from kubeweft.display.tree.made import SHOWN_BECAUSE, tag
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, key, owner, request, uid, weave
from told_causes import (
    COLLECTOR,
    CONTROLLER,
    MANAGER,
    OTHER,
    POD,
    ROLLOUT,
    RS,
    RS_CONTROLLER,
    SCALED,
    SPACE_CONTROLLER,
    STS,
    STS_POD,
    D,
    causes,
    name,
)


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
        request(
            STS_POD, "create", "10:00:00.100", code=201, uid=uid(2), version="2", user=sts, agent=MANAGER
        ),
        change(STS_POD, "Added", "10:00:00", uid=uid(2), version="2", owners=owners),
    ]
    after: list[Observation] = [
        request(STS_POD, "delete", "10:05:00.000", uid=uid(2)),
        change(STS_POD, "Deleted", "10:05:00", uid=uid(2), old="2", version="8"),
        request(
            STS_POD, "create", "10:05:00.100", code=201, uid=uid(3), version="9", user=sts, agent=MANAGER
        ),
        change(STS_POD, "Added", "10:05:00", uid=uid(3), version="9", owners=owners),
    ]
    assert causes(STS, *before) == {"db-0 create": f"db create: {PARENT}"}
    (create,) = nest_causes(story_of(STS, weave(*before, *after))).root.facts
    (delete,) = nest_causes(story_of(STS, weave(*before, *after))).root.children[0].facts
    assert [name(child) for child in create.children] == ["db-0 create"]
    assert [name(child) for child in delete.children] == ["db-0 v8", "db-0 create"]
    assert tag(delete.children[1].label, SHOWN_BECAUSE) == FORMER


def test_a_deletion_long_ago_explains_no_creation_and_what_is_longer_ago_does_not_either() -> None:
    later = request(
        OTHER, "create", "10:30:00.000", code=201, uid=uid(4), version="30", user=RS_CONTROLLER, agent=MANAGER
    )
    added = change(OTHER, "Added", "10:30:00", uid=uid(4), version="30", owners=(owner(RS, uid(2)),))
    gone = request(POD, "delete", "10:20:00.000", uid=uid(3))
    assert "web-1-b create" not in causes(D, *ROLLOUT, gone, later, added)
    assert causes(D, *ROLLOUT, later, added)["web-1-b create"] == f"web-1 create: {PARENT}"


def test_a_collection_that_was_being_deleted_explains_what_went_with_it() -> None:
    everything = key("pods", "")
    found = causes(
        POD,
        change(POD, "Added", "10:00:00", uid=uid(3), version="3"),
        request(everything, "deletecollection", "10:05:00.000", took=1),
        change(POD, "Deleted", "10:05:00", uid=uid(3), old="3", version="9"),
    )
    assert found == {"web-1-a v9": f" deletecollection: {COLLECTION}"}


def test_a_collection_explains_what_nobody_asked_for_better_than_the_creation_of_its_parent() -> None:
    """The Pods of a ReplicaSet made a few seconds ago, when their namespace is deleted."""
    going = ("+ metadata.deletionTimestamp = 2026-11-21T10:00:07Z",)
    emptied = request(
        key("pods", ""), "deletecollection", "10:00:06.149", user=SPACE_CONTROLLER, agent=MANAGER
    )
    asked = request(key("namespaces", "default"), "delete", "10:00:02.000", uid=uid(9), version="20")
    found = causes(
        D,
        *ROLLOUT,
        asked,
        emptied,
        change(POD, "Modified", "10:00:06", uid=uid(3), old="3", version="30", words=going),
    )
    assert found["web-1-a v30"] == f" deletecollection: {COLLECTION}"
    assert found[" deletecollection"] == f"default delete: {SPACE}"


def test_a_deleted_namespace_is_no_wish_on_what_is_in_it() -> None:
    emptied = request(
        key("pods", ""), "deletecollection", "10:00:06.149", user=SPACE_CONTROLLER, agent=MANAGER
    )
    found = causes(
        D,
        *ROLLOUT,
        request(key("namespaces", "default"), "delete", "10:00:02.000", uid=uid(9), version="20"),
        emptied,
        change(POD, "Deleted", "10:00:06", uid=uid(3), old="3", version="31"),
        request(
            D,
            "update",
            "10:00:06.500",
            uid=uid(1),
            version="40",
            subresource="status",
            user=CONTROLLER,
            agent=MANAGER,
        ),
    )
    assert found["web update status"] == f"web create: {OWN}"


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


def test_a_pod_that_has_finished_dying_is_not_what_a_new_one_takes_the_place_of() -> None:
    new = key("pods", "web-1-new")
    going = ("+ metadata.deletionTimestamp = 2026-11-21T10:01:30Z",)
    more = ("spec.replicas 0 → 1",)
    found = causes(
        D,
        *ROLLOUT,
        request(POD, "delete", "10:01:00.100", uid=uid(3), version="10", user=RS_CONTROLLER, agent=MANAGER),
        change(POD, "Modified", "10:01:00", uid=uid(3), old="3", version="10", words=going),
        request(RS, "update", "10:01:20.000", uid=uid(2), version="11", user=CONTROLLER, agent=MANAGER),
        change(RS, "Modified", "10:01:20", uid=uid(2), old="2", version="11", words=more),
        request(POD, "delete", "10:01:20.050", uid=uid(3), user="system:node:n1", agent="kubelet"),
        change(POD, "Deleted", "10:01:20", uid=uid(3), old="10", version="12"),
        request(new, "create", "10:01:20.090", code=201, uid=uid(8), user=RS_CONTROLLER, agent=MANAGER),
        change(new, "Added", "10:01:20", uid=uid(8), version="13", owners=(owner(RS, uid(2)),)),
    )
    assert found["web-1-new create"] == f"web-1 update: {PARENT}"


def test_collections_emptied_in_one_second_explain_each_what_was_in_it() -> None:
    def emptied(resource: str, clock: str) -> Observation:
        user = SPACE_CONTROLLER
        return request(key(resource, ""), "deletecollection", clock, user=user, agent=MANAGER, took=0.05)

    found = causes(
        D,
        *ROLLOUT,
        request(key("namespaces", "default"), "delete", "10:02:00.000", uid=uid(50), version="40"),
        request(key("namespaces", "other"), "delete", "10:02:01.000", uid=uid(51), version="41"),
        emptied("pods", "10:02:05.100"),
        change(POD, "Deleted", "10:02:05", uid=uid(3), old="3", version="42"),
        emptied("replicasets", "10:02:05.300"),
        change(RS, "Deleted", "10:02:05", uid=uid(2), old="2", version="43"),
        emptied("deployments", "10:02:05.500"),
        change(D, "Deleted", "10:02:05", uid=uid(1), old="1", version="44"),
    )
    ends = {"web-1-a v42", "web-1 v43", "web v44"}
    assert {name: found.get(name) for name in ends} == dict.fromkeys(ends, f" deletecollection: {COLLECTION}")
    assert found[" deletecollection"] == f"default delete: {SPACE}"


def test_who_puts_back_what_a_collection_took_does_so_because_of_that() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(
            key("replicasets", ""),
            "deletecollection",
            "10:02:05.100",
            user=SPACE_CONTROLLER,
            agent=MANAGER,
            took=0.01,
        ),
        change(RS, "Deleted", "10:02:05.130", uid=uid(2), old="2", version="43", receipt=True),
        request(RS, "create", "10:02:05.120", code=403, user=CONTROLLER, agent=MANAGER),
    )
    assert found["web-1 create"] == f"web-1 v43: {FORMER}"
