"""Merge the states of one Kubernetes Event.

An Event that repeats is the same object with a higher count, and each state seen is a span. Shown is one fact: the
first state, with the later ones under it, the highest count last.
"""

from __future__ import annotations

import dataclasses

from kubeweft.display.tree.trees import Fact, Node, Tree, each_node
from kubeweft.model import vocabulary as v


def merge_event_series(tree: Tree) -> Tree:
    """One fact for each Event, from its first to its last state."""
    return each_node(tree, _merge)


def _merge(node: Node) -> Node:
    states: dict[str, list[Fact]] = {}
    for fact in node.facts:
        if fact.span.source == "event" and fact.text(v.EVENT_UID):
            states.setdefault(fact.text(v.EVENT_UID), []).append(fact)
    if all(len(facts) == 1 for facts in states.values()):
        return node
    kept = []
    for fact in node.facts:
        same = states.get(fact.text(v.EVENT_UID)) if fact.span.source == "event" else None
        if same is None:
            kept.append(fact)
        elif fact is same[0]:
            kept.append(_series(same))
    return dataclasses.replace(node, facts=tuple(kept))


def _series(states: list[Fact]) -> Fact:
    if len(states) == 1:
        return states[0]
    first, *later = sorted(states, key=lambda f: (f.number(v.EVENT_COUNT), f.start, f.span.span_id))
    end = max(f.end for f in states)
    return dataclasses.replace(
        first, start=min(f.start for f in states), end=end, children=tuple(later), folds="series"
    )
