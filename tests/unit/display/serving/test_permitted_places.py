"""Where everything may be seen is found with few questions, and what could not be asked is told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet

from kubeweft.display.serving.permitted_places import (
    MOST_PLACES,
    MOST_TYPES,
    PermittedPlaces,
    permitted_places,
)
from kubeweft.model.references import ObjectKey
from span_builders import key

TYPES = ("pods", "configmaps", "services", "replicasets", "deployments")


def places(namespaces: int, types: Collection[str] = TYPES) -> list[ObjectKey]:
    return [key(one, "", namespace=f"ns{n}") for one in types for n in range(namespaces)]


def asked_of(
    may: Callable[[ObjectKey], bool],
) -> tuple[list[ObjectKey], Callable[..., AbstractSet[ObjectKey]]]:
    asked: list[ObjectKey] = []

    def ask(keys: Collection[ObjectKey]) -> AbstractSet[ObjectKey]:
        asked.extend(keys)
        return {one for one in keys if may(one)}

    return asked, ask


def test_of_a_namespace_in_which_something_may_be_seen_everything_is_asked() -> None:
    mine = [one for one in places(110) if one.namespace == "ns109"]
    asked, ask = asked_of(lambda one: one.namespace == "ns109" and one.resource != "services")
    found = permitted_places(places(110), ask)
    assert found.keys == {one for one in mine if one.resource != "services"}
    assert not found.complete  # 109 namespaces might have let somebody see Deployments
    assert len(asked) == len(TYPES) + MOST_PLACES


def test_a_right_to_a_type_needs_no_question_about_namespaces() -> None:
    asked, ask = asked_of(lambda one: one.resource in ("pods", "services"))
    found = permitted_places(places(60, ("pods", "services")), ask)
    assert found == PermittedPlaces(frozenset(places(60, ("pods", "services"))), complete=True)
    assert len(asked) == 2


def test_few_places_are_all_asked_about() -> None:
    asked, ask = asked_of(lambda one: one == key("deployments", "", namespace="ns1"))
    found = permitted_places([*places(3), key("nodes", "", namespace="")], ask)
    assert found == PermittedPlaces(frozenset([key("deployments", "", namespace="ns1")]), complete=True)
    assert len(asked) == len(TYPES) + 1 + 3 * len(TYPES) == len(set(asked))


def test_what_lies_in_no_namespace_is_one_question_for_each_type() -> None:
    nodes = key("nodes", "", namespace="")
    asked, ask = asked_of(lambda one: one == nodes)
    assert permitted_places([nodes], ask) == PermittedPlaces(frozenset([nodes]), complete=True)
    assert asked == [nodes]


def test_types_without_end_are_not_all_asked_about() -> None:
    many = [key("nodes", "")._replace(resource=f"things{n}") for n in range(MOST_TYPES + 1)]
    asked, ask = asked_of(lambda _: True)
    found = permitted_places(many, ask)
    assert (len(found.keys), found.complete, len(asked)) == (MOST_TYPES, False, MOST_TYPES)


def test_nothing_is_asked_about_nothing() -> None:
    assert permitted_places([], asked_of(lambda _: True)[1]) == PermittedPlaces(frozenset(), complete=True)
