"""Tell the lives of a re-created name apart: what happened to the old Pod is no story of the new one.

Where nothing of one life stands under another, each has a group of its own. Where a view put facts under their causes,
the end of one life may be why the next began: then facts stay under their causes, and say of which life they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kubeweft.display.steps.gathering import gather
from kubeweft.display.tree.changing import dissolved, relabelled
from kubeweft.display.tree.made import GROUP_UID, SHOWN_LIFE, has_lives_apart, with_tags
from kubeweft.display.tree.trees import Fact, Node, Tree, each_node, is_gathered, shown_nodes
from kubeweft.model.references import ObjectKey


def split_recreated(tree: Tree) -> Tree:
    """One group for each life of an object that has several, oldest first; none for one of which nothing is left here."""
    several = {node.key: len(node.lives) for node in shown_nodes(tree) if len(node.lives) > 1}
    return each_node(tree, lambda node: _split(node, several)) if several else tree


def _split(node: Node, several: Mapping[ObjectKey, int]) -> Node:
    facts = tuple(dissolved(node.facts))
    if not has_lives_apart(msgspec.structs.replace(node, facts=facts)):
        return msgspec.structs.replace(node, facts=tuple([_told(fact, several, None) for fact in node.facts]))
    groups = []
    for number, life in enumerate(node.lives):
        own = tuple([_told(fact, several, fact) for fact in facts if fact.life == number])
        if not own:
            continue  # what happened to it stands under its cause, or outside the time asked for
        value = f"life {number + 1}"
        groups.append(
            gather(node, own, by="life", value=value, attributes={GROUP_UID: life.uid}, life=number)
        )
    return msgspec.structs.replace(node, facts=tuple(groups))


def _told(fact: Fact, several: Mapping[ObjectKey, int], under: Fact | None) -> Fact:
    """The fact with its life, unless it stands under one of the same life or its object has only one."""
    key = fact.span.key
    if key in several and not is_gathered(fact) and not _is_same_life(fact, under):
        number = str(min(fact.life + 1, several[key]))
        fact = relabelled(fact, with_tags(fact.label, (SHOWN_LIFE, number)), fact.children)
    if not fact.children:
        return fact
    above = under if is_gathered(fact) else fact
    return fact.holding(tuple([_told(child, several, above) for child in fact.children]))


def _is_same_life(fact: Fact, under: Fact | None) -> bool:
    return under is not None and (under.span.key, under.life) == (fact.span.key, fact.life)
