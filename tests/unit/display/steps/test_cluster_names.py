"""Clusters by the names that people call them."""

from __future__ import annotations

import io

from rich.console import Console

from kubeweft.display.steps.cluster_names import name_clusters
from kubeweft.display.tree.made import tag
from kubeweft.display.tree.trees import USUAL, Tree, facts_of, shown_nodes
from kubeweft.display.writing.text import write_tree
from kubeweft.model import vocabulary as v
from memory_reader import story_of
from span_builders import change, event, key, owner, related, request, to, uid, weave

HUB, MEMBER = key("deployments", "web"), key("deployments", "web", cluster="member-1")


def tree() -> Tree:
    return story_of(
        HUB,
        weave(
            request(HUB, "patch", "10:00:00.000"),
            change(MEMBER, "Added", "10:00:01", uid=uid(1), version="1", owners=(owner(key("configmaps", "c", cluster="member-1"), uid(7)),)),
            event(key("nodes", "n1", cluster="member-1"), "NotReady", "10:00:02", type="Warning"),
            related(HUB, to(MEMBER, "Child", "Federates")),
            related(MEMBER, to(key("nodes", "n1", cluster="member-1"), "Peer", "RunsOn")),
        ),
    )  # fmt: skip


def text(one: Tree) -> str:
    out = io.StringIO()
    write_tree(one, Console(file=out, width=140))
    return out.getvalue()


def test_all_text_uses_the_new_names_and_nothing_else_changes() -> None:
    named = name_clusters(tree(), names={"demo": "Hub", "member-1": "Berlin"})
    assert text(named) == text(tree()).replace("demo", "Hub").replace("member-1", "Berlin")
    assert "[Berlin] Deployment" in text(named)


def test_clusters_without_a_name_keep_theirs() -> None:
    named = name_clusters(tree(), names={"member-1": "Berlin", "nowhere": "Atlantis"})
    assert named.root.label is USUAL
    assert "in cluster demo" in text(named)


def test_viewers_get_it_as_a_tag_and_the_key_is_what_it_was() -> None:
    named = name_clusters(tree(), names={"member-1": "Berlin"})
    parts = [node for node in shown_nodes(named) if node.key.cluster == "member-1"]
    assert len(parts) == 2
    assert {tag(node.label, v.CLUSTER) for node in parts} == {"Berlin"}
    assert {tag(f.label, v.CLUSTER) for node in parts for f in facts_of(node.facts)} == {"Berlin"}
    assert name_clusters(named, names={"member-1": "Berlin"}) == named
