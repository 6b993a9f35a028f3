"""What lies in the time asked for: overlap decides."""

from __future__ import annotations

from kubeweft.display.tree.trees import MergedWindow
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import at, change, event, gap, key, owner, request, uid, weave

IT, RS, POD, QUIET = (
    key("configmaps", "it"),
    key("replicasets", "rs"),
    key("pods", "busy"),
    key("pods", "quiet"),
)


def test_a_request_that_began_before_the_range_counts() -> None:
    spans = weave(request(IT, "patch", "10:00:00.000", took=10), request(IT, "patch", "09:59:00.000", took=1))
    tree = story_of(IT, spans, since=at("10:00:05"), until=at("10:00:06"))
    assert [f.start for f in tree.root.facts] == [at("10:00:00.000")]


def test_a_request_that_crosses_the_border_of_its_window_counts_in_the_next() -> None:
    spans = weave(request(IT, "patch", "10:29:59.900", took=0.3), request(IT, "get", "10:31:00.000"))
    tree = story_of(IT, spans, since=at("10:30:00"), until=at("10:40:00"))
    assert [f.span.name for f in tree.root.facts] == ["patch", "get"]
    assert len(tree.root.windows) == 2


def test_a_window_from_before_the_range_that_gives_nothing_is_not_counted() -> None:
    spans = weave(request(IT, "patch", "10:29:00.000"), request(IT, "get", "10:31:00.000"))
    tree = story_of(IT, spans, since=at("10:30:00"), until=at("10:40:00"))
    assert [f.span.name for f in tree.root.facts] == ["get"]
    assert len(tree.root.windows) == 1


def test_a_change_goes_with_its_request() -> None:
    """The change itself knows 10:00:05 only: taken by its own time it would be cut off."""
    spans = weave(
        request(IT, "patch", "10:00:05.900", took=0.2, uid=uid(1), version="7"),
        change(IT, "Modified", "10:00:05", uid=uid(1), old="6", version="7"),
    )
    (patch,) = story_of(IT, spans, since=at("10:00:06"), until=at("10:01:00")).root.facts
    assert len(patch.children) == 1


def test_what_is_known_to_the_second_counts_for_the_whole_second() -> None:
    spans = weave(event(POD, "Pulled", "10:00:05"), event(POD, "Started", "10:00:04"))
    tree = story_of(POD, spans, since=at("10:00:05.5"), until=at("10:01:00"))
    assert [f.span.name for f in tree.root.facts] == ["Pulled"]


def test_both_ends_are_inside() -> None:
    spans = weave(*[request(IT, "patch", f"10:00:0{n}.500", took=0) for n in range(4)])
    tree = story_of(IT, spans, since=at("10:00:01.5"), until=at("10:00:02.5"))
    assert [f.start for f in tree.root.facts] == [at("10:00:01.5"), at("10:00:02.5")]


def test_objects_with_nothing_inside_go_but_not_those_between() -> None:
    owned: list[Observation] = [
        change(
            RS, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(key("deployments", "d"), uid(9)),)
        ),
        change(QUIET, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(RS, uid(1)),)),
        change(POD, "Added", "10:00:01", uid=uid(3), version="3", owners=(owner(RS, uid(1)),)),
        request(POD, "patch", "10:10:00.000"),
    ]
    tree = story_of(key("deployments", "d"), weave(*owned), since=at("10:09:00"), until=at("10:20:00"))
    (replicaset,) = tree.root.children
    assert replicaset.facts == ()
    assert [child.key.name for child in replicaset.children] == ["busy"]


def test_a_gap_in_a_whole_type_that_began_hours_ago_is_shown() -> None:
    spans = weave(
        gap(key("pods", "", namespace=""), "Down", "02:00:00", "10:05:00"),
        request(POD, "patch", "10:06:00.000"),
    )
    tree = story_of(POD, spans, since=at("10:04:00"), until=at("10:10:00"))
    assert [f.span.source for f in tree.root.facts] == ["gap", "request"]


def test_an_owned_object_that_is_known_by_its_link_only_stays() -> None:
    spans = weave(
        request(RS, "patch", "10:05:00.000"),
        change(POD, "Added", "10:01:00", uid=uid(1), version="1", owners=(owner(RS, uid(2)),)),
    )
    left = [span for span in spans if span.key != POD]
    tree = story_of(RS, left, since=at("10:04:00"), until=at("10:06:00"))
    assert [child.key for child in tree.root.children] == [POD]


def test_a_window_ends_where_the_next_begins() -> None:
    window = MergedWindow(start=at("10:00:00"), length=at("10:30:00") - at("10:00:00"), trace_id=b"")
    assert window.overlaps(at("10:29:59.999"), at("11:00:00"))
    assert not window.overlaps(at("10:30:00"), at("11:00:00"))
    assert window.overlaps(at("09:00:00"), at("10:00:00"))
    assert not window.overlaps(at("09:00:00"), at("09:59:59.999"))
