"""What some source tells, left out."""

from __future__ import annotations

from kubeweft.display.steps.grouping import group
from kubeweft.display.steps.hiding import Hidden, hide_sources
from kubeweft.display.tree.trees import Tree
from memory_reader import outline, story_of
from span_builders import change, event, gap, key, related, request, to, uid, weave

IT, NODE = key("configmaps", "it"), key("nodes", "n1")


def tree() -> Tree:
    return story_of(
        IT,
        weave(
            request(IT, "patch", "10:00:00.000", uid=uid(1), version="2"),
            change(IT, "Modified", "10:00:00", uid=uid(1), old="1", version="2"),
            event(IT, "Again", "10:01:00", count=1),
            event(IT, "Again", "10:02:00", count=2),
            request(IT, "update", "10:03:00.000", code=409, base="7"),
            request(IT, "update", "10:03:01.000", code=409, base="7"),
            gap(IT, "WatchExpired", "10:04:00", "10:05:00"),
            related(IT, to(NODE, "Peer", "Near")),
        ),
        linked="names",
    )


def left(*sources: Hidden) -> list[object]:
    return outline(hide_sources(tree(), sources=list(sources)).root)["facts"]  # type: ignore[no-any-return]


def test_what_is_hidden_goes_with_all_that_is_alike() -> None:
    assert left("event") == [("patch", ["changed"]), ("update", ["update"]), "gap"]
    assert left("gap", "event") == [("patch", ["changed"]), ("update", ["update"])]


def test_what_a_hidden_request_changed_takes_its_place() -> None:
    assert left("request") == ["changed", ("Again", ["Again"]), "gap"]
    assert left("change") == ["patch", ("Again", ["Again"]), ("update", ["update"]), "gap"]


def test_links_are_no_facts_but_can_be_hidden() -> None:
    assert [len(hide_sources(tree(), sources=[source]).root.links) for source in ("gap", "link")] == [1, 0]


def test_a_hidden_group_leaves_what_it_gathered() -> None:
    grouped = group(tree(), by=["verb"])
    assert outline(hide_sources(grouped, sources=["group"]).root) == outline(tree().root)


def test_a_second_time_changes_nothing() -> None:
    once = hide_sources(tree(), sources=["request", "link"])
    assert hide_sources(once, sources=["request", "link"]) == once
