"""The shipped views of a rollout. Their texts are reviewed like code; with ``UPDATE_GOLDEN=1`` the test writes them anew."""

from __future__ import annotations

import io
import os
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from kubeweft.display.tree.made import GROUP_VALUE
from kubeweft.display.tree.trees import Tree
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.writing.json_shape import tree_as_json
from kubeweft.display.writing.text import write_tree
from kubeweft.model.kinds import Kinds
from kubeweft.model.spans import Span
from memory_reader import story_of
from span_builders import change, event, key, owner, related, request, to, uid, weave

HERE = Path(__file__).parent
VIEWS = ["timeline", "tracing", "grouping", "actors"]
TEXT = {"type": "string"}
LABEL = {
    "type": "object",
    "properties": {
        "service": TEXT,
        "operation": TEXT,
        "tags": {"type": "object", "additionalProperties": TEXT},
    },
    "required": ["service", "operation", "tags"],
    "additionalProperties": False,
}
POD, NODE = key("pods", "web-0"), key("nodes", "n1")


def arranged(spans: list[Span], view: str, name: str = "demo") -> Tree:
    return story_of(key("deployments", name), spans, view=builtin_views().view(view), kinds=Kinds())


def text(tree: Tree, *, width: int = 0) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width or 140, force_terminal=bool(width), color_system=None)
    write_tree(tree, console)
    return out.getvalue()


@pytest.mark.parametrize("view", VIEWS)
def test_the_rollout_reads_as_reviewed(view: str, rollout: list[Span]) -> None:
    golden = HERE / f"rollout.{view}.txt"
    found = text(arranged(rollout, view))
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("view", VIEWS)
def test_a_terminal_of_any_width_takes_it(view: str, rollout: list[Span]) -> None:
    for width in (60, 119, 150):
        lines = text(arranged(rollout, view), width=width).splitlines()
        assert max(map(len, lines[3:])) <= width


@pytest.mark.parametrize("view", ["tree", *VIEWS])
def test_json_has_the_same_shape_in_every_view(view: str, rollout: list[Span]) -> None:
    value = tree_as_json(arranged(rollout, view))
    seen = {""}
    for span in value["spans"]:
        assert span["parent_span_id"] in seen
        seen.add(span["span_id"])
        assert span["source"] in ("object", "request", "change", "event", "link", "gap", "group")
        if "label" in span:
            jsonschema.validate(span["label"], LABEL)
        assert set(span) - {"label", "rules", "via"} == set(value["spans"][0]) - {"label"}
    own = [s for s in value["spans"] if s["source"] in ("request", "change", "event")]
    assert len(own) == 29
    assert len({s["object"] for s in own}) == 6


def linked() -> list[Span]:
    """A Pod runs on a Node, which goes away."""
    top = key("deployments", "top")
    return weave(
        change(POD, "Added", "10:00:01", uid=uid(2), version="3", owners=(owner(top, uid(1)),)),
        request(top, "patch", "10:00:00.000"),
        event(NODE, "NodeNotReady", "10:00:02", type="Warning", reporter="node-controller"),
        related(POD, to(NODE, "Peer", "RunsOn")),
    )


def test_what_happened_to_a_linked_object_stands_in_its_place_in_time() -> None:
    lines = text(arranged(linked(), "timeline", "top")).splitlines()
    assert [line.split("─ ")[1] for line in lines if "─ " in line] == [
        "deployment/top: patch by kubernetes-admin (kubectl) → 200 12ms",
        "pod/web-0: created",
        "node/n1: Warning NodeNotReady (node-controller)",
    ]


def test_links_are_told_where_a_view_gathers_them() -> None:
    tree = arranged(linked(), "grouping", "top")
    assert "─ links  1 fact\n" in text(tree)
    assert "└─ ↔ RunsOn node/n1\n" in text(tree)
    assert [item["name"] for item in tree_as_json(tree)["linked"]] == ["n1"]


def test_tracing_leaves_linked_objects_beside_the_tree() -> None:
    lines = text(arranged(linked(), "tracing", "top")).splitlines()
    assert [line for line in lines if "linked objects" in line or "NodeNotReady" in line]


def test_actors_have_a_colour_of_their_own(rollout: list[Span]) -> None:
    tree = arranged(rollout, "actors")
    services = {fact.text(GROUP_VALUE): fact.label.service for fact in tree.root.facts}
    assert services == {
        "kubernetes-admin (kubectl)": "kubernetes-admin",
        "system:serviceaccount:kube-system:deployment-controller (kube-controller-manager)": "deployment-controller",
        "system:serviceaccount:kube-system:replicaset-controller (kube-controller-manager)": "replicaset-controller",
        "system:kube-scheduler (kube-scheduler)": "kube-scheduler",
        "reporter kubelet": "kubelet",
        "field manager kube-controller-manager": "kube-controller-manager",
        "not known who": "unknown",
    }
    assert all(
        child.label.service == fact.label.service for fact in tree.root.facts for child in fact.children
    )
