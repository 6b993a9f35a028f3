"""kubectl itself with the plug-in, on a rollout that has just happened: ``kubectl kubeweft …`` as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_requests import Cluster
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from operator_process import OperatorProcess, listening_at, shown
from rollout import Rollout

PROGRAMS = Path(sys.executable).parent  # where kubectl-kubeweft is installed
PATIENCE = 60
Json = dict[str, Any]


@dataclass(frozen=True)
class Typing:
    """kubectl in a shell of its own, whose kubeconfig's context lies in the namespace of the rollout."""

    kubectl: Path
    kubeconfig: Path
    store: Path
    namespace: str

    def __call__(self, *words: str) -> str:
        done = self.attempt(*words)
        assert done.returncode == 0, f"kubectl {words}: {done.stderr}"
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        environ = {
            "PATH": f"{PROGRAMS}{os.pathsep}{self.kubectl.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.store.parent),
            "KUBECONFIG": str(self.kubeconfig),
            "KUBEWEFT_STORE": str(self.store),
        }
        return subprocess.run(
            [str(self.kubectl), *words],
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture(scope="module")
def typing(
    control_plane: ControlPlane,
    audit_target: AuditTarget,
    kubectl: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Typing]:
    """The rollout has happened and is stored."""
    folder = tmp_path_factory.mktemp("plugin")
    options = listening_at(audit_target, folder / "token")
    with (
        Cluster(control_plane.kubeconfig) as cluster,
        OperatorProcess(folder, control_plane.kubeconfig, options=options) as operator,
        cluster.namespace() as namespace,
    ):
        rollout = Rollout(cluster.api, namespace=namespace)
        rollout.create()
        rollout.scale(4)
        rollout.change_image("nginx:1.27")
        typing = Typing(
            kubectl, in_namespace(control_plane.kubeconfig, namespace, folder), operator.store, namespace
        )
        wait_until(lambda: has_settled(typing), "the rollout to be stored")
        yield typing


def in_namespace(kubeconfig: Path, namespace: str, folder: Path) -> Path:
    """The same kubeconfig, with a namespace in its context."""
    content: Json = yaml.safe_load(kubeconfig.read_text())
    content["contexts"][0]["context"]["namespace"] = namespace
    (folder / "config").write_text(yaml.safe_dump(content))
    return folder / "config"


def has_settled(typing: Typing) -> bool:
    """Whether the last thing that happened has been stored: all four Pods of the new image are available."""
    try:
        spans = shown(typing.store, "deployment/demo", "-n", typing.namespace)["spans"]
    except AssertionError:
        return False
    words = [str(span["attributes"].get("kubeweft.change.words", "")) for span in spans]
    image = image_change(words)
    return bool(image) and any("NewReplicaSetAvailable" in line for line in words[words.index(image) :])


def image_change(words: list[str]) -> str:
    """The words of the change of the image; empty where it is not there yet."""
    return next((line for line in words if "nginx:1.27" in line), "")


def test_kubectl_knows_the_plugin(typing: Typing) -> None:
    assert str(PROGRAMS / "kubectl-kubeweft") in typing.attempt("plugin", "list").stdout


@pytest.mark.parametrize(
    "words", [("deploy", "demo"), ("deployment/demo",), ("deployments.apps", "demo", "--select", "object")]
)
def test_a_story_in_the_namespace_of_the_context(typing: Typing, words: tuple[str, ...]) -> None:
    told = typing("kubeweft", "show", *words)
    assert f"Deployment {typing.namespace}/demo" in told
    assert "spec.replicas 2 → 4" in told
    assert ("Pod " in told) == ("object" not in words)


def test_the_flags_of_kubectl(typing: Typing) -> None:
    own = ("kubeweft", "show", "deploy", "demo", "-o", "json")
    expected = json.loads(typing(*own))
    context = ("--kubeconfig", str(typing.kubeconfig), "--context", "kubeweft-test")
    assert json.loads(typing(*own, "-n", typing.namespace, *context))["object"] == expected["object"]
    assert json.loads(typing(*own, "-A"))["object"] == expected["object"]
    refused = typing.attempt(*own, "-n", "default")
    assert refused.returncode == 2
    assert f"there is one with -n {typing.namespace}" in refused.stderr
    assert "there is no context nowhere" in typing.attempt(*own, "--context", "nowhere").stderr


def test_what_the_plugin_says_is_what_kubectl_says(typing: Typing) -> None:
    now = json.loads(typing("get", "deploy", "demo", "-o", "json"))
    then = yaml.safe_load(typing("kubeweft", "show", "deploy", "demo", "--at", "now"))
    assert (then["metadata"]["uid"], then["spec"]) == (now["metadata"]["uid"], now["spec"])


def test_a_diff_over_the_rollout(typing: Typing) -> None:
    began = json.loads(typing("get", "deploy", "demo", "-o", "json"))["metadata"]["creationTimestamp"]
    story = json.loads(typing("kubeweft", "show", "deploy", "demo", "-o", "json"))["spans"]
    scaled = next(
        s for s in story if "spec.replicas 2 → 4" in s["attributes"].get("kubeweft.change.words", "")
    )
    told = json.loads(
        typing("kubeweft", "diff", "deploy", "demo", "--from", before(scaled["start"]), "-o", "json")
    )
    fields = {field["path"]: field for field in told["fields"]}
    assert fields["spec.replicas"]["words"] == "spec.replicas 2 → 4"
    assert [one["user"] for one in fields["spec.replicas"]["by"]] == ["kubernetes-admin"]
    assert fields["spec.template.spec.containers[web].image"]["by"][0]["verb"] == "patch"
    assert typing.attempt("kubeweft", "diff", "deploy/demo", "--from", "1s", "--exit-code").returncode == 0
    created = typing("kubeweft", "diff", "deploy/demo", "--from", f"{began[:11]}00:00Z", "-o", "words")
    assert "not there yet" in created
    assert "created " in created


def before(timestamp: str) -> str:
    """A millisecond earlier."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    milliseconds = int(fraction[:3])
    return f"{whole}.{milliseconds - 1:03d}Z" if milliseconds else f"{whole}Z"


def test_two_rollouts_compared(typing: Typing) -> None:
    story = json.loads(typing("kubeweft", "show", "deploy", "demo", "-o", "json"))["spans"]
    spec = [
        s
        for s in story
        if s["source"] == "change" and "spec." in s["attributes"].get("kubeweft.change.words", "")
    ]
    scaled = next(s["start"] for s in spec if "spec.replicas 2" in s["attributes"]["kubeweft.change.words"])
    image = next(s["start"] for s in spec if "nginx:1.27" in s["attributes"]["kubeweft.change.words"])
    words = ("kubeweft", "compare", f"deployment/demo@{scaled}", f"deployment/demo@{image}")
    told = json.loads(typing(*words, "-o", "json"))
    assert told["a"]["started_with"][0] == "spec.replicas 2 → 4"
    assert "nginx:1.27" in told["b"]["started_with"][0]
    assert {"kind": "ReplicaSet", "what": "create"} in told["only_b"]
    pods = next(row for row in told["steps"] if (row["kind"], row["what"]) == ("Pod", "create"))
    assert (pods["a"]["count"], pods["b"]["count"]) == (2, 4)
    assert "only in B:" in typing(*words)


def test_completion_is_asked_by_kubectl(typing: Typing) -> None:
    told = typing("__complete", "kubeweft", "sh").splitlines()
    assert any(line.startswith("show\t") for line in told)
    assert ":4" in told
