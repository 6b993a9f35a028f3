"""A life of its own for each object that bore a name."""

from __future__ import annotations

import io

from rich.console import Console

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.recreated import split_recreated
from kubeweft.display.steps.timeline import flatten
from kubeweft.display.tree.made import GROUP_UID, SHOWN_LIFE, tag
from kubeweft.display.tree.trees import Tree
from kubeweft.display.writing.text import write_tree
from memory_reader import story_of
from span_builders import change, event, key, owner, request, uid, weave

IT, TOP = key("configmaps", "it"), key("deployments", "top")


def lived() -> Tree:
    return story_of(
        IT,
        weave(
            request(IT, "create", "10:00:00.100", code=201, uid=uid(1), version="1"),
            change(IT, "Added", "10:00:00", uid=uid(1), version="1"),
            request(IT, "delete", "10:01:00.100", uid=uid(1)),
            change(IT, "Deleted", "10:01:00", uid=uid(1), old="1", version="2"),
            change(IT, "Added", "10:02:00", uid=uid(2), version="3", manager="kubectl"),
            event(IT, "Seen", "10:03:00"),
        ),
    )


def text(tree: Tree) -> str:
    out = io.StringIO()
    write_tree(tree, Console(file=out, width=140))
    return out.getvalue()


def test_each_life_is_a_group_that_knows_its_uid() -> None:
    first, second = split_recreated(lived()).root.facts
    assert [fact.text(GROUP_UID) for fact in (first, second)] == [uid(1), uid(2)]
    assert [fact.span.name for fact in first.children] == ["create", "delete"]
    assert [fact.span.name for fact in second.children] == ["created", "Seen"]
    assert (first.start, first.end) == (first.children[0].start, first.children[1].end)


def test_the_text_is_the_one_that_tells_lives_apart_without_it() -> None:
    assert text(split_recreated(lived())) == text(lived())


def test_one_life_needs_no_group_and_a_second_time_changes_nothing() -> None:
    once = split_recreated(lived())
    assert split_recreated(once) == once
    single = story_of(IT, weave(request(IT, "patch", "10:00:00.000", uid=uid(1), version="1")))
    assert split_recreated(single) == single


def test_what_began_because_a_life_ended_says_which_life_it_is() -> None:
    db, pod = key("statefulsets", "db"), key("pods", "db-0")
    account, agent = "system:serviceaccount:kube-system:statefulset-controller", "kube-controller-manager/v1"
    spans = weave(
        change(db, "Added", "10:00:00", uid=uid(1), version="1"),
        change(pod, "Added", "10:00:00", uid=uid(2), version="2", owners=(owner(db, uid(1)),)),
        request(pod, "delete", "10:05:00.100", uid=uid(2), user="bob", agent="kubectl/v1"),
        change(pod, "Deleted", "10:05:00", uid=uid(2), old="2", version="5"),
        request(pod, "create", "10:05:00.200", code=201, uid=uid(3), version="6", user=account, agent=agent),
        change(pod, "Added", "10:05:00", uid=uid(3), version="6", owners=(owner(db, uid(1)),)),
        event(pod, "Scheduled", "10:05:01", uid=uid(3)),
    )
    tree = split_recreated(nest_causes(story_of(db, spans)))
    (ended,) = [fact for fact in tree.root.children[0].facts if fact.span.name == "delete"]
    (began,) = [fact for fact in ended.children if fact.span.name == "create"]
    assert (tag(ended.label, SHOWN_LIFE), tag(began.label, SHOWN_LIFE)) == ("1", "2")
    assert [tag(fact.label, SHOWN_LIFE) for fact in began.children] == [
        "",
        "",
    ]  # they say no more than it does
    assert split_recreated(tree) == tree
    lines = text(tree)
    assert "(kubectl) → 200 12ms (life 1)" in lines
    assert "→ 201 12ms (life 2)" in lines
    assert "life 1 ·" not in lines


def test_in_a_list_of_several_objects_each_fact_says_its_life() -> None:
    pod = key("pods", "web-0")
    spans = weave(
        change(pod, "Added", "10:00:00", uid=uid(2), version="1", owners=(owner(TOP, uid(1)),)),
        change(pod, "Deleted", "10:01:00", uid=uid(2), old="1", version="2"),
        change(TOP, "Added", "10:00:00", uid=uid(1), version="1"),
        change(TOP, "Added", "10:02:00", uid=uid(3), version="4"),
    )
    flat = split_recreated(flatten(story_of(TOP, spans)))
    assert [tag(f.label, SHOWN_LIFE) for f in flat.root.facts if f.span.key == TOP] == ["1", "2"]
    assert not any(f.span.source == "group" for f in flat.root.facts)
