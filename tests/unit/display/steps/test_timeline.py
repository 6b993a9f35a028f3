"""One list of everything, in order of time."""

from __future__ import annotations

from kubeweft.display.steps.fitting import fit_objects
from kubeweft.display.steps.grouping import group
from kubeweft.display.steps.timeline import flatten
from kubeweft.display.tree.trees import Tree
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, event, key, owner, related, request, to, uid, weave

TOP, POD, NODE = key("deployments", "top"), key("pods", "web-0"), key("nodes", "n1")
SEEN: list[Observation] = [
    change(POD, "Added", "10:00:02", uid=uid(2), version="5", owners=(owner(TOP, uid(1)),)),
    request(TOP, "create", "10:00:01.000", code=201, uid=uid(1), version="4"),
    change(TOP, "Added", "10:00:01", uid=uid(1), version="4"),
    request(TOP, "patch", "10:00:03.000", uid=uid(1), version="9"),
    event(NODE, "NodeNotReady", "10:00:02.500", type="Warning"),
    related(TOP, to(NODE, "Peer", "RunsOn")),
]


def told(tree: Tree) -> list[str]:
    return [f"{fact.span.key.name} {fact.span.name}" for fact in tree.root.facts]


def test_facts_of_all_objects_are_in_one_list_in_order_of_time() -> None:
    tree = flatten(story_of(TOP, weave(*SEEN)))
    assert told(tree) == ["top create", "web-0 created", "n1 NodeNotReady", "top patch"]
    assert (tree.root.children, tree.linked) == ((), ())
    assert [child.span.name for child in tree.root.facts[0].children] == ["created"]


def test_linked_objects_may_stay_beside() -> None:
    tree = flatten(story_of(TOP, weave(*SEEN)), linked=False)
    assert told(tree) == ["top create", "web-0 created", "top patch"]
    assert [node.key for node in tree.linked] == [NODE]


def test_within_a_second_the_lower_version_was_first_whosever_it_is() -> None:
    seen = [
        change(POD, "Added", "10:00:00", uid=uid(2), version="12", owners=(owner(TOP, uid(1)),)),
        change(TOP, "Modified", "10:00:00", uid=uid(1), old="1", version="11"),
        change(TOP, "Modified", "10:00:00", uid=uid(1), old="11", version="13"),
    ]
    assert told(flatten(story_of(TOP, weave(*seen)))) == ["top changed", "web-0 created", "top changed"]


def test_an_event_stays_behind_the_creation_that_its_second_hides() -> None:
    seen: list[Observation] = [
        event(POD, "Pulled", "10:00:02", uid=uid(2)),
        request(POD, "create", "10:00:02.300", code=201, uid=uid(2), version="5"),
        change(POD, "Added", "10:00:02", uid=uid(2), version="5", owners=(owner(TOP, uid(1)),)),
        request(TOP, "patch", "10:00:02.200", uid=uid(1), version="4"),
    ]
    assert told(flatten(story_of(TOP, weave(*seen)))) == ["top patch", "web-0 create", "web-0 Pulled"]


def test_a_flat_tree_stays_as_it_is_and_groups_are_dissolved() -> None:
    flat = fit_objects(flatten(story_of(TOP, weave(*SEEN))))
    assert flatten(flat) is flat
    assert told(flatten(group(flat, by=["source"]))) == told(flat)
