"""Group the requests that failed with 409 against one old version: a conflict storm is one fact, not hundreds."""

from __future__ import annotations

import dataclasses

from kubeweft.display.trees import Fact, Node, Tree, each_node
from kubeweft.model import vocabulary as v

CONFLICT = 409


def group_conflicts(tree: Tree) -> Tree:
    """The first of several conflicts against one version has the others under it and lasts until the last."""
    return each_node(tree, _group)


def _group(node: Node) -> Node:
    storms: dict[str, list[Fact]] = {}
    for fact in node.facts:
        if _is_conflict(fact):
            storms.setdefault(fact.text(v.REQUEST_BASE_VERSION), []).append(fact)
    if all(len(facts) == 1 for facts in storms.values()):
        return node
    kept = [fact for fact in node.facts if not _is_conflict(fact)]
    kept.extend(_storm(facts) for facts in storms.values())
    return dataclasses.replace(node, facts=tuple(kept))


def _is_conflict(fact: Fact) -> bool:
    return (
        fact.span.source == "request"
        and fact.number(v.CODE) == CONFLICT
        and bool(fact.text(v.REQUEST_BASE_VERSION))
    )


def _storm(facts: list[Fact]) -> Fact:
    first, *others = sorted(facts, key=lambda f: (f.start, f.end, f.span.span_id))
    if not others:
        return first
    return dataclasses.replace(
        first, end=max(f.end for f in facts), children=tuple(others), folds="conflicts"
    )
