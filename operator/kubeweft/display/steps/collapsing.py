"""Fold what has nothing to tell into its only child, so that a tree is no deeper than its story."""

from __future__ import annotations

import dataclasses
from typing import Literal

import msgspec

from kubeweft.display.tree.made import SHOWN_FOLDED, is_made_by, tag, with_tags
from kubeweft.display.tree.trees import Fact, Node, Tree
from kubeweft.model import vocabulary as v
from kubeweft.model.references import group_resource

Foldable = Literal["objects", "groups", "changes"]
OF_CHANGES = (
    v.CHANGE_TYPE,
    v.OLD_VERSION,
    v.WORDS,
    v.PATCH,
    v.PATCH_TRUNCATED,
    v.FIELD_MANAGER,
    v.FIELD_MANAGER_OPERATION,
    v.FIELD_MANAGER_SUBRESOURCE,
)


def collapse(tree: Tree, *, what: list[Foldable] | None = None) -> Tree:
    """``objects`` without a fact or link give way to their only child, ``groups`` of one fact to that fact, and ``changes``
    become tags of the request that made them, where it made only this one. Without ``what``: objects and groups."""
    wanted = frozenset(what if what is not None else ("objects", "groups"))
    nodes = [_node(node, wanted) for node in (tree.root, *tree.linked)]
    return dataclasses.replace(tree, root=nodes[0], linked=tuple(nodes[1:]))


def _node(node: Node, wanted: frozenset[Foldable]) -> Node:
    children = [_node(child, wanted) for child in node.children]
    if "objects" in wanted:
        children = [_only_child(child) for child in children]
    facts = tuple([_fact(fact, wanted) for fact in node.facts])
    return msgspec.structs.replace(node, facts=facts, children=tuple(children))


def _only_child(node: Node) -> Node:
    if node.facts or node.links or len(node.children) != 1:
        return node
    (child,) = node.children
    kind = node.kind or group_resource(node.key.group, node.key.resource)
    folded = (f"{kind} {node.key.name}", tag(node.label, SHOWN_FOLDED), tag(child.label, SHOWN_FOLDED))
    told = ", ".join([one for one in folded if one])
    return msgspec.structs.replace(child, label=with_tags(child.label, (SHOWN_FOLDED, told)))


def _fact(fact: Fact, wanted: frozenset[Foldable]) -> Fact:
    if not fact.children:
        return fact
    children = tuple([_fact(child, wanted) for child in fact.children])
    if "groups" in wanted and fact.folds == "group" and len(children) == 1:
        return children[0]
    changed = msgspec.structs.replace(fact, children=children)
    if "changes" in wanted and fact.span.source == "request" and not fact.folds and len(children) == 1:
        return _with_change(changed, children[0])
    return changed


def _with_change(request: Fact, change: Fact) -> Fact:
    if not is_made_by(change, request) or change.children:
        return request
    told = [(name, change.text(name)) for name in OF_CHANGES if change.text(name)]
    return msgspec.structs.replace(request, children=(), label=with_tags(request.label, *told))
