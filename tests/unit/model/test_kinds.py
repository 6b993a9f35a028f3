"""Kinds and resources: the built-in table, the words of kubectl, and learning in any order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model.builtin_kinds import BUILTIN_KINDS
from kubeweft.model.kinds import Kinds, guess_resource
from kubeweft.model.references import ResourceType

DEPLOYMENT = ResourceType("apps", "v1", "deployments", "Deployment", True)


@pytest.mark.parametrize("row", BUILTIN_KINDS, ids=lambda row: f"{row.resource}.{row.group}")
def test_every_built_in_type_is_found_both_ways(row: ResourceType) -> None:
    kinds = Kinds()
    expected = ResourceType(row.group, row.version, row.resource, row.kind, row.namespaced)
    assert kinds.kind_of(row.group, row.resource) == expected
    assert kinds.resource_of(row.group, row.kind) == expected
    for word in (row.resource, row.kind, f"{row.resource}.{row.version}.{row.group}", row.kind.upper()):
        assert expected in kinds.lookup(word)


def test_the_table_has_no_type_twice() -> None:
    assert len({(row.group, row.resource) for row in BUILTIN_KINDS}) == len(BUILTIN_KINDS)
    assert len({(row.group, row.kind) for row in BUILTIN_KINDS}) == len(BUILTIN_KINDS)
    assert len(BUILTIN_KINDS) > 70


@pytest.mark.parametrize(
    "word",
    ["deploy", "deployment", "Deployment", "deployments", "DEPLOYMENTS", "deployments.apps", "deployment.v1.apps", " deploy ",
     "Deployment.apps", "deploy.apps", "deployments.v1beta1.apps", "deployment.v1.", "deployment.v1"],
)  # fmt: skip
def test_words_for_a_deployment(word: str) -> None:
    assert Kinds().lookup(word) == [DEPLOYMENT]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("po", ["pods"]),
        ("svc", ["services"]),
        ("cm", ["configmaps"]),
        ("ing", ["ingresses.networking.k8s.io"]),
        ("ingress", ["ingresses.networking.k8s.io"]),
        ("netpol.networking", ["networkpolicies.networking.k8s.io"]),
        ("endpoints", ["endpoints"]),
        ("ev", ["events", "events.events.k8s.io"]),
        ("events", ["events", "events.events.k8s.io"]),
        ("events.events", ["events.events.k8s.io"]),
        ("events.v1.events.k8s.io", ["events.events.k8s.io"]),
        ("events.", ["events", "events.events.k8s.io"]),
        ("crd", ["customresourcedefinitions.apiextensions.k8s.io"]),
        ("kwp", ["tracingpolicies.kubeweft.io"]),
        ("linkrule", ["linkrules.kubeweft.io"]),
        ("pods.apps", []),
        ("deployments.app", []),
        ("unheard-of", []),
        ("", []),
        (".", []),
        (".apps", []),
    ],
)
def test_words(word: str, found: list[str]) -> None:
    assert [str(type_) for type_ in Kinds().lookup(word)] == found


def test_a_full_name_goes_before_a_short_one() -> None:
    kinds = Kinds()
    kinds.learn(ResourceType("a.example.com", "v1", "longs", "Long", True), short_names=["po", "widget"])
    kinds.learn(ResourceType("b.example.com", "v1", "widgets", "Widget", True), singular="widget")
    assert [str(type_) for type_ in kinds.lookup("widget")] == [
        "widgets.b.example.com",
        "longs.a.example.com",
    ]
    assert [str(type_) for type_ in kinds.lookup("po")] == ["pods", "longs.a.example.com"]


def test_learning_a_type() -> None:
    kinds = Kinds()
    widget = ResourceType("example.com", "v1", "widgets", "Widget", False)
    assert kinds.kind_of("example.com", "widgets") is None
    assert kinds.resource_of("example.com", "Widget") is None
    kinds.learn(widget, singular="gadget", short_names=["W"])
    assert kinds.kind_of("example.com", "widgets") == kinds.resource_of("example.com", "Widget") == widget
    assert kinds.lookup("w") == kinds.lookup("Gadget") == kinds.lookup("widgets.example.com") == [widget]


def test_what_is_learned_wins_over_the_table_but_keeps_its_short_names() -> None:
    kinds = Kinds()
    older = DEPLOYMENT._replace(version="v1beta2")
    kinds.learn(older)
    assert kinds.kind_of("apps", "deployments") == kinds.resource_of("apps", "Deployment") == older
    assert kinds.lookup("deploy") == [older]


def test_the_newest_version_stays() -> None:
    versions = ["v2", "v1", "v2beta1", "v1beta10", "v1beta2", "v1alpha1", "odd"]
    for rng in map(random.Random, range(20)):
        kinds = Kinds()
        seen = rng.sample(versions, k=rng.randint(1, len(versions)))
        for version in seen:
            kinds.learn(ResourceType("example.com", version, "widgets", "Widget", True))
        found = kinds.kind_of("example.com", "widgets")
        assert found is not None
        assert found.version == min(seen, key=versions.index)


TYPES = st.builds(
    ResourceType,
    group=st.sampled_from(["", "apps", "example.com"]),
    version=st.sampled_from(["v1", "v1beta1", "v2"]),
    resource=st.sampled_from(["pods", "deployments", "widgets", "gadgets"]),
    kind=st.sampled_from(["Pod", "Deployment", "Widget"]),
    namespaced=st.booleans(),
)
LEARNED = st.tuples(
    TYPES, st.sampled_from(["", "thing"]), st.lists(st.sampled_from(["w", "po", "g"]), max_size=2)
)


@given(st.lists(LEARNED, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_order_of_learning_makes_no_difference(
    learned: list[tuple[ResourceType, str, list[str]]], rng: random.Random
) -> None:
    def answers(order: list[tuple[ResourceType, str, list[str]]]) -> list[object]:
        kinds = Kinds()
        for type_, singular, short_names in order:
            kinds.lookup("pods")  # what was answered before must not stick
            kinds.learn(type_, singular=singular, short_names=short_names)
        groups = ("", "apps", "example.com")
        return [
            [
                kinds.kind_of(group, name)
                for group in groups
                for name in ("pods", "deployments", "widgets", "gadgets")
            ],
            [kinds.resource_of(group, kind) for group in groups for kind in ("Pod", "Deployment", "Widget")],
            [
                kinds.lookup(word)
                for word in ("po", "pod", "w", "thing", "widgets", "deploy", "gadgets.example.com")
            ],
        ]

    shuffled = rng.sample(learned, k=len(learned)) + rng.choices(learned, k=3) if learned else []
    assert answers(shuffled) == answers(learned)


def test_a_copy_learns_on_its_own() -> None:
    first = Kinds()
    first.learn(ResourceType("example.com", "v1", "widgets", "Widget", True), short_names=["wd"])
    second = first.copy()
    second.learn(ResourceType("example.com", "v1", "gadgets", "Gadget", True))
    assert second.lookup("wd") == first.lookup("wd") != []
    assert first.lookup("gadget") == []
    assert second.lookup("gadget") != []


@pytest.mark.parametrize(
    ("kind", "resource"), [("Pod", "pods"), ("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies")]
)
def test_guessing(kind: str, resource: str) -> None:
    assert guess_resource(kind) == resource
