"""Take away the links that the tree itself shows, and keep the others once.

A link is written in every window and at both ends. An owned object that stands under its owner needs no line that says
so; what remains are second owners, peers, and owners outside the tree.
"""

from __future__ import annotations

import dataclasses

from kubeweft.display.trees import Fact, Node, Tree, link_target, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey

ROLE_RANK = {"Parent": 0, "Peer": 1, "Child": 2}


def consume_links(tree: Tree) -> Tree:
    """Links that are not told by the nesting, one for each target, role and class."""
    shown = frozenset(node.key for node in nodes_of(tree.root))
    return dataclasses.replace(tree, root=_consume(tree.root, owner=None, shown=shown))


def _consume(node: Node, *, owner: ObjectKey | None, shown: frozenset[ObjectKey]) -> Node:
    told = {("Child", child.key) for child in node.children} | {("Parent", owner)}
    kept: dict[tuple[int, ObjectKey, str], Fact] = {}
    for link in sorted(node.links, key=lambda f: (f.start, f.span.trace_id)):
        role, target = link.text(v.LINK_ROLE), link_target(link.span)
        left_out = role == "Child" and target not in shown  # a limit or the range did that, and said so
        if (role, target) not in told and not left_out:
            kept.setdefault((ROLE_RANK.get(role, 9), target, link.text(v.LINK_CLASS)), link)
    children = [_consume(child, owner=node.key, shown=shown) for child in node.children]
    return dataclasses.replace(node, links=tuple([kept[k] for k in sorted(kept)]), children=tuple(children))
