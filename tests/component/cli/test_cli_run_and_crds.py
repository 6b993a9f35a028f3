"""``run`` and ``crds``: what keeps them from starting is said clearly, and all at once."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from command_line import ENVIRONMENT, KUBEWEFT, PATIENCE, Fails, Typed, one_line


def test_wrong_settings_are_told_all_at_once(fails: Fails, tmp_path: Path) -> None:
    words = [
        "--window-seconds",
        "3",
        "--audit-listen",
        "nowhere",
        "--otlp",
        "ftp://host",
        "--log-level",
        "loud",
    ]
    (tmp_path / "k.toml").write_text('cluster = "No Name"\nmax_pending_spans = "x"\n')
    first, *problems = fails("run", "--config", "k.toml", *words, cwd=tmp_path).splitlines()
    assert first == "kubeweft: the settings are not right:"
    names = [problem.split(":")[0].strip() for problem in problems]
    assert sorted(names) == [
        "audit_listen",
        "cluster",
        "log_level",
        "max_pending_spans",
        "otlp",
        "window_seconds",
    ]
    assert not (tmp_path / "kubeweft.db").exists()


def test_a_settings_file_with_mistakes(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "k.toml").write_text('windw_seconds = 60\nstore_max_bytes = "much"\n')
    said = fails("run", "--config", "k.toml", cwd=tmp_path)
    assert "windw_seconds" in said
    assert "store_max_bytes" in said
    (tmp_path / "k.toml").write_text("[")
    assert "no valid TOML" in one_line(fails("run", "--config", "k.toml", cwd=tmp_path))
    assert "cannot read the settings file no.toml" in one_line(
        fails("run", "--config", "no.toml", cwd=tmp_path)
    )


def test_a_kubeconfig_that_cannot_be_used(fails: Fails, tmp_path: Path) -> None:
    assert "there is no kubeconfig file" in one_line(fails("run", "--kubeconfig", "nowhere", cwd=tmp_path))
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\nclusters: 7\n")
    assert fails("run", "--kubeconfig", "config", cwd=tmp_path).startswith("kubeweft: ")
    (tmp_path / "config").write_text("{")
    assert fails("run", "--kubeconfig", "config", cwd=tmp_path).startswith("kubeweft: ")


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--audit-listen", "127.0.0.1:0", "--audit-tls-cert", "c.pem"], "belong together"),
        (["--audit-listen", "127.0.0.1:0", "--audit-token-file", "no-token"], "no-token"),
        (
            ["--audit-listen", "127.0.0.1:0", "--audit-tls-cert", "no.pem", "--audit-tls-key", "no.key"],
            "no.pem",
        ),
        (["--audit-listen", "203.0.113.7:9443"], "203.0.113.7:9443"),
        (["--status-listen", "203.0.113.7:9443"], "203.0.113.7:9443"),
        (["--context", "elsewhere"], "elsewhere"),
        (["--store", "no/such/k.db"], "cannot be created"),
    ],
)
def test_what_keeps_the_operator_from_starting_is_said_in_one_line(
    fails: Fails, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "config").write_text(KUBECONFIG)
    said = fails("run", "--kubeconfig", "config", *words, cwd=tmp_path)
    assert expected in one_line(said.splitlines()[-1] + "\n")


def test_both_definitions_are_printed_as_yaml(run: Typed, tmp_path: Path) -> None:
    printed = run("crds", cwd=tmp_path).stdout
    definitions = list(yaml.safe_load_all(printed))
    assert [one["metadata"]["name"] for one in definitions] == [
        "linkrules.kubeweft.io",
        "tracingpolicies.kubeweft.io",
    ]
    for one in definitions:
        assert one["kind"] == "CustomResourceDefinition"
        (version,) = [v for v in one["spec"]["versions"] if v["storage"]]
        assert version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_definitions_cannot_be_applied_to_nothing(fails: Fails, tmp_path: Path) -> None:
    assert "no usable kubeconfig" in one_line(
        fails("crds", "--apply", "--kubeconfig", "nowhere", cwd=tmp_path)
    )
    (tmp_path / "config").write_text(KUBECONFIG)
    assert "cannot install" in one_line(fails("crds", "--apply", "--kubeconfig", "config", cwd=tmp_path))
    assert "no usable kubeconfig" in one_line(
        fails("crds", "--apply", "--kubeconfig", "config", "--context", "elsewhere", cwd=tmp_path)
    )
    (tmp_path / "config").write_text("{")
    broken = fails("crds", "--apply", "--kubeconfig", "config", cwd=tmp_path)
    assert broken.startswith("kubeweft: no usable kubeconfig: ")


def test_a_cluster_that_does_not_answer_is_waited_for_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(KUBECONFIG)
    running = subprocess.Popen(
        [str(KUBEWEFT), "run", "--kubeconfig", "config"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stderr is not None
        said = ""
        while "cannot be listed" not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0
        said += running.stderr.read()
    assert "waiting for the cluster" in said
    assert said.splitlines()[-1].endswith("stopped")
    assert "Traceback" not in said
