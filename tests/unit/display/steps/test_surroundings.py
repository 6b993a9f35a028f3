"""What happened to a whole collection is told once, at the root, and only where it matters."""

from __future__ import annotations

import pytest

from kubeweft.display.words.headlines import headline
from kubeweft.display.words.pens import pen_of
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, gap, key, request, uid, weave

POD, ALL = key("pods", "web-0"), key("pods", "")
GONE = change(POD, "Deleted", "10:00:05", uid=uid(1), old="6", version="7")


def sources(*observations: Observation) -> list[str]:
    spans = weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), *observations)
    return [fact.span.name for fact in story_of(POD, spans).root.facts]


def test_a_deletecollection_that_took_the_object_is_told() -> None:
    assert sources(GONE, request(ALL, "deletecollection", "10:00:05.300")) == [
        "created",
        "deleted",
        "deletecollection",
    ]


@pytest.mark.parametrize(
    "other",
    [
        request(ALL, "deletecollection", "10:03:00.000"),
        request(ALL, "deletecollection", "10:00:05.300", code=403),
        request(key("pods", "", namespace="elsewhere"), "deletecollection", "10:00:05.300"),
        request(ALL, "list", "10:00:05.300"),
    ],
    ids=["later", "refused", "other namespace", "reading"],
)
def test_one_that_did_not_is_left_out(other: Observation) -> None:
    assert sources(GONE, other) == ["created", "deleted"]


def test_a_deletion_that_has_its_own_request_needs_none() -> None:
    asked = request(POD, "delete", "10:00:05.100", uid=uid(1))
    assert sources(GONE, asked, request(ALL, "deletecollection", "10:00:05.300")) == ["created", "delete"]


def test_a_gap_of_the_type_is_told() -> None:
    watch = gap(key("pods", "", namespace=""), "WatchExpired", "10:00:01", "10:00:03")
    assert sources(watch) == ["created", "gap"]


BY_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
SPACE = key("namespaces", "default")


def test_of_several_that_emptied_a_collection_the_first_took_the_object() -> None:
    first = request(ALL, "deletecollection", "10:00:05.300")
    again = request(ALL, "deletecollection", "10:00:05.800")
    assert sources(GONE, again, first) == ["created", "deleted", "deletecollection"]


def test_who_deleted_the_namespace_is_told_where_that_took_the_object() -> None:
    asked = request(SPACE, "delete", "09:59:30.000", user="bob", uid=uid(9), version="9")
    emptied = request(ALL, "deletecollection", "10:00:05.300", user=BY_CONTROLLER)
    spans = weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), asked, emptied, GONE)
    tree = story_of(POD, spans, kinds=Kinds())
    assert [fact.span.name for fact in tree.root.facts] == [
        "created",
        "delete",
        "deleted",
        "deletecollection",
    ]
    assert [life.uid for life in tree.root.lives] == [uid(1)], "the namespace is no other life of the Pod"
    assert (
        headline(tree.root.facts[1], tree.root, pen_of(tree))
        == "namespace/default: delete by bob (kubectl) → 200 12ms"
    )
    assert headline(tree.root.facts[0], tree.root, pen_of(tree)) == "created"


@pytest.mark.parametrize(
    ("user", "deleted", "code"),
    [
        ("jane", "09:59:30.000", 200),
        (BY_CONTROLLER, "10:00:30.000", 200),
        (BY_CONTROLLER, "09:59:30.000", 403),
    ],
    ids=["emptied by somebody", "deleted later", "refused"],
)
def test_a_namespace_that_is_no_reason_is_left_out(user: str, deleted: str, code: int) -> None:
    asked = request(SPACE, "delete", deleted, user="bob", uid=uid(9), code=code)
    emptied = request(ALL, "deletecollection", "10:00:05.300", user=user)
    assert sources(GONE, emptied, asked) == ["created", "deleted", "deletecollection"]


def test_a_namespace_is_its_own_story() -> None:
    made = change(SPACE, "Added", "09:59:00", uid=uid(9), version="1")
    asked = request(SPACE, "delete", "09:59:30.000", user="bob", uid=uid(9))
    tree = story_of(SPACE, weave(made, asked))
    assert [fact.span.name for fact in tree.root.facts] == ["created", "delete"]
