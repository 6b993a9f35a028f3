"""Leave out what some source tells; what stood under it takes its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree, each_node

Hidden = Literal["request", "change", "event", "link", "gap", "group", "foreign"]


def hide_sources(tree: Tree, *, sources: list[Hidden]) -> Tree:
    """No facts of these sources; the changes of a hidden request, and all that it caused, stand where it stood."""
    hidden = frozenset[str](sources)

    def visit(node: Node) -> Node:
        links = () if "link" in hidden else node.links
        return msgspec.structs.replace(node, facts=tuple(_shown(node.facts, hidden)), links=links)

    return each_node(tree, visit)


def _shown(facts: Iterable[Fact], hidden: frozenset[str]) -> Iterator[Fact]:
    for fact in facts:
        children = tuple(_shown(fact.children, hidden))
        if fact.span.source in hidden:
            yield from children
        else:
            yield fact if not fact.children else msgspec.structs.replace(fact, children=children)
