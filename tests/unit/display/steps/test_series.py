"""The states of one Event are one fact."""

from __future__ import annotations

from memory_reader import story_of
from span_builders import at, event, key, weave

POD = key("pods", "web-0")


def test_states_are_merged_with_the_highest_count_last() -> None:
    spans = weave(
        event(POD, "BackOff", "10:20:00", count=9, first="10:00:00"),
        event(POD, "BackOff", "10:00:00", count=1),
        event(POD, "BackOff", "10:05:00", count=3, first="10:00:00"),
    )
    (fact,) = story_of(POD, spans).root.facts
    assert fact.folds == "series"
    assert [fact.number("k8s.event.count"), *(c.number("k8s.event.count") for c in fact.children)] == [
        1,
        3,
        9,
    ]
    assert (fact.start, fact.end) == (at("10:00:00"), at("10:20:00"))


def test_a_series_may_cross_windows() -> None:
    spans = weave(
        event(POD, "BackOff", "10:29:59", count=1),
        event(POD, "BackOff", "10:30:00", count=2, first="10:29:59"),
    )
    tree = story_of(POD, spans)
    assert len(tree.root.windows) == 2
    assert len(tree.root.facts) == 1


def test_two_events_of_one_reason_stay_two() -> None:
    spans = weave(
        event(POD, "Pulled", "10:00:00", event_uid="one"), event(POD, "Pulled", "10:00:01", event_uid="two")
    )
    assert len(story_of(POD, spans).root.facts) == 2


def test_within_one_second_the_count_tells_the_order() -> None:
    states = [event(POD, "BackOff", "10:00:00", count=count, first="10:00:00") for count in (2, 4, 1, 3)]
    for order in (states, states[::-1]):
        (fact,) = story_of(POD, weave(*order)).root.facts
        assert [state.number("k8s.event.count") for state in (fact, *fact.children)] == [1, 2, 3, 4]
