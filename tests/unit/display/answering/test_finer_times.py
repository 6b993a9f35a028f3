"""What tells only its second stands, for viewers, where it was; text and JSON go on telling what was observed."""

from __future__ import annotations

import io
from collections.abc import Sequence

import msgspec
import pytest
from rich.console import Console

from kubeweft.display.answering.addressing import Addresses
from kubeweft.display.answering.contract import DisplayedSpan
from kubeweft.display.answering.finer_times import with_finer_times
from kubeweft.display.answering.flattening import flatten
from kubeweft.display.steps.compacting import compact_durations
from kubeweft.display.steps.fitting import fit_objects
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.made import SHOWN_MOVED, SHOWN_PLACED, tag
from kubeweft.display.tree.trees import FOREVER, Fact, Node, Tree, facts_of, nodes_of, shown_nodes
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.writing.json_shape import tree_as_json
from kubeweft.display.writing.text import write_tree
from kubeweft.model.observations import Observation
from kubeweft.model.timestamps import format_timestamp
from memory_reader import story_of
from span_builders import SECOND, at, change, event, key, owner, request, uid, weave

TOP, POD, QUIET = key("replicasets", "top"), key("pods", "web-0"), key("pods", "web-1")
VIEWS = list(builtin_views().views)


def named(told: Observation, clock: str) -> Observation:
    """An Event as client-go names it: by the nanosecond in which it was made."""
    return msgspec.structs.replace(told, event_name=f"it.{at(clock):x}")


SEEN = (
    request(TOP, "create", "10:00:00.300", code=201, uid=uid(1), version="1"),
    change(TOP, "Added", "10:00:00", uid=uid(1), version="1"),
    named(event(TOP, "SuccessfulCreate", "10:00:00"), "10:00:00.700"),
    change(POD, "Added", "10:00:00", uid=uid(2), version="2", owners=(owner(TOP, uid(1)),)),
    request(POD, "create", "10:00:00.600", code=201, uid=uid(2), version="2"),
    event(POD, "Pulled", "10:00:00", uid=uid(2)),
    request(POD, "patch", "10:00:02.500", uid=uid(2), version="5", user="jane"),
    change(POD, "Modified", "10:00:02", uid=uid(2), old="5", version="6", words=("a 1 → 2",), manager="m"),
)


def tree(view: str = "tree", seen: Sequence[Observation] = SEEN, until: int = FOREVER) -> Tree:
    return story_of(TOP, weave(*seen), view=builtin_views().view(view), until=until)


def fact(of: Tree, name: str, source: str = "event") -> Fact:
    """The only fact of this name and source."""
    facts = [f for node in shown_nodes(of) for f in facts_of(node.facts)]
    (found,) = [f for f in facts if (f.span.name, f.span.source) == (name, source)]
    return found


def flat(of: Tree) -> list[DisplayedSpan]:
    return list(flatten(of, Addresses(view=1, selection=0, since=at("10:00:00"), until=at("10:59:59"))))


@pytest.mark.parametrize("view", VIEWS)
def test_events_stand_where_their_name_or_the_creation_tells(view: str) -> None:
    placed = with_finer_times(tree(view))
    by_name, by_creation = fact(placed, "SuccessfulCreate"), fact(placed, "Pulled")
    assert (by_name.start, by_name.end) == (at("10:00:00.700"), at("10:00:00.700"))
    assert tag(by_name.label, SHOWN_PLACED) == "name"
    assert tag(by_name.label, SHOWN_MOVED) == str(7 * SECOND // 10)
    assert by_creation.start > at("10:00:00.600")
    assert by_creation.start <= at("10:00:00.600") + 10**6
    assert tag(by_creation.label, SHOWN_PLACED) == "creation"


def test_a_change_of_nobody_stands_where_its_version_tells() -> None:
    placed = fact(with_finer_times(tree()), "changed", "change")
    assert placed.start == placed.end == at("10:00:02.500")
    assert (tag(placed.label, SHOWN_PLACED), tag(placed.label, SHOWN_MOVED)) == ("version", str(SECOND // 2))


def test_objects_begin_with_the_first_that_is_left_in_them() -> None:
    root = with_finer_times(tree()).root
    (pod,) = root.children
    assert tree().root.start == at("10:00:00")
    assert (root.start, pod.start) == (at("10:00:00.300"), at("10:00:00.600"))
    assert (root.end, pod.end) == (at("10:00:02.512"), at("10:00:02.512"))


def test_objects_and_links_without_a_time_follow_their_parent() -> None:
    spans = [
        span
        for span in weave(
            *SEEN, change(QUIET, "Added", "10:00:01", uid=uid(3), version="3", owners=(owner(TOP, uid(1)),))
        )
        if span.key != QUIET
    ]
    root = with_finer_times(story_of(TOP, spans)).root
    (quiet,) = [child for child in root.children if child.key == QUIET]
    assert (quiet.start, quiet.end) == (root.start, root.start)
    assert all(link.start == node.start for node in nodes_of(root) for link in node.links)


def test_what_is_known_no_better_stays_and_says_nothing() -> None:
    of = story_of(TOP, weave(event(TOP, "Alone", "10:00:00"), request(TOP, "get", "10:00:03.200")))
    assert with_finer_times(of).root is of.root


def test_nothing_leaves_the_time_that_was_asked_for() -> None:
    asked = tree(until=at("10:00:00.650"))
    placed = with_finer_times(asked)
    assert fact(placed, "SuccessfulCreate").start == at("10:00:00")
    assert fact(placed, "Pulled").start > at("10:00:00.600")
    assert all(f.start <= asked.until for node in shown_nodes(placed) for f in facts_of(node.facts))


@pytest.mark.parametrize("view", VIEWS)
def test_a_second_time_changes_nothing(view: str) -> None:
    once = with_finer_times(tree(view))
    again = with_finer_times(once)
    assert (again.root is once.root, again.linked) == (True, once.linked)


@pytest.mark.parametrize("view", VIEWS)
def test_viewers_get_it_and_whatever_encloses_goes_on_doing_so(view: str) -> None:
    of = tree(view)
    spans = flat(of)
    (shown,) = [span for span in spans if "SuccessfulCreate" in span.operation and span.service != "group"]
    assert shown.start == at("10:00:00.700")
    assert shown.attributes[SHOWN_PLACED] == "name"
    placed = with_finer_times(of)
    fitted = fit_objects(placed)
    assert [(n.start, n.end) for n in nodes_of(placed.root)] == [
        (n.start, n.end) for n in nodes_of(fitted.root)
    ]
    for group in [f for n in nodes_of(placed.root) for f in facts_of(n.facts) if f.folds == "group"]:
        assert group.start == min(child.start for child in group.children)
        assert group.end == max(child.end for child in group.children)


@pytest.mark.parametrize("view", VIEWS)
def test_text_and_json_tell_what_was_observed(view: str) -> None:
    out = io.StringIO()
    write_tree(tree(view), Console(file=out, width=200))
    assert "10:00:00 " in out.getvalue()
    assert "10:00:00.700" not in out.getvalue()
    (told,) = [s for s in tree_as_json(tree(view))["spans"] if s["name"] == "SuccessfulCreate"]
    assert told["start"] == format_timestamp(fact(tree(view), "SuccessfulCreate").start)
    assert SHOWN_PLACED not in told.get("label", {}).get("tags", {})


def test_a_cause_lasts_until_what_it_caused_where_it_did_before() -> None:
    placed = with_finer_times(tree("tracing"))
    for node in nodes_of(placed.root):
        for cause in facts_of(node.facts):
            assert all(child.start >= cause.start for child in cause.children)
            assert all(child.end <= cause.end for child in cause.children)


def test_a_series_begins_where_its_first_state_was() -> None:
    states = [
        event(POD, "Again", clock, count=n) for n, clock in enumerate(("10:00:00", "10:05:00"), start=1)
    ]
    of = story_of(POD, weave(*[named(state, "10:00:00.400") for state in states]))
    (series,) = with_finer_times(of).root.facts
    assert (series.start, series.end) == (at("10:00:00.400"), at("10:05:00"))


def test_where_long_gaps_are_cut_it_stays_in_its_place() -> None:
    seen = [
        request(TOP, "create", "10:00:00.300", code=201, uid=uid(1), version="1"),
        named(event(TOP, "Late", "10:20:00"), "10:20:00.700"),
        request(TOP, "patch", "10:20:00.900", uid=uid(1), version="2"),
    ]
    root = with_finer_times(compact_durations(tree(seen=seen), longest_gap=Duration(10 * SECOND))).root
    create, late, patch = root.facts
    assert [late.span.name, patch.span.name] == ["Late", "patch"]
    assert create.end < late.start < patch.start
    assert patch.start - create.start < 20 * SECOND


def test_an_object_that_a_view_left_longer_stays_longer() -> None:
    of = tree()
    longer = Node(
        key=of.root.key,
        kind=of.root.kind,
        span=of.root.span,
        start=of.root.start - SECOND,
        end=of.root.end + SECOND,
        windows=of.root.windows,
        facts=of.root.facts,
    )
    placed = with_finer_times(Tree(root=longer)).root
    assert (placed.start, placed.end) == (longer.start, longer.end)
