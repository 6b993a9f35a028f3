"""Which request caused which change."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from kubeweft.display.reading.assembling import assemble
from kubeweft.display.steps.nesting import find_writers, nest_changes
from kubeweft.display.tree.trees import Fact
from kubeweft.model.observations import Observation
from memory_reader import MemoryReader, outline, story_of
from span_builders import at, change, key, request, uid, weave

IT, POD = key("configmaps", "it"), key("pods", "web-0")
ME = uid(1)


def facts(target: Any, *observations: Observation) -> tuple[Fact, ...]:
    """The facts of an object after this one step."""
    return nest_changes(assemble(MemoryReader(weave(*observations)), target)).root.facts


def test_a_change_stands_under_the_request_with_its_uid_and_version() -> None:
    (patch,) = facts(
        IT,
        request(IT, "patch", "10:00:05.500", uid=ME, version="7"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    )
    assert [child.span.name for child in patch.children] == ["changed"]


def test_a_nested_change_takes_the_time_of_its_request() -> None:
    (patch,) = facts(
        IT,
        request(IT, "patch", "10:00:05.500", took=0.25, uid=ME, version="7"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    )
    (nested,) = patch.children
    assert (nested.start, nested.end) == (at("10:00:05.500"), at("10:00:05.750"))
    assert nested.span.start == at("10:00:05"), "the stored span is left as it is"


def test_the_earliest_request_is_the_writer_the_later_one_changed_nothing() -> None:
    first, second = facts(
        IT,
        request(IT, "patch", "10:00:05.600", uid=ME, version="7", audit_id="later"),
        request(IT, "patch", "10:00:05.500", uid=ME, version="7", audit_id="earlier"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    )
    assert {f.span.attributes["audit-id"]: len(f.children) for f in (first, second)} == {
        "later": 0,
        "earlier": 1,
    }


@pytest.mark.parametrize(
    "other",
    [
        {"code": 409, "uid": ME, "version": "7"},
        {"code": 200, "uid": uid(2), "version": "7"},
        {"code": 200, "uid": ME, "version": "8"},
        {"code": 200, "uid": ME, "version": "7", "dry_run": True},
        {"code": 200, "uid": ME, "version": "7", "base": "7"},
        {"code": 200},
    ],
    ids=["failed", "other uid", "other version", "dry run", "version it already had", "nothing known"],
)
def test_what_is_no_partner(other: dict[str, Any]) -> None:
    """The change stays a child of the object."""
    found = facts(
        IT,
        request(IT, "update", "10:00:05.500", **other),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    )
    assert len(found) == 2


def test_reading_is_never_the_cause() -> None:
    found = facts(
        IT,
        request(IT, "get", "10:00:05.500", uid=ME, version="7"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    )
    assert len(found) == 2


def test_a_delete_answered_by_a_status_joins_the_deletion_of_its_uid() -> None:
    found = facts(
        IT,
        request(IT, "delete", "10:00:05.500", uid=ME),
        change(IT, "Deleted", "10:00:05", uid=ME, old="6", version="9"),
        change(IT, "Deleted", "10:00:01", uid=uid(2), old="3", version="5"),
    )
    tree = {f.span.name: [c.span.attributes["kubeweft.object.uid"] for c in f.children] for f in found}
    assert tree == {"delete": [ME], "deleted": []}


def test_of_two_deletes_the_one_answered_with_the_version_wins() -> None:
    """A Pod is asked to go (the answer is the Pod), then the kubelet deletes it for good."""
    found = facts(
        POD,
        request(POD, "delete", "10:00:05.500", uid=ME, version="8"),
        change(POD, "Modified", "10:00:05", uid=ME, old="6", version="8"),
        request(POD, "delete", "10:00:35.500", uid=ME, version="9", user="system:node:one"),
        change(POD, "Deleted", "10:00:35", uid=ME, old="8", version="9"),
    )
    assert [[c.span.name for c in f.children] for f in found] == [["changed"], ["deleted"]]


def test_a_binding_joins_the_change_that_set_the_node() -> None:
    found = facts(
        POD,
        request(POD, "create", "10:00:05.500", code=201, subresource="binding"),
        change(
            POD, "Modified", "10:00:05", uid=ME, old="5", version="6", words=("+ spec.nodeName = node-1",)
        ),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="6",
            version="7",
            words=("status.phase Pending → Running",),
        ),
    )
    (binding,) = [f for f in found if f.span.source == "request"]
    assert [c.span.attributes["kubeweft.object.resource_version"] for c in binding.children] == ["6"]


def test_a_binding_is_recognised_by_the_patch_where_words_are_missing() -> None:
    (binding,) = facts(
        POD,
        request(POD, "create", "10:00:05.500", code=201, subresource="binding"),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="5",
            version="6",
            patch=[{"op": "add", "path": "/spec/nodeName", "value": "node-1"}],
        ),
    )
    assert len(binding.children) == 1


def test_a_binding_far_away_in_time_is_that_of_another_life() -> None:
    found = facts(
        POD,
        request(POD, "create", "10:00:05.500", code=201, subresource="binding"),
        change(
            POD, "Modified", "10:07:00", uid=ME, old="5", version="6", words=("+ spec.nodeName = node-1",)
        ),
    )
    assert len(found) == 2


def test_an_eviction_joins_the_change_that_set_the_deletion_time() -> None:
    (eviction,) = facts(
        POD,
        request(POD, "create", "10:00:05.500", code=201, subresource="eviction"),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="5",
            version="6",
            words=("+ metadata.deletionTimestamp = 2026-11-21T10:00:35Z",),
        ),
    )
    assert len(eviction.children) == 1


def test_sightings_are_no_changes() -> None:
    found = facts(
        IT,
        request(IT, "patch", "10:00:05.500", uid=ME, version="7"),
        change(IT, "Sighting", "10:00:05", uid=ME, version="7"),
    )
    assert len(found) == 2


def test_the_order_of_arrival_does_not_matter() -> None:
    story: list[Observation] = [
        request(IT, "create", "10:00:01.100", code=201, uid=ME, version="1"),
        change(IT, "Added", "10:00:01", uid=ME, version="1"),
        request(IT, "patch", "10:00:02.100", uid=ME, version="2"),
        request(IT, "patch", "10:00:02.200", uid=ME, version="2"),
        change(IT, "Modified", "10:00:02", uid=ME, old="1", version="2"),
        request(IT, "delete", "10:00:03.100", uid=ME),
        change(IT, "Deleted", "10:00:03", uid=ME, old="2", version="3"),
    ]
    expected = outline(story_of(IT, weave(*story)).root)
    for seed in range(20):
        shuffled = story * 2
        random.Random(seed).shuffle(shuffled)
        assert outline(story_of(IT, weave(*shuffled)).root) == expected


def test_no_change_has_two_writers_and_every_one_is_kept() -> None:
    spans = weave(
        request(IT, "patch", "10:00:05.500", uid=ME, version="7"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
        change(IT, "Modified", "10:00:06", uid=ME, old="7", version="8"),
    )
    writers = find_writers(spans)
    assert len(writers) == 1
    assert next(iter(writers.values())).name == "patch"


def test_one_deletion_has_one_request_the_earliest() -> None:
    first, second = facts(
        IT,
        request(IT, "delete", "10:00:05.600", uid=ME, audit_id="later"),
        request(IT, "delete", "10:00:05.500", uid=ME, audit_id="earlier"),
        change(IT, "Deleted", "10:00:05", uid=ME, old="6", version="9"),
    )
    assert {f.text("audit-id"): len(f.children) for f in (first, second)} == {"later": 0, "earlier": 1}


def test_bindings_of_two_lives_in_one_second_join_each_its_own_change() -> None:
    """A recorded StatefulSet did that: which of the two changes came first is told by their versions alone."""
    node = ("+ spec.nodeName = node-1",)
    found = facts(
        POD,
        request(POD, "create", "10:00:05.332", code=201, subresource="binding"),
        change(POD, "Modified", "10:00:05", uid=uid(1), old="272", version="273", words=node),
        request(POD, "create", "10:00:05.459", code=201, subresource="binding"),
        change(POD, "Modified", "10:00:05", uid=uid(2), old="289", version="292", words=node),
    )
    assert versions(found) == [["273"], ["292"]]


def test_a_binding_at_the_end_of_a_second_joins_the_change_of_that_second() -> None:
    node = ("+ spec.nodeName = node-1",)
    found = facts(
        POD,
        request(POD, "create", "10:00:05.950", code=201, subresource="binding"),
        change(POD, "Modified", "10:00:05", uid=uid(1), old="272", version="273", words=node),
        change(POD, "Modified", "10:00:06", uid=uid(2), old="289", version="292", words=node),
    )
    (binding,) = [f for f in found if f.span.source == "request"]
    assert versions([binding]) == [["273"]]


def test_an_eviction_made_the_condition_and_the_deletion_but_not_the_end_of_its_grace_period() -> None:
    grace = "metadata.deletionTimestamp 2026-11-21T10:00:06Z → 2026-11-21T10:00:05Z"
    found = facts(
        POD,
        request(POD, "create", "10:00:05.521", code=201, subresource="eviction"),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="281",
            version="297",
            words=("+ status.conditions[DisruptionTarget] = {6 fields}",),
        ),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="297",
            version="298",
            words=("+ metadata.deletionTimestamp = 2026-11-21T10:00:06Z",),
        ),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="298",
            version="299",
            words=("metadata.deletionGracePeriodSeconds 1 → 0", grace),
        ),
        request(POD, "delete", "10:00:05.537", uid=ME, version="300"),
        change(POD, "Deleted", "10:00:05", uid=ME, old="299", version="300"),
    )
    assert versions(found) == [["297", "298"], ["299", "300"]]


def test_another_condition_before_an_eviction_is_not_its_work() -> None:
    found = facts(
        POD,
        change(
            POD, "Modified", "10:00:05", uid=ME, old="1", version="2", words=("+ status.phase = Running",)
        ),
        request(POD, "create", "10:00:05.521", code=201, subresource="eviction"),
        change(
            POD,
            "Modified",
            "10:00:05",
            uid=ME,
            old="2",
            version="3",
            words=("+ metadata.deletionTimestamp = 2026-11-21T10:00:06Z",),
        ),
    )
    assert versions([f for f in found if f.span.source == "request"]) == [["3"]]


REMOVED = change(IT, "Deleted", "10:00:05", uid=ME, old="329", version="330")


def test_who_takes_the_last_finalizer_away_removes_the_object() -> None:
    """The answer is the object at the version that it had, as a recorded Namespace shows."""
    asked = request(IT, "update", "10:00:05.424", uid=ME, version="329", base="329")
    (found,) = facts(IT, asked, REMOVED)
    assert [child.span.name for child in found.children] == ["deleted"]


@pytest.mark.parametrize(
    "other",
    [
        request(IT, "update", "10:00:05.424", uid=ME, version="328", base="328"),
        request(IT, "update", "10:00:05.424", uid=uid(2), version="329", base="329"),
        request(IT, "update", "10:00:05.424", uid=ME, version="329", base="329", code=409),
        request(IT, "update", "09:59:05.424", uid=ME, version="329", base="329"),
        request(IT, "get", "10:00:05.424", uid=ME, version="329"),
    ],
    ids=["another version", "another object", "refused", "long before", "reading"],
)
def test_who_did_not_remove_it(other: Observation) -> None:
    assert len(facts(IT, other, REMOVED)) == 2


def test_who_made_the_last_version_has_not_also_removed_the_object() -> None:
    found = facts(
        IT,
        request(IT, "patch", "10:00:05.424", uid=ME, version="329"),
        change(IT, "Modified", "10:00:05", uid=ME, old="328", version="329"),
        REMOVED,
    )
    assert [[child.span.name for child in fact.children] for fact in found] == [["changed"], []]


def versions(found: Iterable[Fact]) -> list[list[str]]:
    """The versions under each request, in order."""
    return [
        [str(child.span.attributes["kubeweft.object.resource_version"]) for child in fact.children]
        for fact in found
    ]
