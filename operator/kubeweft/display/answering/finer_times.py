"""For viewers that order by time alone: what tells only its second stands where it was, as far as that is known.

Text and JSON go on telling what was observed. What is moved says by how much and why, objects and groups still enclose
what they did before, and nothing is moved out of the time that was asked for.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence

import msgspec

from kubeweft.display.tree.changing import enclosing
from kubeweft.display.tree.made import SHOWN_MOVED, SHOWN_PLACED, tag, with_tags
from kubeweft.display.tree.trees import USUAL, Fact, Label, Node, Tree

GATHERED = frozenset({"group", "object"})
Part = Fact | Node


def with_finer_times(tree: Tree) -> Tree:
    """The tree with all facts at the finest time that is known of each."""
    placing = _Placing(tree.until)
    return dataclasses.replace(
        tree, root=placing.node(tree.root), linked=tuple([placing.node(node) for node in tree.linked])
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Placing:
    until: int

    def node(self, node: Node) -> Node:
        facts = tuple([self.fact(fact) for fact in node.facts])
        children = tuple([self.node(child) for child in node.children])
        if _same(facts, node.facts) and _same(children, node.children):
            return node
        old: list[Part] = [*node.facts, *filter(_has_time, node.children)]
        new: list[Part] = [*facts, *filter(_has_time, children)]
        start, end = _bounds(node, old, new)
        return msgspec.structs.replace(
            node,
            start=start,
            end=end,
            facts=facts,
            links=_begun(node.links, node.start, start),
            children=tuple([_following(child, node.start, start) for child in children]),
        )

    def fact(self, fact: Fact) -> Fact:
        if fact.finer is None and not fact.children:
            return fact
        placed = self._placed(fact)
        if not fact.children:
            return placed
        children = tuple([self.fact(child) for child in fact.children])
        if _same(children, fact.children):
            return placed
        start, end = placed.start, placed.end
        if fact.span.source in GATHERED:
            start, end = _bounds(fact, fact.children, children)
        elif all(child.end <= fact.end for child in fact.children):  # its bar tells how far it reached
            end = max([end, *[child.end for child in children]])
        return enclosing(placed, start, end, children)

    def _placed(self, fact: Fact) -> Fact:
        finer = fact.finer
        if finer is None or not fact.start < finer.time <= self.until:
            return fact
        start, end = finer.time, max(fact.end, finer.time)
        label = _telling(fact.label, finer.time - fact.start, finer.by)
        return Fact(fact.span, start, end, fact.children, fact.folds, fact.life, fact.rules, label, finer)


def _telling(label: Label, later: int, by: str) -> Label:
    if label is USUAL:
        return Label("", "", ((SHOWN_MOVED, str(later)), (SHOWN_PLACED, by)))
    moved = int(tag(label, SHOWN_MOVED) or 0) + later
    return with_tags(label, (SHOWN_MOVED, str(moved)), (SHOWN_PLACED, by))


def _same(new: Sequence[Part], old: Sequence[Part]) -> bool:
    return all(map(operator.is_, new, old))


def _bounds(around: Part, old: Sequence[Part], new: Sequence[Part]) -> tuple[int, int]:
    """From when to when something lasts that is made of its parts: as tight around them as it was."""
    first, last = min([part.start for part in new]), max([part.end for part in new])
    is_tight_before = around.start == min([part.start for part in old])
    is_tight_after = around.end == max([part.end for part in old])
    return (
        first if is_tight_before else min(around.start, first),
        last if is_tight_after else max(around.end, last),
    )


def _has_time(node: Node) -> bool:
    return bool(node.facts) or any(_has_time(child) for child in node.children)


def _following(node: Node, old: int, new: int) -> Node:
    """An object of which nothing is known begins with its parent."""
    if old == new or _has_time(node) or (node.start, node.end) != (old, old):
        return node
    children = tuple([_following(child, old, new) for child in node.children])
    return msgspec.structs.replace(
        node, start=new, end=new, links=_begun(node.links, old, new), children=children
    )


def _begun(links: tuple[Fact, ...], old: int, new: int) -> tuple[Fact, ...]:
    """Links have no time of their own: they lie where their object begins."""
    if old == new:
        return links
    return tuple([link.moved(new, new) if link.start == link.end == old else link for link in links])
