"""All that was done in a tree, by object and in order of time: what the rules look into for a cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kubeweft.display.steps.explaining.chronicles import Chronicle
from kubeweft.display.steps.explaining.deeds import Deed, deed_of
from kubeweft.display.steps.ordering import ordered
from kubeweft.display.tree.changing import dissolved
from kubeweft.display.tree.trees import Node, Tree, is_of_namespace, nodes_of

EMPTY = Chronicle(())


class Recorded:
    """The deeds of every object; an object is known by its number, its place."""

    def __init__(self, tree: Tree) -> None:
        """Read what was done to each object of a tree."""
        self.nodes = list(nodes_of(tree.root))
        self.deeds = [_deeds(node, place) for place, node in enumerate(self.nodes)]
        place_of = {id(node): place for place, node in enumerate(self.nodes)}
        self.parents: dict[int, int] = {
            place_of[id(child)]: place_of[id(node)] for node in self.nodes for child in node.children
        }
        self.wishes = [[deed for deed in deeds if self.is_on_object(deed)] for deeds in self.deeds]
        self.wished = [Chronicle(deeds) for deeds in self.wishes]

    def is_around(self, deed: Deed) -> bool:
        """Whether it is told at an object, but was done to the namespace that this is in."""
        return is_of_namespace(deed.fact, self.nodes[deed.place].key)

    def is_on_object(self, deed: Deed) -> bool:
        """Whether it is a wish about the object that it is told of, not about a collection or a namespace around it."""
        return deed.is_cause and bool(deed.fact.span.key.name) and not self.is_around(deed)

    def cluster(self, place: int) -> str:
        """The cluster that an object is in."""
        return self.nodes[place].key.cluster

    def by_parent(self, deeds: Iterable[Iterable[Deed]]) -> dict[int, Chronicle]:
        """Deeds given for each object, told together for all that have one parent."""
        found: dict[int, list[Deed]] = {}
        for place, some in enumerate(deeds):
            if place in self.parents:
                found.setdefault(self.parents[place], []).extend(some)
        return {parent: Chronicle(those) for parent, those in found.items()}


def _deeds(node: Node, place: int) -> list[Deed]:
    own = msgspec.structs.replace(node, facts=tuple(dissolved(node.facts)))
    timed = ordered(own)
    return [deed_of(fact, place=place, index=index, time=time) for index, (time, fact) in enumerate(timed)]


def first_ends(deeds: Iterable[Deed]) -> Iterator[Deed]:
    """When each life began to go: who sees that acts at once, not only when it is gone."""
    lives: set[int] = set()
    for deed in deeds:
        if deed.ends and deed.fact.life not in lives:
            lives.add(deed.fact.life)
            yield deed
