"""Everything in one list: what happened, in order of time, whosever it is.

Each object's own order is kept (many times are known to the second only); of two objects in the same moment the lower
version stands first. Objects are told apart by what each fact says of itself. Links have no time, so those of other
objects than the root are not in the list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec

from kubeweft.display.steps.ordering import ordered, version_of
from kubeweft.display.tree.changing import dissolved
from kubeweft.display.tree.trees import Fact, Node, Tree, nodes_of
from kubeweft.model.references import ObjectKey

Place = tuple[int, int, ObjectKey, int]


def flatten(tree: Tree, *, linked: bool = True) -> Tree:
    """All facts of all objects, ``linked`` ones too, under the root; what a request changed stays with it."""
    nodes = [*nodes_of(tree.root), *(tree.linked if linked else ())]
    own = [msgspec.structs.replace(node, facts=tuple(dissolved(node.facts))) for node in nodes]
    if len(nodes) == 1 and own[0].facts == tree.root.facts and _of_others(own[0]):
        return tree  # it is one list already
    told = [place for node in own for one in _objects(node) for place in _placed(one)]
    told.sort(key=lambda one: one[0])
    root = msgspec.structs.replace(tree.root, facts=tuple([fact for _, fact in told]), children=())
    return dataclasses.replace(tree, root=root, linked=() if linked else tree.linked)


def _of_others(node: Node) -> bool:
    return any(fact.span.key != node.key and fact.span.key.name for fact in node.facts)


def _objects(node: Node) -> Iterator[Node]:
    """The node, or one for each object whose facts a view has put under it."""
    if not _of_others(node):
        yield node
        return
    facts: dict[ObjectKey, list[Fact]] = {}
    for fact in node.facts:
        key = fact.span.key if fact.span.key.name else node.key
        facts.setdefault(key, []).append(fact)
    for key, some in facts.items():
        lives = node.lives if key == node.key else ()
        yield msgspec.structs.replace(node, key=key, facts=tuple(some), lives=lives)


def _placed(node: Node) -> Iterator[tuple[Place, Fact]]:
    """The facts of one object in order, each with its place among those of all."""
    reached: dict[int, int] = {}
    for index, (time, fact) in enumerate(ordered(node)):
        version = max(version_of(fact), reached.get(fact.life, -1))
        reached[fact.life] = version
        yield (time, version, node.key, index), fact
