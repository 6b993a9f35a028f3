"""A life of its own for each object that bore a name."""

from __future__ import annotations

import io

from rich.console import Console

from kubeweft.display.steps.recreated import split_recreated
from kubeweft.display.steps.timeline import flatten
from kubeweft.display.tree.made import GROUP_UID
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


def test_a_list_of_several_objects_has_no_lives_of_one() -> None:
    pod = key("pods", "web-0")
    spans = weave(
        change(pod, "Added", "10:00:00", uid=uid(2), version="1", owners=(owner(TOP, uid(1)),)),
        change(pod, "Deleted", "10:01:00", uid=uid(2), old="1", version="2"),
        change(TOP, "Added", "10:00:00", uid=uid(1), version="1"),
        change(TOP, "Added", "10:02:00", uid=uid(3), version="4"),
    )
    flat = flatten(story_of(TOP, spans))
    assert split_recreated(flat) == flat
    assert "life" not in text(flat)
