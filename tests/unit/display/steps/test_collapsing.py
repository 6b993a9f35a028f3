"""A tree no deeper than its story."""

from __future__ import annotations

import io

from rich.console import Console

from kubeweft.display.steps.collapsing import collapse
from kubeweft.display.steps.grouping import group
from kubeweft.display.tree.made import SHOWN_FOLDED, tag
from kubeweft.display.tree.trees import Tree
from kubeweft.display.words.headlines import object_headline
from kubeweft.display.words.pens import Pen
from kubeweft.display.writing.text import write_tree
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, key, owner, related, request, to, uid, weave

TOP, RS, POD, OTHER = (
    key("deployments", "top"),
    key("replicasets", "rs"),
    key("pods", "web-0"),
    key("pods", "web-1"),
)


def chain(*more: Observation) -> Tree:
    """A Deployment, of whose ReplicaSet nothing is known but that it owns a Pod."""
    spans = weave(
        request(TOP, "patch", "10:00:00.000"),
        change(RS, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(TOP, uid(1)),)),
        change(POD, "Added", "10:00:02", uid=uid(3), version="3", owners=(owner(RS, uid(2)),)),
        *more,
    )
    return story_of(TOP, [s for s in spans if s.key != RS or s.source in ("link", "object")])


def text(tree: Tree) -> list[str]:
    out = io.StringIO()
    write_tree(tree, Console(file=out, width=140))
    return out.getvalue().splitlines()[4:]


def test_an_object_without_a_story_gives_way_to_its_only_child() -> None:
    tree = collapse(chain())
    (pod,) = tree.root.children
    assert (pod.key, tag(pod.label, SHOWN_FOLDED)) == (POD, "replicasets.apps rs")
    assert object_headline(pod, Pen()) == "Pod default/web-0 (in replicasets.apps rs)"
    assert collapse(tree) == tree


def test_two_children_links_or_facts_keep_an_object() -> None:
    second = change(OTHER, "Added", "10:00:03", uid=uid(4), version="4", owners=(owner(RS, uid(2)),))
    link = related(RS, to(key("nodes", "n1"), "Peer", "Near"))
    for tree in (chain(second), chain(link)):
        assert [node.key for node in collapse(tree).root.children] == [RS]


def test_the_root_always_stays() -> None:
    spans = weave(change(POD, "Added", "10:00:02", uid=uid(3), version="3", owners=(owner(RS, uid(2)),)))
    assert collapse(story_of(RS, spans)).root.key == RS


def test_a_group_of_one_is_none() -> None:
    tree = story_of(POD, weave(request(POD, "patch", "10:00:00.000")))
    assert collapse(group(tree, by=["source"])) == tree
    assert collapse(group(tree, by=["source"]), what=["objects"]) != tree


def test_a_change_becomes_tags_of_its_request_and_the_text_stays() -> None:
    tree = story_of(
        POD,
        weave(
            request(POD, "patch", "10:00:00.000", uid=uid(1), version="2"),
            change(
                POD, "Modified", "10:00:00", uid=uid(1), old="1", version="2", words=("spec.replicas 1 → 2",)
            ),
            request(POD, "delete", "10:01:00.000", uid=uid(1)),
            change(POD, "Deleted", "10:01:00", uid=uid(1), old="2", version="3"),
        ),
    )
    folded = collapse(tree, what=["changes"])
    patch, delete = folded.root.facts
    assert (patch.children, delete.children) == ((), ())
    assert tag(patch.label, v.WORDS) == "spec.replicas 1 → 2"
    assert tag(patch.label, v.OLD_VERSION) == "1"
    assert text(folded) == text(tree)


def test_what_else_stands_under_a_request_keeps_its_change() -> None:
    tree = story_of(POD, weave(request(POD, "patch", "10:00:00.000", uid=uid(1), version="2")))
    assert collapse(tree, what=["changes"]) == tree
