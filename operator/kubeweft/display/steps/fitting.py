"""Give each object the time that its story takes.

Stored object spans are as long as their windows: they reach into the future, and a request across the border reaches
out of them. Shown, an object lasts from the first to the last of what is under it.
"""

from __future__ import annotations

import dataclasses

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree, each_node, facts_of


def fit_objects(tree: Tree) -> Tree:
    """Every object encloses its facts and its children; one without any lies where its parent, or the root, begins."""
    fitted = each_node(tree, _fit)
    root = _place(fitted.root, owner=fitted.root)
    return dataclasses.replace(
        fitted, root=root, linked=tuple([_place(node, owner=root) for node in fitted.linked])
    )


def _fit(node: Node) -> Node:
    inside: list[Fact | Node] = [*node.facts, *(child for child in node.children if _has_time(child))]
    if not inside:
        return node
    return msgspec.structs.replace(
        node, start=min(part.start for part in inside), end=max(_end(part) for part in inside)
    )


def _end(part: Fact | Node) -> int:
    """When it ends; what a span of another system has started may go on after it."""
    if isinstance(part, Fact) and part.children and part.span.source == "foreign":
        return max(fact.end for fact in facts_of((part,)))
    return part.end


def _has_time(node: Node) -> bool:
    return bool(node.facts) or any(_has_time(child) for child in node.children)


def _place(node: Node, *, owner: Node) -> Node:
    placed = (
        node
        if _has_time(node) or node is owner
        else msgspec.structs.replace(node, start=owner.start, end=owner.start)
    )
    if not node.children and not node.links and not node.via:
        return placed
    children = [_place(child, owner=placed) for child in node.children]
    return msgspec.structs.replace(
        placed,
        children=tuple(children),
        links=_moved(node.links, placed.start),
        via=_moved(node.via, owner.start),
    )


def _moved(links: tuple[Fact, ...], time: int) -> tuple[Fact, ...]:
    """Links have no time of their own: they lie where their object begins."""
    return tuple([link.moved(time, time) for link in links])
