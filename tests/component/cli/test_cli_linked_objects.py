"""``show`` over links that rules made: other clusters, virtual objects, and how much is told of linked ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Fails, Typed, one_line
from kubeweft.model.observations import TraceContext
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from span_builders import change, event, key, owner, related, to, uid, weave

HUB, MEMBER = key("deployments", "web"), key("deployments", "web", cluster="member-1")
POD, NODE = key("pods", "web-1", cluster="member-1"), key("nodes", "n1", cluster="member-1")
RELEASE = ObjectKey("demo", "helm.sh", "releases", "default", "shop")
ACCOUNT = ObjectKey("member-1", "", "serviceaccounts", "default", "default")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store: a Helm release with a Deployment that another cluster has a copy of."""
    folder = tmp_path_factory.mktemp("linked")
    context = TraceContext(b"\x4b" * 16, b"\x0f" * 8, "tracing.k8s.io/traceparent")
    spans = weave(
        change(HUB, "Added", "10:00:00", uid=uid(1), version="1", contexts=(context,)),
        change(MEMBER, "Added", "10:00:01", uid=uid(2), version="1"),
        change(POD, "Added", "10:00:02", uid=uid(3), version="2", owners=(owner(MEMBER, uid(2)),)),
        event(NODE, "NodeNotReady", "10:00:09", type="Warning"),
        related(HUB, to(MEMBER, "Child", "Federates"), to(RELEASE, "Parent", "Installs")),
        related(POD, to(NODE, "Peer", "RunsOn"), to(ACCOUNT, "Peer", "RunsAs")),
    )
    with SqliteStore(folder / "kubeweft.db") as store:
        store.write(Batch(spans=spans))
    return folder


def test_the_tree_goes_over_clusters_and_ends_with_what_matters(run: Typed, linked: Path) -> None:
    shown = run("show", "deployment/web", "-n", "default", "--cluster", "demo", cwd=linked)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line[14:].lstrip("│├└─ ") for line in shown.stdout.splitlines()[4:]] == [
        "[demo] Deployment default/web  created",
        "↑ Installs release/shop",
        "created",
        f"⇢ trace {'4b' * 16} span {'0f' * 8} (tracing.k8s.io/traceparent)",
        "[member-1] Deployment default/web (Federates)  created",
        "created",
        "[member-1] Pod default/web-1  created",
        "↔ RunsAs serviceaccount/default",
        "↔ RunsOn node/n1",
        "created",
        "linked objects",
        "[member-1] Node n1 (RunsOn)",
        "linked with pod/web-1 in default",
        "Warning NodeNotReady (kubelet)",
    ]


def test_a_name_in_several_clusters_asks_for_one(fails: Fails, linked: Path) -> None:
    said = one_line(fails("show", "deployment/web", "-n", "default", cwd=linked))
    assert "known in several clusters: add --cluster, one of demo, member-1" in said


@pytest.mark.parametrize("words", ["release/shop", "releases/shop", "release.helm.sh/shop"])
def test_a_helm_release_is_shown_by_its_links(run: Typed, linked: Path, words: str) -> None:
    lines = run("show", words, "-n", "default", cwd=linked).stdout.splitlines()
    assert lines[0] == "Release default/shop  in cluster demo"
    assert lines[1].startswith("4 objects · 1 linked · ")
    assert "[demo] Deployment default/web (Installs)  created" in "\n".join(lines)


@pytest.mark.parametrize(
    ("mode", "shown", "named"),
    [
        ("auto", {"n1"}, {"n1", "default"}),
        ("none", set(), set()),
        ("names", set(), {"n1", "default"}),
        ("full", {"n1", "default"}, {"n1", "default"}),
    ],
)
def test_how_much_is_told(run: Typed, linked: Path, mode: str, shown: set[str], named: set[str]) -> None:
    words = ("show", "pod/web-1", "--linked", mode, "-o", "json")
    value = json.loads(run(*words, cwd=linked).stdout)
    assert {item["name"] for item in value["linked"]} == named
    assert {item["name"] for item in value["linked"] if item["span_id"]} == shown
    objects = {span["object"].rpartition("/")[2] for span in value["spans"] if span["source"] == "object"}
    assert objects == {"web-1", *shown}


def test_another_mode_is_refused(fails: Fails, linked: Path) -> None:
    assert "'all' is not one of" in fails("show", "pod/web-1", "--linked", "all", cwd=linked)


def test_what_is_known_by_links_only_has_no_manifest(fails: Fails, linked: Path) -> None:
    said = one_line(fails("show", "release/shop", "--at", "2026-11-21T10:10Z", cwd=linked))
    assert "no snapshot of it is stored before" in said


def test_virtual_objects_are_found_by_kind(run: Typed, linked: Path) -> None:
    (found,) = json.loads(run("search", "--kind", "release", "-o", "json", cwd=linked).stdout)
    assert (found["group"], found["resource"], found["name"]) == ("helm.sh", "releases", "shop")
