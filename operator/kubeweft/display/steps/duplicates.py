"""Fold what was stored twice.

The same span may stand in two windows (two observers that gave it another time), and a reader that missed versions
tells one large step where its twin tells the small ones. Both are true; shown is each fact once, as finely as known.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree, each_node, version_number
from kubeweft.model import vocabulary as v


def fold_duplicates(tree: Tree) -> Tree:
    """Every span ID once per object (the earliest), and no step that smaller steps explain."""
    return each_node(tree, _fold_node)


def _fold_node(node: Node) -> Node:
    facts, links = _fold(node), _once(node.links)
    if len(facts) == len(node.facts) and len(links) == len(node.links):
        return node
    return msgspec.structs.replace(node, facts=facts, links=links)


def _fold(node: Node) -> tuple[Fact, ...]:
    facts = _once(node.facts)
    coarse = _coarse_steps([f for f in facts if f.span.source == "change"])
    return tuple([f for f in facts if f.span.span_id not in coarse]) if coarse else facts


def _once(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    earliest: dict[bytes, Fact] = {}
    for fact in facts:
        known = earliest.get(fact.span.span_id)
        if known is None or (fact.start, fact.span.trace_id) < (known.start, known.span.trace_id):
            earliest[fact.span.span_id] = fact
    return tuple(earliest.values())


Version = tuple[str, str]  # of which UID, which resourceVersion


def _coarse_steps(changes: list[Fact]) -> set[bytes]:
    into: dict[Version, list[Fact]] = {}
    for change in changes:
        if change.text(v.CHANGE_TYPE) != "Sighting":
            into.setdefault((change.text(v.UID), change.text(v.RESOURCE_VERSION)), []).append(change)
    return {
        step.span.span_id
        for steps in into.values()
        if len(steps) > 1
        for step in steps
        if step is not _finest(steps) and _is_explained(step, into)
    }


def _is_explained(step: Fact, into: dict[Version, list[Fact]]) -> bool:
    """Whether smaller steps lead from the same old version to the same new one."""
    uid, goal = step.text(v.UID), step.text(v.OLD_VERSION)
    at, seen = step.text(v.RESOURCE_VERSION), set[str]()
    while at != goal:
        steps = into.get((uid, at), ())
        if not steps or at in seen:
            return False
        seen.add(at)
        at = _finest(steps).text(v.OLD_VERSION)
    return True


def _finest(steps: Iterable[Fact]) -> Fact:
    return max(steps, key=lambda f: (version_number(f.text(v.OLD_VERSION)), f.span.span_id))
