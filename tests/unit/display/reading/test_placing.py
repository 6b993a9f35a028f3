"""Every object met has one place, under an owner if it has one, and everything hangs on the root."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.reading.placing import Children, place
from kubeweft.model.references import ObjectKey
from span_builders import key

Links = dict[ObjectKey, dict[ObjectKey, bool]]
KEYS = [key("configmaps", f"k{number}") for number in range(12)]
DEPTH = 4


def meet(links: Links, root: ObjectKey) -> dict[ObjectKey, ObjectKey]:
    """From which object each is met, level by level."""
    met: dict[ObjectKey, ObjectKey] = {}
    level = [root]
    while level:
        below = []
        for parent in level:
            for child in links.get(parent, {}):
                if child != root and child not in met:
                    met[child] = parent
                    below.append(child)
        level = below
    return met


def placed(links: Links, root: ObjectKey = KEYS[0]) -> Children:
    return place(root, met_by=meet(links, root), linked_down=links, depth=DEPTH)


def test_an_owner_deep_down_wins_over_a_rule_nearby() -> None:
    release, deployment, replica_set, pod = KEYS[:4]
    links: Links = {
        release: {pod: False, deployment: False},
        deployment: {replica_set: True},
        replica_set: {pod: True},
    }
    assert placed(links) == {release: [deployment], deployment: [replica_set], replica_set: [pod]}


def test_among_rules_the_nearest_parent_wins_and_then_the_one_met_first() -> None:
    root, one, two, child, grandchild = KEYS[:5]
    links: Links = {
        root: {one: False, two: False},
        one: {child: False},
        two: {child: False, grandchild: False},
        child: {grandchild: False},
    }
    assert placed(links) == {root: [one, two], one: [child], two: [grandchild]}


def test_an_owner_that_is_only_reached_through_its_own_child_does_not_take_it_away() -> None:
    root, a, b = KEYS[:3]
    assert placed({root: {a: False}, a: {b: False}, b: {a: True}}) == {root: [a], a: [b]}


def test_each_child_of_the_other() -> None:
    a, b = KEYS[:2]
    assert placed({a: {b: False}, b: {a: False}}) == {a: [b]}


def test_a_chain_of_owners_that_is_too_deep_stays_where_the_rules_put_it() -> None:
    root, *chain = KEYS[:10]
    links: Links = {root: dict.fromkeys(chain, False)}
    links |= {parent: {child: True} for parent, child in itertools.pairwise(chain)}
    depths = _depths(placed(links), root)
    assert set(depths) == {root, *chain}
    assert max(depths.values()) == DEPTH


@given(
    st.dictionaries(
        st.sampled_from(KEYS), st.dictionaries(st.sampled_from(KEYS), st.booleans(), max_size=5), max_size=12
    )
)
def test_whatever_is_linked_it_becomes_one_tree(links: Links) -> None:
    links = {
        parent: {child: owned for child, owned in children.items() if child != parent}
        for parent, children in links.items()
    }
    root = KEYS[0]
    met = meet(links, root)
    tree = placed(links)
    depths = _depths(tree, root)
    assert set(depths) == {root, *met}
    assert sum(len(children) for children in tree.values()) == len(met), "each once"
    assert max(depths.values()) <= 2 * max(DEPTH, len(met))
    for parent, children in tree.items():
        assert all(child in links[parent] for child in children), "only where a link leads"


def _depths(children: Children, root: ObjectKey) -> dict[ObjectKey, int]:
    depths, waiting = {root: 0}, [root]
    while waiting:
        parent = waiting.pop()
        for child in children.get(parent, ()):
            assert child not in depths
            depths[child] = depths[parent] + 1
            waiting.append(child)
    return depths
