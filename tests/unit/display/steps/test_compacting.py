"""Objects as long as their facts, and no long times without anything."""

from __future__ import annotations

import dataclasses
import io

import msgspec
from rich.console import Console

from kubeweft.display.steps.compacting import compact_durations
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.made import SHOWN_MOVED, tag, true_start
from kubeweft.display.tree.trees import Tree, nodes_of
from kubeweft.display.writing.text import write_tree
from memory_reader import story_of
from span_builders import SECOND, at, change, event, key, owner, request, uid, weave

TOP, POD = key("deployments", "top"), key("pods", "web-0")
TEN = Duration.read("10s")


def spread() -> Tree:
    return story_of(
        TOP,
        weave(
            request(TOP, "patch", "10:00:00.000", took=1),
            change(POD, "Added", "10:00:05", uid=uid(2), version="5", owners=(owner(TOP, uid(1)),)),
            event(POD, "Late", "10:10:05", uid=uid(2)),
            request(TOP, "patch", "10:20:05.000", took=2),
        ),
    )


def test_objects_take_the_time_of_their_facts() -> None:
    tree = spread()
    long = dataclasses.replace(tree, root=msgspec.structs.replace(tree.root, start=0, end=10**19))
    assert compact_durations(long) == tree
    assert compact_durations(long, objects=False) == long


def test_long_gaps_are_cut_to_their_limit_and_short_ones_stay() -> None:
    tree = compact_durations(spread(), longest_gap=TEN)
    starts = [fact.start for node in nodes_of(tree.root) for fact in node.facts]
    assert sorted(starts) == [at("10:00:00.000"), at("10:00:05"), at("10:00:15"), at("10:00:25")]
    assert tree.root.end == at("10:00:27")
    assert (tree.root.children[0].start, tree.root.children[0].end) == (at("10:00:05"), at("10:00:15"))


def test_what_was_moved_knows_when_it_was() -> None:
    tree = compact_durations(spread(), longest_gap=TEN)
    last = tree.root.facts[-1]
    assert tag(last.label, SHOWN_MOVED) == str(-1180 * SECOND)
    assert true_start(last) == at("10:20:05.000")
    out = io.StringIO()
    write_tree(tree, Console(file=out, width=140))
    times = [line[:12].strip() for line in out.getvalue().splitlines()[4:]]
    assert times == ["10:00:00", "10:00:00.000", "10:20:05.000", "10:00:05", "10:00:05", "10:10:05"]


def test_a_gap_that_something_lasts_over_is_none() -> None:
    tree = story_of(
        TOP, weave(request(TOP, "patch", "10:00:00.000", took=600), request(TOP, "get", "10:09:59.000"))
    )
    assert compact_durations(tree, longest_gap=TEN) == tree


def test_a_second_time_changes_nothing() -> None:
    once = compact_durations(spread(), longest_gap=TEN)
    assert compact_durations(once, longest_gap=TEN) == once
