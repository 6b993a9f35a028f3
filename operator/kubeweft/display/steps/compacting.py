"""Make short work visible: objects last no longer than what happened to them, and long times without anything are cut.

What is moved on the axis of time says by how much, and text goes on telling the time that was observed.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from kubeweft.display.steps.fitting import fit_objects
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.made import SHOWN_MOVED, tag, with_tags
from kubeweft.display.tree.trees import Fact, Node, Tree, facts_of, is_gathered, shown_nodes

Part = TypeVar("Part", Fact, Node)


def compact_durations(tree: Tree, *, objects: bool = True, longest_gap: Duration | None = None) -> Tree:
    """``objects`` take the time of their facts; where nothing happens for longer than ``longest_gap``, it is cut to that."""
    fitted = fit_objects(tree) if objects else tree
    if longest_gap is None:
        return fitted
    axis = _ShortAxis.of(fitted, longest_gap)
    return axis.placed(fitted) if axis.cuts else fitted


@dataclass(frozen=True, slots=True)
class _ShortAxis:
    """Time without its long gaps: each cut begins at a time, and takes so much out that this much is gone after it."""

    cuts: list[int]
    lengths: list[int]
    gone: list[int]

    @classmethod
    def of(cls, tree: Tree, longest: int) -> _ShortAxis:
        axis = cls([], [], [])
        reached: int | None = None
        for start, end in sorted(_busy(tree)):
            if reached is not None and start - reached > longest:
                axis.cuts.append(reached + longest)
                axis.lengths.append(start - reached - longest)
                axis.gone.append((axis.gone[-1] if axis.gone else 0) + axis.lengths[-1])
            reached = end if reached is None else max(reached, end)
        return axis

    def place(self, time: int) -> int:
        """Where a time lies on the short axis; all of what is cut out lies at the cut."""
        index = bisect.bisect_right(self.cuts, time) - 1
        if index < 0:
            return time
        into = min(time - self.cuts[index], self.lengths[index])
        return time - into - (self.gone[index] - self.lengths[index])

    def placed(self, tree: Tree) -> Tree:
        return dataclasses.replace(
            tree,
            root=self._node(tree.root),
            linked=tuple([self._node(node) for node in tree.linked]),
        )

    def _node(self, node: Node) -> Node:
        return msgspec.structs.replace(
            self._moved(node),
            facts=tuple([self._fact(fact) for fact in node.facts]),
            links=tuple([self._fact(link) for link in node.links]),
            via=tuple([self._fact(link) for link in node.via]),
            children=tuple([self._node(child) for child in node.children]),
        )

    def _fact(self, fact: Fact) -> Fact:
        moved = self._moved(fact)
        if fact.finer is not None:
            finer = fact.finer._replace(time=self.place(fact.finer.time))
            moved = moved.known(finer)
        if not fact.children:
            return moved
        return msgspec.structs.replace(moved, children=tuple([self._fact(child) for child in fact.children]))

    def _moved(self, part: Part) -> Part:
        start, end = self.place(part.start), self.place(part.end)
        if start == part.start:
            return part if end == part.end else msgspec.structs.replace(part, end=end)
        moved = int(tag(part.label, SHOWN_MOVED) or 0) + start - part.start
        label = with_tags(part.label, (SHOWN_MOVED, str(moved)))
        return msgspec.structs.replace(part, start=start, end=end, label=label)


def _busy(tree: Tree) -> Iterator[tuple[int, int]]:
    """When something went on: facts for as long as they took themselves, not what they stand over."""
    for node in shown_nodes(tree):
        for fact in facts_of(node.facts):
            if not is_gathered(fact):
                took = fact.span.end - fact.span.start
                yield fact.start, fact.start + max(0, took)
