"""Selections are those of Kubernetes, kept up to date, and cheaply so."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.links.pool import Pool, Selection
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import LabelSelector, Requirement

KEYS, VALUES = ("app", "tier", "zone"), ("a", "b", "c")


class CountingSelector(LabelSelector):
    """Counts how often it is asked."""

    asked = 0

    def matches(self, labels: Mapping[str, str]) -> bool:
        """As any selector."""
        CountingSelector.asked += 1
        return super().matches(labels)


def pod(namespace: str, name: str) -> ObjectKey:
    """A Pod."""
    return ObjectKey("c", "", "pods", namespace, name)


def equal(**labels: str) -> tuple[Requirement, ...]:
    """Requirements of a plain map."""
    return tuple(Requirement(key, "In", frozenset({value})) for key, value in labels.items())


def some_selector(random: Random) -> LabelSelector:
    """Up to three requirements of any kind."""
    found = []
    for _ in range(random.randrange(4)):
        operator = random.choice(["In", "NotIn", "Exists", "DoesNotExist"])
        values = (
            frozenset(random.sample(VALUES, random.randrange(1, 3)))
            if operator.endswith("In")
            else frozenset[str]()
        )
        found.append(Requirement(random.choice(KEYS), operator, values))  # type: ignore[arg-type]
    return LabelSelector(tuple(found))


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_selections_are_what_asking_everybody_would_give(seed: int) -> None:
    random, pool = Random(seed), Pool()
    labels: dict[ObjectKey, dict[str, str]] = {}
    selections: list[Selection] = []
    for _ in range(40):
        key = pod(random.choice("xy"), random.choice("12345"))
        step = random.random()
        before = {selection: list(selection.chosen) for selection in selections}
        changed: list[Selection] = []
        if step < 0.55:
            labels[key] = {name: random.choice(VALUES) for name in random.sample(KEYS, random.randrange(4))}
            changed = pool.put(key, tuple(sorted(labels[key].items())), 1)
        elif step < 0.7:
            labels.pop(key, None)
            changed = pool.drop(key)
        elif step < 0.9 or not selections:
            namespace = random.choice(["x", "y", None])
            selections.append(
                Selection(some_selector(random), namespace=namespace, limit=random.choice([1, 2, 9]))
            )
            pool.add(selections[-1])
        else:
            pool.remove(selections.pop(random.randrange(len(selections))))
        for selection in selections:
            expected = sorted(
                key for key, has in labels.items()
                if selection.namespace in (None, key.namespace) and selection.selector.matches(has)
            )  # fmt: skip
            assert selection.chosen == expected[: selection.limit]
            assert selection.total == len(expected)
            assert selection in changed or before.get(selection, selection.chosen) == selection.chosen
    assert set(pool.selections()) == set(selections)


def test_a_pool_without_anything_holds_nothing() -> None:
    pool = Pool()
    selection = Selection(LabelSelector(equal(app="a")), namespace="x", limit=3)
    pool.add(selection)
    pool.put(pod("x", "1"), (("app", "a"),), 5)
    assert pool.latest(selection) == 5
    pool.drop(pod("x", "1"))
    assert pool.latest(selection) == 0
    pool.remove(selection)
    assert vars(pool) == {"_members": {}, "_places": {}, "_selections": {}}


def test_many_services_and_pods_meet_only_where_they_can_match() -> None:
    """1,000 Services and 5,000 Pods in one namespace, all with one label in common, in either order."""
    count, each = 1000, 5
    for services_first in (True, False):
        CountingSelector.asked = 0
        pool = Pool()
        selections = [
            Selection(
                CountingSelector(equal(**{"part-of": "shop", "app": f"app-{number}"})),
                namespace="x",
                limit=64,
            )
            for number in range(count)
        ]
        for selection in selections if services_first else ():
            pool.add(selection)
        for number in range(count * each):
            app = number % count
            pool.put(pod("x", f"pod-{number:05}"), (("app", f"app-{app}"), ("part-of", "shop")), 1)
        for selection in selections if not services_first else ():
            pool.add(selection)
        assert {selection.total for selection in selections} == {each}
        assert CountingSelector.asked < 3 * count


def test_one_selection_of_many_pods_is_not_chosen_anew_for_each() -> None:
    """Every Pod is its own group here, as Pods of StatefulSets are."""
    pool = Pool()
    selection = Selection(CountingSelector(()), namespace="x", limit=64)
    pool.add(selection)
    CountingSelector.asked = 0
    names = [f"pod-{number:05}" for number in range(5000)]
    Random(1).shuffle(names)
    for name in names:
        pool.put(pod("x", name), (("name", name),), 1)
    assert selection.total == 5000
    assert [key.name for key in selection.chosen] == sorted(names)[:64]
    assert CountingSelector.asked == 5000
