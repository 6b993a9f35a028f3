"""Objects of which nothing is left to tell."""

from __future__ import annotations

import dataclasses

import msgspec

from kubeweft.display.steps.grouping import group
from kubeweft.display.steps.pruning import prune_childless
from kubeweft.display.tree.trees import Tree
from memory_reader import story_of
from span_builders import change, event, key, owner, related, request, to, uid, weave

TOP, RS, POD, NODE = (
    key("deployments", "top"),
    key("replicasets", "rs"),
    key("pods", "web-0"),
    key("nodes", "n1"),
)


def tree(*, without: str = "") -> Tree:
    spans = weave(
        request(TOP, "patch", "10:00:00.000"),
        change(RS, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(TOP, uid(1)),)),
        change(POD, "Added", "10:00:02", uid=uid(3), version="3", owners=(owner(RS, uid(2)),)),
        event(NODE, "NotReady", "10:00:03", type="Warning"),
        related(TOP, to(NODE, "Peer", "RunsOn")),
    )
    kept = [s for s in spans if s.key.resource not in without or s.source in ("object", "link")]
    return story_of(TOP, kept, linked="full")


def test_what_has_neither_facts_nor_children_goes_from_below() -> None:
    assert prune_childless(tree()) == tree()
    assert [node.key for node in prune_childless(tree(without="pods")).root.children] == [RS]
    assert prune_childless(tree(without="pods")).root.children[0].children == ()
    assert prune_childless(tree(without="pods replicasets")).root.children == ()
    assert prune_childless(tree(without="replicasets")).root.children[0].children[0].key == POD


def test_the_root_stays_and_linked_objects_may() -> None:
    bare = tree(without="nodes")
    assert [len(prune_childless(bare, linked=linked).linked) for linked in (True, False)] == [
        0,
        len(bare.linked),
    ]
    empty = dataclasses.replace(bare, root=msgspec.structs.replace(bare.root, facts=(), children=()))
    assert prune_childless(empty).root.key == TOP


def test_groups_that_gather_nothing_go_too() -> None:
    grouped = group(tree(), by=["source"])
    hollow = tuple([msgspec.structs.replace(fact, children=()) for fact in grouped.root.facts])
    emptied = dataclasses.replace(grouped, root=msgspec.structs.replace(grouped.root, facts=hollow))
    assert prune_childless(emptied).root.facts == ()
    assert prune_childless(grouped) == grouped
