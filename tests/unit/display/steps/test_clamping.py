"""No effect before its cause, where clocks are to blame."""

from __future__ import annotations

import dataclasses
import io

import msgspec
from rich.console import Console

from kubeweft.display.steps.clamping import clamp_clocks
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.made import SHOWN_MOVED, SHOWN_SKEW, tag
from kubeweft.display.tree.trees import Fact, Tree, fact_of
from kubeweft.display.writing.text import write_tree
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import SECOND, at, event, key, request, weave

IT = key("configmaps", "it")
CAUSE = request(IT, "patch", "10:00:05.300")


def under(*seen: Observation) -> Tree:
    """The cause, with everything else under it."""
    tree = story_of(IT, weave(CAUSE, *seen))
    (cause,) = [
        fact for fact in tree.root.facts if fact.span.name == "patch" and fact.start == at("10:00:05.300")
    ]
    children = tuple([fact for fact in tree.root.facts if fact is not cause])
    return dataclasses.replace(
        tree,
        root=msgspec.structs.replace(tree.root, facts=(msgspec.structs.replace(cause, children=children),)),
    )


def clamped(*seen: Observation, **most: Duration) -> Fact:
    (cause,) = clamp_clocks(under(*seen), **most).root.facts
    return cause.children[0]


def test_what_is_known_to_the_second_begins_with_its_cause_without_a_word() -> None:
    child = clamped(event(IT, "Soon", "10:00:05"))
    assert (child.start, child.end) == (at("10:00:05.300"), at("10:00:05.300"))
    assert (tag(child.label, SHOWN_MOVED), tag(child.label, SHOWN_SKEW)) == (str(3 * SECOND // 10), "")


def test_a_clock_that_is_behind_is_told() -> None:
    child = clamped(request(IT, "update", "10:00:03.200", took=0.5))
    assert (child.start, child.end) == (at("10:00:05.300"), at("10:00:05.800"))
    assert tag(child.label, SHOWN_SKEW) == "2.1s"


def test_text_goes_on_telling_the_time_that_was_observed() -> None:
    tree = clamp_clocks(under(event(IT, "Soon", "10:00:05"), request(IT, "update", "10:00:03.200")))
    out = io.StringIO()
    write_tree(tree, Console(file=out, width=200))
    lines = out.getvalue().splitlines()[5:]
    assert [line[:14].strip() for line in lines] == ["10:00:05.300", "10:00:03.200", "10:00:05"]
    assert lines[1].endswith("(shown 2.1s later: its clock was behind)")


def test_what_no_clock_explains_is_left_alone() -> None:
    child = clamped(request(IT, "update", "10:00:00.000"))
    assert child.start == at("10:00:00.000")
    assert clamped(request(IT, "update", "10:00:00.000"), most=Duration.read("1m")).start == at(
        "10:00:05.300"
    )


def test_a_second_time_changes_nothing() -> None:
    once = clamp_clocks(under(event(IT, "Soon", "10:00:05"), request(IT, "update", "10:00:03.200")))
    assert clamp_clocks(once) == once


def test_in_a_conflict_storm_nothing_is_the_cause_of_another() -> None:
    storm = [request(IT, "update", f"10:00:0{n}.000", code=409, base="7") for n in (2, 1)]
    tree = story_of(IT, weave(*storm))
    assert clamp_clocks(tree) == tree


def test_all_below_that_the_same_clock_told_moves_along() -> None:
    east, hub = key("pods", "in-east", cluster="east"), key("pods", "in-hub", cluster="hub")
    tree = story_of(IT, weave(CAUSE))
    root = fact_of_request(request(east, "update", "10:00:05.100", took=0.05))
    below = fact_of_request(request(east, "patch", "10:00:05.400"))
    elsewhere = fact_of_request(request(hub, "patch", "10:00:05.350"))
    (cause,) = tree.root.facts
    chain = cause.holding((root.holding((below, elsewhere)),))
    told = dataclasses.replace(tree, root=msgspec.structs.replace(tree.root, facts=(chain,)))
    (moved,) = clamp_clocks(told).root.facts[0].children
    assert (moved.start, tag(moved.label, SHOWN_SKEW)) == (at("10:00:05.300"), "200ms")
    same, other = moved.children
    assert (same.start, tag(same.label, SHOWN_MOVED)) == (at("10:00:05.600"), str(SECOND // 5))
    assert tag(same.label, SHOWN_SKEW) == ""  # its cause says why
    assert (other.start, tag(other.label, SHOWN_MOVED)) == (at("10:00:05.350"), "")
    assert clamp_clocks(clamp_clocks(told)) == clamp_clocks(told)


def fact_of_request(seen: Observation) -> Fact:
    (fact,) = [fact_of(span) for span in weave(seen) if span.source == "request"]
    return fact
