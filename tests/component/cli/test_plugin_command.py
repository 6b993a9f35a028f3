"""``kubectl-kubeweft`` as kubectl calls it: kubectl's flags, the namespace of the context, completion."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from audit_log import DAY, WORLD, import_lines
from command_line import Done, Typed, one_line
from kubeweft.cli import plugin
from kubeweft.cli.root import COMMANDS


@pytest.fixture
def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs the plug-in in this process; ``config`` beside the store is the kubeconfig."""
    contexts = {
        "here": {"cluster": "c", "namespace": "shop"},
        "there": {"cluster": "east", "namespace": "nowhere"},
    }
    listed = [{"name": name, "context": context} for name, context in contexts.items()]
    (folder / "config").write_text(yaml.safe_dump({"contexts": listed, "current-context": "here"}))

    def typed(*words: str | Path, cwd: Path) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("KUBECONFIG", str(folder / "config"))
        monkeypatch.setattr(sys, "argv", ["kubectl-kubeweft", *map(str, words)])
        status = 0
        try:
            plugin.main()
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

    return typed


@pytest.mark.parametrize(
    "words",
    [
        ("show", "deploy", "web"),
        ("show", "deployment/web"),
        ("show", "deploy/web", "-n", "shop"),
        ("-n", "shop", "show", "deploy/web"),
        ("show", "deploy/web", "-A", "--context", "there"),
        ("--context", "there", "-A", "show", "deploy/web"),
        ("show", "deploy/web", "--kubeconfig", "config", "--context", "here", "--cluster", "local"),
        ("show", "deploy", "web", "--objects", "2"),
        ("diff", "deploy", "web", "--from", f"{DAY}T10:00:02Z", "--to", f"{DAY}T10:20Z"),
    ],
)
def test_objects_are_found_where_kubectl_would_look(
    kubectl: Typed, folder: Path, words: tuple[str, ...]
) -> None:
    done = kubectl(*words, "-o", "json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["object"]["name"] == "web"


def test_cluster_scoped_objects_are_found_in_any_namespace(kubectl: Typed, folder: Path) -> None:
    assert "Zone z1" in kubectl("show", "zones.example.com/z1", "--context", "there", cwd=folder).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("show", "deploy/web", "--context", "there"), "in namespace nowhere, but there is one with -n shop"),
        (("show", "deploy/web", "--context", "no"), "there is no context no"),
        (("show", "deploy/web", "-n", "shop", "-A"), "leave one out"),
        (("show", "deploy/web", "--kubeconfig", "missing"), "there is no kubeconfig file missing"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    kubectl: Typed, folder: Path, words: tuple[str, ...], expected: str
) -> None:
    done = kubectl(*words, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in one_line(done.stderr)


def test_a_search_is_one_of_the_namespace_or_of_all(kubectl: Typed, folder: Path) -> None:
    own = json.loads(kubectl("search", "-o", "json", cwd=folder).stdout)
    everywhere = json.loads(kubectl("search", "-A", "-o", "json", cwd=folder).stdout)
    assert {one["namespace"] for one in own} == {"shop"}
    assert {one["namespace"] for one in everywhere} >= {"shop", ""}


def test_of_several_clusters_the_one_that_is_called_like_the_context(
    kubectl: Typed, folder: Path, tmp_path: Path
) -> None:
    import_lines(tmp_path / "kubeweft.db", WORLD, cluster="east")
    import_lines(tmp_path / "kubeweft.db", WORLD, cluster="west")
    asked = ("show", "deploy/web", "-n", "shop", "-o", "json")
    found = json.loads(kubectl(*asked, "--context", "there", cwd=tmp_path).stdout)
    assert found["object"]["cluster"] == "east"
    found = json.loads(kubectl(*asked, "--context", "there", "--cluster", "west", cwd=tmp_path).stdout)
    assert found["object"]["cluster"] == "west"
    assert "add --cluster, one of east, west" in kubectl(*asked, cwd=tmp_path).stderr


def test_all_other_commands_are_there_as_well(kubectl: Typed, folder: Path) -> None:
    shown = kubectl("--help", cwd=folder).stdout
    for name in COMMANDS:
        assert f"\n  {name} " in shown
    assert "Usage: kubectl kubeweft show" in kubectl("show", "--help", cwd=folder).stdout
    assert "kubectl kubeweft show deployment/demo" in kubectl("show", "--help", cwd=folder).stdout
    assert "Namespace; default: that of the context." in kubectl("show", "--help", cwd=folder).stdout
    assert "kind: CustomResourceDefinition" in kubectl("crds", cwd=folder).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "deplo"], ["deployment"]),
        (["show", "deployment/"], ["deployment/web"]),
        (["show", "deploy", "w"], ["web"]),
        (["diff", "rs/web"], ["rs/web-1"]),
        (["show", "-n", "nowhere", "deploy/"], []),
        (["show", "unicorn/"], []),
        (["show", "--store", "missing.db", "deploy/"], []),
        (["show", "--store", "world.log", "deploy/"], []),
    ],
)
def test_objects_are_proposed_from_the_store(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: list[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-kubeweft", *words])
    plugin.complete()
    output = capsys.readouterr()
    assert (output.out.splitlines()[:-1], output.err) == (expected, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sh"], "show\t"),
        (["show", "--vi"], "--view\t"),
        (["show", "deploy/web", "--linked", "na"], "names\n"),
        (["show", "deploy/web", "--view", "tr"], "tracing\tWhat caused what"),
        (["show", "deploy/web", "--select", ""], "ancestors\tAll parents"),
        (["diff", "-o", "p"], "patch\n"),
        (["show", "--con"], "--context\t"),
    ],
)
def test_completion_speaks_the_protocol_of_kubectl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-kubeweft", *words])
    plugin.complete()
    *proposals, directive = capsys.readouterr().out.splitlines(keepends=True)
    assert any(proposal.startswith(expected) for proposal in proposals)
    assert directive == ":4\n"
