"""Give each life of a re-created name a group of its own: what happened to the old Pod is no story of the new one."""

from __future__ import annotations

import dataclasses

from kubeweft.display.steps.gathering import gather
from kubeweft.display.tree.changing import dissolved
from kubeweft.display.tree.made import GROUP_UID, has_lives_apart
from kubeweft.display.tree.trees import Node, Tree, each_node


def split_recreated(tree: Tree) -> Tree:
    """One group for each life of an object that has several, oldest first; none for one of which nothing is left here."""
    return each_node(tree, _split)


def _split(node: Node) -> Node:
    facts = tuple(dissolved(node.facts))
    if not has_lives_apart(dataclasses.replace(node, facts=facts)):
        return node
    groups = []
    for number, life in enumerate(node.lives):
        own = [fact for fact in facts if fact.life == number]
        if not own:
            continue  # what happened to it stands under its cause, or outside the time asked for
        value = f"life {number + 1}"
        groups.append(
            gather(node, own, by="life", value=value, attributes={GROUP_UID: life.uid}, life=number)
        )
    return dataclasses.replace(node, facts=tuple(groups))
