"""Ways through an arranged story: every fact with all that it stands under because of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from kubeweft.display.tree.trees import Fact, Node, Tree, facts_of, nodes_of
from kubeweft.model import vocabulary as v
from recorded_stories import Story

Way = tuple[Fact, ...]
Ask = Callable[[Story, str], Awaitable[Tree]]
"""What a view answers about the object of a story."""


def all_facts(tree: Tree) -> Iterator[Fact]:
    """Of all objects, those under others too."""
    for node in nodes_of(tree.root):
        yield from facts_of(node.facts)


def ways_to(facts: Way, above: Way = ()) -> Iterator[Way]:
    """Every fact with all that it stands under because of it, outermost first."""
    for fact in facts:
        way = above if fact.span.source == "group" else (*above, fact)
        if way is not above:
            yield way
        yield from ways_to(fact.children, way)


def ways_in(tree: Tree) -> list[Way]:
    """All ways of a tree."""
    return [way for node in nodes_of(tree.root) for way in ways_to(node.facts)]


def node_named(tree: Tree, name: str) -> Node:
    """The object of this name."""
    return next(node for node in nodes_of(tree.root) if node.key.name == name)


def begins_to_go(change: Fact) -> bool:
    """Whether a change marks its object for deletion."""
    return "+ metadata.deletionTimestamp" in change.text(v.WORDS)


def is_creation_of(fact: Fact, resource: str) -> bool:
    """Whether a fact is the request that made an object of this resource type."""
    created = fact.span.source == "request" and fact.text(v.VERB) == "create" and fact.number(v.CODE) == 201
    return created and fact.span.key.resource == resource and not fact.text(v.SUBRESOURCE)
