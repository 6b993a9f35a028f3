"""What happened to a whole collection is told once, at the root, and only where it matters."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.display.steps.explaining.explanations import SPACE as SPACE_WENT
from kubeweft.display.steps.grouping import group
from kubeweft.display.steps.surroundings import MOST_EMPTYING
from kubeweft.display.tree.made import GROUP_FACTS, GROUP_WRITES
from kubeweft.display.tree.trees import Tree
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.words.actors import Cast
from kubeweft.display.words.headlines import headline
from kubeweft.display.words.left_out_wording import words_of
from kubeweft.display.words.pens import pen_of
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import at, change, gap, key, request, uid, weave

POD, ALL = key("pods", "web-0"), key("pods", "")
GONE_LATER = change(POD, "Deleted", "10:00:05", uid=uid(1), old="7", version="8")
GONE = change(POD, "Deleted", "10:00:05", uid=uid(1), old="6", version="7")


def sources(*observations: Observation) -> list[str]:
    spans = weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), *observations)
    return [fact.span.name for fact in story_of(POD, spans).root.facts]


def test_a_deletecollection_that_took_the_object_is_told() -> None:
    assert sources(GONE, request(ALL, "deletecollection", "10:00:05.300")) == [
        "created",
        "deletecollection",
        "deleted",
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
    assert sources(GONE, again, first) == ["created", "deletecollection", "deleted"]


def test_who_deleted_the_namespace_is_told_where_that_took_the_object() -> None:
    asked = request(SPACE, "delete", "09:59:30.000", user="bob", uid=uid(9), version="9")
    emptied = request(ALL, "deletecollection", "10:00:05.300", user=BY_CONTROLLER)
    spans = weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), asked, emptied, GONE)
    tree = story_of(POD, spans, kinds=Kinds())
    assert [fact.span.name for fact in tree.root.facts] == [
        "created",
        "delete",
        "deletecollection",
        "deleted",
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
    assert sources(GONE, emptied, asked) == ["created", "deletecollection", "deleted"]


def test_a_namespace_is_its_own_story() -> None:
    made = change(SPACE, "Added", "09:59:00", uid=uid(9), version="1")
    asked = request(SPACE, "delete", "09:59:30.000", user="bob", uid=uid(9))
    tree = story_of(SPACE, weave(made, asked))
    assert [fact.span.name for fact in tree.root.facts] == ["created", "delete"]


def marked(version: str = "7") -> Observation:
    words = (
        "+ metadata.deletionGracePeriodSeconds = 0",
        "+ metadata.deletionTimestamp = 2026-11-21T10:00:05Z",
    )
    patch: list[dict[str, object]] = [
        {"op": "add", "path": "/metadata/deletionTimestamp", "value": "2026-11-21T10:00:05Z"}
    ]
    return change(POD, "Modified", "10:00:05", uid=uid(1), old="6", version=version, words=words, patch=patch)


@pytest.mark.parametrize(("whole", "its"), [("10:00:05.300", False), ("10:00:05.450", True)])
def test_who_deletes_what_is_going_with_its_collection_did_not_mark_it(whole: str, its: bool) -> None:
    spans = weave(
        change(POD, "Added", "09:59:00", uid=uid(1), version="6"),
        request(ALL, "deletecollection", whole, user=BY_CONTROLLER, took=0.05),
        marked(),
        request(POD, "delete", "10:00:05.400", user="kwok", agent="kwok/v1", uid=uid(1), took=0.01),
        change(POD, "Deleted", "10:00:05", uid=uid(1), old="7", version="8"),
    )
    (delete,) = [fact for fact in story_of(POD, spans).root.facts if fact.span.name == "delete"]
    assert [child.text("kubeweft.change.type") for child in delete.children] == (
        ["Modified", "Deleted"] if its else ["Deleted"]
    )


def test_what_went_with_a_collection_was_not_before_that_and_is_its_callers_doing() -> None:
    emptied = request(ALL, "deletecollection", "10:00:05.300", user=BY_CONTROLLER, agent="manager/v1")
    spans = weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), emptied, marked(), GONE_LATER)
    tree = story_of(POD, spans)
    ends = [fact for fact in tree.root.facts if fact.span.source == "change"][1:]
    assert [fact.start for fact in ends] == [at("10:00:05.300")] * 2
    assert tree.root.lives[0].deleted == at("10:00:05.300")
    cast = Cast.of_tree(tree)
    assert {cast.actor_of(fact).user for fact in ends} == {BY_CONTROLLER}
    grouped = group(tree, by=["actor"])
    (his,) = [fact for fact in grouped.root.facts if fact.text("user.name") == BY_CONTROLLER]
    assert (his.number(GROUP_FACTS), his.number(GROUP_WRITES)) == (3, 1)


def test_what_was_heard_of_after_the_collection_had_been_emptied_went_while_it_was() -> None:
    emptied = request(ALL, "deletecollection", "10:00:05.300", user=BY_CONTROLLER, took=0.05)
    gone = change(POD, "Deleted", "10:00:05.900", uid=uid(1), old="6", version="8", receipt=True)
    tree = story_of(POD, weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), emptied, gone))
    end = tree.root.facts[-1]
    assert end.start == at("10:00:05.350")
    assert headline(end, tree.root, pen_of(tree)) == "deleted"


def deleted(*others: Observation, **asked: Any) -> Tree:
    """The tree of a Namespace that bob deleted."""
    made = change(SPACE, "Added", "09:40:00", uid=uid(9), version="1")
    asked_for = request(SPACE, "delete", "09:50:00.000", user="bob", uid=uid(9))
    return story_of(SPACE, weave(made, asked_for, *others), kinds=Kinds(), **asked)


def emptying(resource: str, time: str, *, code: int = 200, user: str = BY_CONTROLLER) -> Observation:
    return request(key(resource, ""), "deletecollection", time, user=user, agent="manager/v1", code=code)


def test_what_a_deleted_namespace_was_emptied_of_is_its_story() -> None:
    others = (
        emptying("configmaps", "09:59:36.000"),
        emptying("pods", "09:59:35.000", code=500),
        request(
            key("pods", "", namespace="elsewhere"), "deletecollection", "09:59:36.000", user=BY_CONTROLLER
        ),
        emptying("services", "09:59:36.000", user="jane"),
        request(ALL, "create", "09:59:36.000", code=403),
        GONE,
    )
    tree = deleted(*others)
    told = [(fact.span.name, fact.span.key.resource) for fact in tree.root.facts]
    assert told == [
        ("created", "namespaces"),
        ("delete", "namespaces"),
        ("deletecollection", "pods"),
        ("deletecollection", "configmaps"),
    ]
    assert tree.truncated == ()
    assert [life.uid for life in tree.root.lives] == [uid(9)]
    traced = deleted(*others, view=builtin_views().view("tracing"))
    (delete,) = [fact for fact in traced.root.facts if fact.span.name == "delete"]
    assert [fact.span.key.resource for fact in delete.children] == ["pods", "configmaps"]
    assert {dict(fact.label.tags)["kubeweft.shown.because"] for fact in delete.children} == {SPACE_WENT}


def test_a_deletion_that_was_refused_empties_nothing() -> None:
    made = change(SPACE, "Added", "09:59:00", uid=uid(9), version="1")
    refused = request(SPACE, "delete", "09:59:30.000", user="bob", uid=uid(9), code=403)
    spans = weave(made, refused, emptying("pods", "09:59:35.000"))
    assert [fact.span.name for fact in story_of(SPACE, spans).root.facts] == ["created", "delete"]


def test_of_a_namespace_that_does_not_get_empty_the_first_and_the_last_failures_are_told() -> None:
    times = [f"09:{52 + second // 60:02d}:{second % 60:02d}.000" for second in range(0, 300, 2)]
    tries = [emptying("pods", time, code=500) for time in times]
    tree = deleted(*tries, emptying("configmaps", "09:59:00.000"))
    told = [fact for fact in tree.root.facts if fact.span.name == "deletecollection"]
    assert len(told) == MOST_EMPTYING
    pods = [fact.start for fact in told if fact.span.key.resource == "pods"]
    assert (pods[0], pods[-1]) == (at(times[0]), at(times[-1]))
    assert told[-1].span.key.resource == "configmaps"
    (cut,) = tree.truncated
    assert (cut.what, cut.shown, cut.more) == ("collections", MOST_EMPTYING, 51)
    assert words_of(cut) == "51 more requests to empty a collection of namespaces/default"
    later = deleted(*tries, since=at("09:56:00.000"), until=at("09:57:00.000"))
    assert [fact.start for fact in later.root.facts] == [at(time) for time in times[120:]]
    assert later.truncated == ()
