"""Merge the states of one Kubernetes Event.

An Event that repeats is the same object with a higher count, and each state seen is a span. Shown is one fact: the
first state, with the later ones under it, the highest count last.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree, each_node
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey


def merge_event_series(tree: Tree) -> Tree:
    """One fact for each Event, from its first to its last state."""
    return each_node(tree, _merge)


def fold_series(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The same for a list of facts, maybe of several objects; a series stands where its first state stood."""
    states: dict[tuple[ObjectKey, str], list[Fact]] = {}
    for fact in facts:
        if series := _series_of(fact):
            states.setdefault(series, []).append(fact)
    if all(len(same) == 1 for same in states.values()):
        return tuple(facts)
    kept = []
    for fact in facts:
        series = _series_of(fact)
        same = states[series] if series else [fact]
        if len(same) == 1:
            kept.append(fact)
        elif fact is same[0]:
            kept.append(_folded(same))
    return tuple(kept)


def unfold_series(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Series taken apart again into the states that they are made of."""
    if not any(fact.folds == "series" for fact in facts):
        return tuple(facts)
    apart: list[Fact] = []
    for fact in facts:
        if fact.folds == "series":
            alone = msgspec.structs.replace(fact, end=fact.start, children=(), folds="")
            apart.extend((alone, *fact.children))
        else:
            apart.append(fact)
    return tuple(apart)


def _merge(node: Node) -> Node:
    facts = fold_series(node.facts)
    return node if len(facts) == len(node.facts) else msgspec.structs.replace(node, facts=facts)


def _series_of(fact: Fact) -> tuple[ObjectKey, str] | None:
    uid = fact.text(v.EVENT_UID) if fact.span.source == "event" else ""
    return (fact.span.key, uid) if uid else None


def _folded(states: list[Fact]) -> Fact:
    first, *later = sorted(states, key=lambda f: (f.number(v.EVENT_COUNT), f.start, f.span.span_id))
    end = max(f.end for f in states)
    return msgspec.structs.replace(
        first, start=min(f.start for f in states), end=end, children=tuple(later), folds="series"
    )
