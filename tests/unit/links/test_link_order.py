"""The same final objects give the same relations and the same numbers, in whatever order they came and changed."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model.rules import ByExpression, ByHelmRelease, ByOwner, SourceSelector
from kubeweft.model.selectors import LabelSelector, Requirement
from link_worlds import World, field, key, pattern, rule, selector, source, target

GOLD = LabelSelector((Requirement("tier", "In", frozenset({"gold"})),))
RULES = (
    rule("node", source("pods"), target(field("spec.nodeName"), "nodes"), role="Parent", same_trace=True),
    rule("secrets", source("pods"), target(field("spec.secrets[*]"), "secrets", max_targets=2)),
    rule("service", source("services"), target(selector("spec.selector"), "pods", max_targets=2), role="Child"),
    rule("policy", source("networkpolicies"), target(selector("spec.podSelector"), "pods", in_namespace=False)),
    rule("owner", SourceSelector(resources=(pattern("*"),)), target(ByOwner(controller_only=False)), role="Parent",
         same_trace=True, priority=3),
    rule("root", source("pods"), target(ByOwner(recursive=True)), role="Parent", link_class="Root"),
    rule("gold", source("pods", namespace_selector=GOLD), target(field("spec.nodeName"), "configmaps")),
    rule("cel", source("services"), target(ByExpression("[?namespaceObject.?metadata.?labels.?tier]"), "secrets")),
    rule("helm", SourceSelector(resources=(pattern("*"),)), target(ByHelmRelease())),
)  # fmt: skip

NAMES = ("a", "b", "c")
PLACES = [
    f"{kind}/{namespace}/{name}"
    for kind in ("pods", "services", "networkpolicies", "replicasets", "secrets")
    for namespace in ("a", "b")
    for name in NAMES
] + [f"{kind}/{name}" for kind in ("nodes", "namespaces") for name in ("a", "b")]


def some_labels(random: Random) -> dict[str, str]:
    """Labels that often are the same."""
    keys = random.sample(["app", "tier", "app.kubernetes.io/instance"], random.randrange(3))
    return {key: random.choice(["a", "gold"]) for key in keys}


def some_selector(random: Random) -> Any:
    """No selector, a plain map, or an expression."""
    operator = random.choice(["Exists", "DoesNotExist"])
    expression = {"matchExpressions": [{"key": random.choice(["app", "tier"]), "operator": operator}]}
    return random.choice([None, some_labels(random), some_labels(random), expression])


def some_owner(random: Random) -> dict[str, Any]:
    """An owner that often is there."""
    kind, name = random.choice(["ReplicaSet", "Deployment"]), random.choice(NAMES)
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "uid": "u",
        "controller": random.random() < 0.6,
    }


def some_object(random: Random) -> dict[str, Any]:
    """An object that has what the rules read."""
    spec: dict[str, Any] = {"selector": some_selector(random), "podSelector": some_selector(random)}
    spec["secrets"] = [random.choice(NAMES) for _ in range(random.randrange(4))]
    if random.random() < 0.7:
        spec["nodeName"] = random.choice(NAMES)
    owners = [some_owner(random) for _ in range(random.randrange(3))]
    return {"metadata": {"labels": some_labels(random), "ownerReferences": owners}, "spec": spec}


def some_world(random: Random) -> dict[str, Any]:
    """Objects by their place."""
    return {place: some_object(random) for place in random.sample(PLACES, random.randrange(1, 16))}


seeds = st.integers(0, 2**32 - 1).map(Random)  # hypothesis itself would take seconds to draw such worlds


def state(world: World, final: dict[str, Any]) -> Any:
    """What was told last of each object that is there, and all numbers."""
    numbers = {name: world.counts(name) for name in world.linker.statistics()}
    return {name: world.targets(name) for name in final}, numbers


def flags(world: World) -> Any:
    """All relations with everything that belongs to them."""
    return {told: relations for told, relations in world.told.items() if relations}


@settings(max_examples=300)
@given(seeds)
def test_the_order_of_arrival_makes_no_difference(random: Random) -> None:
    final = some_world(random)
    straight, shuffled = World(*RULES), World(*RULES)
    for name, obj in final.items():
        straight.take(name, obj)
    # A namespace is never gone before its objects: one that is not there at the end never was.
    passing = [place for place in PLACES if place in final or not place.startswith("namespaces")]
    detours = [
        (random.choice(passing), some_object(random) if random.random() < 0.6 else None) for _ in range(12)
    ]
    order: list[tuple[str, Any]] = [*final.items(), *detours]
    random.shuffle(order)
    for name, obj in order:
        if obj is None:
            if not name.startswith("namespaces"):
                shuffled.gone(name)
        else:
            shuffled.take(name, obj)
    ends = [*final, *[name for name, _ in detours]]
    random.shuffle(ends)
    for name in ends:
        if name in final:
            shuffled.take(name, final[name])
        else:
            shuffled.gone(name)
    assert state(shuffled, final) == state(straight, final)
    assert flags(shuffled) == flags(straight)


@settings(max_examples=150)
@given(seeds)
def test_rules_that_come_later_find_the_same(random: Random) -> None:
    final = some_world(random)
    straight, changed = World(*RULES), World(*random.sample(RULES, random.randrange(len(RULES))))
    for name, obj in final.items():
        straight.take(name, obj)
        changed.take(name, obj)
    again = changed.linker.use(RULES)
    for name, obj in final.items():
        if ("*", "*") in again or key(name)[1:3] in again:
            changed.take(name, obj)
    assert state(changed, final) == state(straight, final)


@settings(max_examples=400)
@given(seeds)
def test_it_makes_no_difference_whether_a_watch_says_what_has_changed(random: Random) -> None:
    """Also where the rules change in between, of which the objects are not told again."""
    now = some_world(random)
    rules = random.sample(RULES, random.randrange(1, 5))
    whole, partial = World(*rules), World(*rules)
    for name, obj in now.items():
        whole.take(name, obj)
        partial.take(name, obj)
    for step in range(20):
        name = random.choice(list(now))
        before, other = now[name], some_object(random)
        now[name] = {field: random.choice([before, other])[field] for field in ("metadata", "spec")}
        whole.change(name, before, now[name], says_what=False)
        partial.change(name, before, now[name])
        assert state(partial, now) == state(whole, now)
        assert flags(partial) == flags(whole)
        if step == 12:
            rules = random.sample(RULES, random.randrange(1, 5))
            whole.linker.use(rules)
            partial.linker.use(rules)


@settings(max_examples=100)
@given(seeds)
def test_nothing_is_left_when_all_is_gone(random: Random) -> None:
    final = some_world(random)
    world = World(*RULES)
    for name, obj in final.items():
        world.take(name, obj)
    for name in final:
        world.gone(name)
    assert {world.counts(name) for name in world.linker.statistics()} == {(0, 0, 0, 0, 0)}
