"""Whatever links there are, a selection gives a tree: each object once, what was asked for among them, the same every time."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.display.reading.levels import Limits
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import Node, nodes_of
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from memory_reader import MemoryReader
from span_builders import change, key, owner, related, to, uid, weave

KEYS = [key("configmaps", f"o-{n}") for n in range(9)]
edges = st.sets(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.sampled_from(["owner", "Parent", "Child", "Peer"])),
    max_size=16,
)
selections = st.builds(
    Selection,
    name=st.just("any"),
    up=st.sampled_from([0, 1, 2, 32]),
    down=st.sampled_from([0, 1, 8]),
    siblings=st.booleans(),
    linked=st.sampled_from(["none", "names", "auto", "full"]),
    roles=st.sampled_from([frozenset(), frozenset({"Peer"}), frozenset({"Parent", "Child"})]),
)


def graph(of: set[tuple[int, int, str]], *, lost: set[int]) -> list[Span]:
    """Objects that are owned by, or related to, others in any way; of the ``lost`` ones nothing is stored."""
    seen: list[Observation] = []
    for number, one in enumerate(KEYS):
        owners = tuple(owner(KEYS[b], uid(b)) for a, b, what in sorted(of) if a == number and what == "owner")
        seen.append(
            change(one, "Added", f"10:0{number}:00", uid=uid(number), version=str(number), owners=owners)
        )
        rules: list[Any] = [
            to(KEYS[b], what, f"Class{what}")  # type: ignore[arg-type]  # owners are left out
            for a, b, what in sorted(of)
            if a == number and what != "owner"
        ]
        if rules:
            seen.append(related(one, *rules))
    return [span for span in weave(*seen) if KEYS.index(span.key) not in lost]


def depth(node: Node) -> int:
    """How many levels there are under an object."""
    return max([1 + depth(child) for child in node.children], default=0)


def path_to(node: Node, asked: ObjectKey) -> list[ObjectKey]:
    """The objects from a node down to the one that was asked for; empty if it is not there."""
    if node.key == asked:
        return [asked]
    below = next((path for child in node.children if (path := path_to(child, asked))), [])
    return [node.key, *below] if below else []


@settings(max_examples=150)
@given(
    of=edges,
    lost=st.sets(st.integers(1, 8), max_size=3),
    selection=selections,
    objects=st.sampled_from([3, 6, 500]),
    seed=st.integers(0, 1000),
)
def test_any_links_make_a_tree(
    of: set[tuple[int, int, str]], lost: set[int], selection: Selection, objects: int, seed: int
) -> None:
    asked = KEYS[0]
    spans = graph(of, lost=lost)
    shuffled = random.Random(seed).sample(spans, len(spans))
    limits = Limits(objects=objects)
    tree, again = (
        read_story(MemoryReader(order), asked, selection=selection, limits=limits)
        for order in (spans, shuffled)
    )
    assert tree == again
    nodes = list(nodes_of(tree.root))
    counted = Counter(node.key for node in [*nodes, *tree.linked])
    assert set(counted.values()) == {1}, "each once"
    way = path_to(tree.root, asked)
    assert way, "what was asked for is there"
    assert (tree.asked is None) == (len(way) == 1)
    assert len(way) - 1 <= selection.up
    assert len(nodes) <= max(objects, len(way))
    assert depth(tree.root) <= len(way) - 1 + selection.down
    if not selection.siblings:
        node = tree.root
        while node.key != asked:
            (node,) = node.children
    assert all(cut.more == sum(n for _, n in cut.kinds) for cut in tree.truncated if cut.kinds)
    in_tree = {str(node.key) for node in nodes}
    assert all(cut.of in in_tree for cut in tree.truncated)
