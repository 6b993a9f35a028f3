"""Kubernetes objects out of files: every form that tools write, and clear words for what is none."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kubeweft.app.rules.documents import read_documents
from kubeweft.app.rules.rulebook import awake, read_rules
from kubeweft.model.errors import UserError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"


def names(folder: Path, *paths: str, recursive: bool = False) -> list[str]:
    """The names of the objects read."""
    documents = read_documents([str(folder / path) for path in paths], recursive=recursive)
    return [document.body["metadata"]["name"] for document in documents]


def test_several_documents_and_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"---\n{POD}---\n# nothing\n---\n{POD.replace('web', 'api')}")
    assert names(tmp_path, "a.yaml") == ["web", "api"]


def test_lists_are_taken_apart_and_their_items_get_the_type(tmp_path: Path) -> None:
    mixed = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}],
    }
    typed = {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "d"}}]}
    (tmp_path / "a.json").write_text(json.dumps(mixed))
    (tmp_path / "b.json").write_text(json.dumps(typed))
    node, deployment = read_documents([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert (node.body["kind"], deployment.body["kind"]) == ("Node", "Deployment")
    assert deployment.body["apiVersion"] == "apps/v1"
    assert deployment.place.endswith("b.json, item 1")


def test_a_folder_is_read_in_order_and_without_what_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "b.yml").write_text(POD.replace("web", "b"))
    (tmp_path / "a.yaml").write_text(POD.replace("web", "a"))
    (tmp_path / "values.yaml").write_text("replicas: 1\n")
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    )
    (tmp_path / "notes.txt").write_text("no YAML: [")
    (tmp_path / "inner/c.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"}})
    )
    assert names(tmp_path, ".") == ["a", "b"]
    assert names(tmp_path, ".", recursive=True) == ["a", "b", "c"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(POD))
    (document,) = read_documents(["-"])
    assert (document.place, document.body["metadata"]["name"]) == ("standard input", "web")


def test_a_time_stays_the_text_that_it_is_in_kubernetes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{POD}status: {{startTime: 2026-11-21T10:00:00Z, day: 2026-11-21}}\n")
    (document,) = read_documents([str(tmp_path / "a.yaml")])
    assert document.body["status"] == {"startTime": "2026-11-21T10:00:00Z", "day": "2026-11-21"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no valid YAML or JSON: line "),
        ("replicas: 1", "no Kubernetes object: it needs 'apiVersion', 'kind' and 'metadata.name'"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}", "no Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 7}", "no Kubernetes object"),
        ("- 1", "no Kubernetes object"),
        (f"{POD}---\nx: 1", "a.yaml, document 2: no Kubernetes object"),
        ("apiVersion: v1\nkind: List\nitems: [7]", "item 1: no Kubernetes object"),
        ("apiVersion: v1\nkind: PodList\nitems: [{metadata: {}}]", "item 1: no Kubernetes object"),
    ],
)
def test_what_is_no_object_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        names(tmp_path, "a.yaml")
    assert said in str(error.value)
    assert "a.yaml" in str(error.value)


def test_aliases_that_grow_beyond_measure_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text(POD + "\n".join(lines))
    with pytest.raises(UserError, match="too large or nested too deep"):
        names(tmp_path, "bomb.yaml")
    (tmp_path / "circle.yaml").write_text(POD + "spec: &s {again: *s}")
    with pytest.raises(UserError, match="too large or nested too deep"):
        names(tmp_path, "circle.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nowhere\.yaml: No such file"):
        names(tmp_path, "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    with pytest.raises(UserError, match="no UTF-8 text"):
        names(tmp_path, "latin.yaml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="--recursive"):
        names(tmp_path, "empty")


RULE = """
apiVersion: kubeweft.io/v1alpha1
kind: LinkRule
metadata: {name: r}
spec:
  suspend: true
  source: {resources: [{apiGroups: [""], resources: [pods]}]}
  targets: [{name: t, type: Owner}]
"""


def test_rules_are_found_among_other_objects_and_compiled(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{POD}---{RULE}")
    (rule,) = read_rules(read_documents([str(tmp_path / "a.yaml")]))
    assert (rule.name, rule.verdict.suspended, rule.verdict.rule) == ("r", True, None)
    woken = awake(rule).verdict.rule
    assert woken is not None
    assert woken.name == "r"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("v1alpha1", "v2"), "'apiVersion' must be kubeweft.io/v1alpha1, not kubeweft.io/v2"),
        (("spec:", "specs:"), "LinkRule 'r' has no 'spec'"),
    ],
)
def test_a_rule_of_another_version_or_without_a_spec(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    (tmp_path / "a.yaml").write_text(RULE.replace(*change))
    with pytest.raises(UserError, match=said):
        read_rules(read_documents([str(tmp_path / "a.yaml")]))


def test_a_linkrule_of_somebody_else_is_just_an_object(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE.replace("kubeweft.io", "kelemetry.kubewharf.io"))
    assert read_rules(read_documents([str(tmp_path / "a.yaml")])) == []
