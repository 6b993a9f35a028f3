"""The lives of a re-created name."""

from __future__ import annotations

import io

from rich.console import Console

from kubeweft.display.tree.trees import facts_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.writing.text import write_tree
from kubeweft.model.spans import Span
from memory_reader import story_of
from span_builders import at, change, event, key, request, uid, weave

POD, NODE = key("pods", "web-0"), key("nodes", "node-1")


def recreated() -> list[Span]:
    """Created, deleted and created again in one window."""
    return weave(
        request(POD, "create", "10:00:00.100", code=201, uid=uid(1), version="1"),
        change(POD, "Added", "10:00:00", uid=uid(1), version="1"),
        request(POD, "delete", "10:01:00.100", uid=uid(1)),
        change(POD, "Deleted", "10:01:00", uid=uid(1), old="1", version="2"),
        request(POD, "delete", "10:01:30.100", code=404, reason="NotFound"),
        request(POD, "create", "10:02:00.100", code=201, uid=uid(2), version="3"),
        change(POD, "Added", "10:02:00", uid=uid(2), version="3"),
        event(POD, "Pulled", "10:02:00", uid=uid(2)),
        event(POD, "Killing", "10:01:00", uid=uid(1)),
        request(POD, "get", "10:02:30.000"),
    )


def test_each_life_has_its_own_times_and_facts() -> None:
    root = story_of(POD, recreated()).root
    assert [(life.uid, life.created, life.deleted) for life in root.lives] == [
        (uid(1), at("10:00:00.100"), at("10:01:00.100")),
        (uid(2), at("10:02:00.100"), None),
    ]
    told = [[f.span.name for f in root.facts if f.life == number] for number in (0, 1)]
    assert told == [["create", "Killing", "delete", "delete"], ["create", "Pulled", "get"]]


def test_what_stands_under_a_fact_is_of_the_same_life() -> None:
    """A view may take it out again: the creation of the second life is no change of the first."""
    facts = story_of(POD, recreated()).root.facts
    assert {child.life for fact in facts if fact.life == 1 for child in fact.children} == {1}
    grouped = story_of(POD, recreated(), view=builtin_views().view("grouping")).root.facts
    apart = [[fact.span.name for fact in facts_of(life.children)] for life in grouped]
    assert apart[1][:4] == ["audit", "create", "get", "changes"]


def test_facts_stand_life_by_life() -> None:
    lives = [fact.life for fact in story_of(POD, recreated()).root.facts]
    assert lives == sorted(lives)


def test_a_uid_that_is_none_makes_no_life() -> None:
    """The kubelet writes the Node's name as its UID into Events; a mirror Pod has a hash."""
    spans = weave(
        change(NODE, "Sighting", "10:00:00", uid=uid(1), version="1"),
        event(NODE, "Starting", "10:00:01", uid="node-1"),
        event(NODE, "Rebooted", "10:00:02", uid="0c9a5d2f0c9a5d2f0c9a5d2f0c9a5d2f"),
    )
    root = story_of(NODE, spans).root
    assert [life.uid for life in root.lives] == [uid(1)]


def test_events_alone_tell_lives_apart() -> None:
    spans = weave(event(POD, "A", "10:00:00", uid=uid(1)), event(POD, "B", "10:01:00", uid=uid(2)))
    root = story_of(POD, spans).root
    assert [(life.uid, life.created) for life in root.lives] == [(uid(1), None), (uid(2), None)]


def test_a_first_seen_object_tells_when_it_was_created() -> None:
    body: dict[str, object] = {"metadata": {"creationTimestamp": "2026-11-20T09:00:00Z"}}
    spans = weave(change(POD, "Sighting", "10:00:00", uid=uid(1), version="1", body=body))
    (life,) = story_of(POD, spans).root.lives
    assert life.created == at("09:00:00", day="2026-11-20")


def test_a_snapshot_tells_when_the_object_was_created_though_it_is_not_shown() -> None:
    """The first change in a window comes with one; the creation lies hours back."""
    body: dict[str, object] = {"metadata": {"creationTimestamp": "2026-11-20T09:00:00Z"}}
    spans = weave(
        change(POD, "Modified", "10:00:00", uid=uid(1), old="1", version="2"),
        change(POD, "Sighting", "10:00:00", uid=uid(1), version="2", body=body),
    )
    root = story_of(POD, spans).root
    assert [fact.span.name for fact in root.facts] == ["changed"]
    assert [life.created for life in root.lives] == [at("09:00:00", day="2026-11-20")]


def test_an_unreadable_body_is_no_reason_to_fail() -> None:
    body: dict[str, object] = {"metadata": {"creationTimestamp": 7}}
    spans = weave(change(POD, "Sighting", "10:00:00", uid=uid(1), version="1", body=body))
    assert [life.created for life in story_of(POD, spans).root.lives] == [None]


def test_without_any_uid_there_is_one_nameless_life() -> None:
    root = story_of(POD, weave(request(POD, "patch", "10:00:00.000"))).root
    assert [(life.uid, root.facts[0].life) for life in root.lives] == [("", 0)]


def test_an_event_without_uid_in_the_second_of_a_creation_belongs_to_the_new_life() -> None:
    nameless = weave(event(POD, "SuccessfulCreate", "10:02:00"))
    precise = [span for span in recreated() if span.name != "Pulled"]
    root = story_of(POD, [*precise, *nameless]).root
    assert [fact.life for fact in root.facts if fact.span.name == "SuccessfulCreate"] == [1]


def test_a_creation_without_uid_in_the_second_before_belongs_to_the_life_that_it_began() -> None:
    spans = weave(
        request(POD, "create", "10:00:00.100", code=201, uid=uid(1), version="1"),
        change(POD, "Added", "10:00:00", uid=uid(1), version="1"),
        change(POD, "Deleted", "10:00:30", uid=uid(1), old="1", version="2"),
        request(POD, "create", "10:00:30.990", code=201),
        change(POD, "Added", "10:00:31", uid=uid(2), version="3"),
    )
    facts = story_of(POD, spans).root.facts
    assert [fact.life for fact in facts if fact.span.name == "create"] == [0, 1]


def test_a_life_that_ended_before_the_time_asked_for_is_no_line() -> None:
    root = story_of(POD, recreated(), since=at("10:01:45.000"), view=builtin_views().view("tracing")).root
    assert len(root.lives) == 2
    assert [group.life for group in root.facts] == [1]
    out = io.StringIO()
    write_tree(story_of(POD, recreated(), since=at("10:01:45.000")), Console(file=out, width=140))
    assert "life 2" in out.getvalue()
    assert "life 1" not in out.getvalue()


def test_a_life_began_when_its_creation_was_asked_for_though_the_answer_has_no_uid() -> None:
    spans = weave(
        change(POD, "Added", "10:00:00", uid=uid(1), version="1"),
        change(POD, "Deleted", "10:00:30", uid=uid(1), old="1", version="2"),
        request(POD, "create", "10:00:30.990", code=201),
        change(POD, "Added", "10:00:31", uid=uid(2), version="3"),
    )
    root = story_of(POD, spans).root
    assert [life.created for life in root.lives] == [at("10:00:00"), at("10:00:30.990")]
    assert [fact.life for fact in root.facts] == [0, 0, 1, 1]
