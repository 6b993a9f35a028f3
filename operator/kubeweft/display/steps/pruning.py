"""Take away objects of which nothing is left to tell."""

from __future__ import annotations

import dataclasses

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree


def prune_childless(tree: Tree, *, linked: bool = True) -> Tree:
    """No object without facts and without children, ``linked`` ones too, and no group without facts; the root stays."""
    root = msgspec.structs.replace(
        tree.root, facts=_full(tree.root.facts), children=_pruned(tree.root.children)
    )
    return dataclasses.replace(tree, root=root, linked=_pruned(tree.linked) if linked else tree.linked)


def _pruned(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    kept = [
        msgspec.structs.replace(node, facts=_full(node.facts), children=_pruned(node.children))
        for node in nodes
    ]
    return tuple([node for node in kept if node.facts or node.children])


def _full(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Facts without groups that gather nothing."""
    if not any(fact.folds == "group" for fact in facts):
        return facts
    filled = [
        msgspec.structs.replace(fact, children=_full(fact.children)) if fact.folds == "group" else fact
        for fact in facts
    ]
    return tuple([fact for fact in filled if fact.folds != "group" or fact.children])
