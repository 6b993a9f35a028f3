"""More stories that are recorded: what those who run platforms meet every week, each as small as it can be.

Kubelets are played by kwok. A Node dies by losing kwok: somebody else takes its lease and never renews it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster_requests import Json, config_map
from controlplane.binaries.finding import find_binaries
from controlplane.binaries.progress import TerminalProgress
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from kubectl_command import Kubectl
from story_people import (
    PATIENCE,
    Person,
    deployment,
    deployment_path,
    kubeconfig_of_account,
    new_namespace,
    wait_settled,
)
from story_recording import ClusterRecording, Recording
from story_scenes import KUBECTL, SHOP, WEB, WORKLOADS

PODS = f"/api/v1/namespaces/{SHOP}/pods"
ACCOUNT = "ci"
KUBELET = "kubelet/v1.36.3 (linux/amd64)"
DEAD = "node-2"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{DEAD}"
UNREACHABLE = {
    "key": "node.kubernetes.io/unreachable",
    "operator": "Exists",
    "effect": "NoExecute",
    "tolerationSeconds": 5,
}


def scaled_back(work: Path, output: Path) -> int:
    """Scaled down, and up again while the Pods are still ending: kubelets take their time."""
    with ControlPlane(work, nodes=2) as plane:
        alice, bob = Person(plane, "alice", KUBECTL), Person(plane, "bob", KUBECTL)
        new_namespace(alice, SHOP)
        recording = Recording(ClusterRecording(plane, watched=WORKLOADS, namespaces=[SHOP]))
        alice.create(_collection(WEB), _web(replicas=3, terminationGracePeriodSeconds=30))
        wait_settled(alice, WEB, 3)
        plane.pause("kwok")
        bob.patch(f"{WEB}/scale", {"spec": {"replicas": 1}})
        wait_until(lambda: len(_ending(alice)) == 2, "two Pods to end", seconds=PATIENCE)
        alice.patch(f"{WEB}/scale", {"spec": {"replicas": 3}})
        wait_until(lambda: len(_placed(alice)) == 5, "two more Pods on Nodes", seconds=PATIENCE)
        plane.cont("kwok")
        wait_settled(alice, WEB, 3)
        wait_until(lambda: len(_pods(alice)) == 3, "two Pods to be gone", seconds=PATIENCE)
        return recording.write(output)


def dead_node(work: Path, output: Path) -> int:
    """A Node is heard of no more: its Pod is replaced elsewhere, and gone for good when the Node is removed."""
    with ControlPlane(work, nodes=1) as plane:
        alice, kubelet = Person(plane, "alice", KUBECTL), Person(plane, f"system:node:{DEAD}", KUBELET)
        new_namespace(alice, SHOP)
        watched, places = (*WORKLOADS, "nodes"), [SHOP, "default", DEAD]
        recording = Recording(ClusterRecording(plane, watched=watched, namespaces=places))
        kubelet.create("/api/v1/nodes", _node())
        wait_until(lambda: _is_usable(alice), f"{DEAD} to be ready", seconds=PATIENCE)
        alice.create(_collection(WEB), _web(replicas=2, tolerations=[UNREACHABLE]))
        wait_settled(alice, WEB, 2)
        assert [pod for pod in _pods(alice) if pod["spec"]["nodeName"] == DEAD], f"no Pod runs on {DEAD}"
        wait_until(lambda: _take_lease(alice), f"the lease of {DEAD}")
        wait_until(lambda: _ending(alice), f"the Pod on {DEAD} to be evicted", seconds=2 * PATIENCE)
        wait_settled(alice, WEB, 2)
        assert len(_pods(alice)) == 3, f"kwok goes on playing {DEAD}: record again"
        alice.delete(f"/api/v1/nodes/{DEAD}")
        wait_until(lambda: len(_pods(alice)) == 2, "the Pod to be gone", seconds=2 * PATIENCE)
        return recording.write(output)


def account_by_hand(work: Path, output: Path) -> int:
    """Somebody works with kubectl under the account of a pipeline: applies, deletes a Pod, changes the image."""
    program = find_binaries(TerminalProgress(), programs=("kubectl",))["kubectl"]
    with ControlPlane(work, nodes=2) as plane:
        alice = Person(plane, "alice", KUBECTL)
        new_namespace(alice, SHOP)
        kubectl = Kubectl(program, kubeconfig_of_account(alice, plane, namespace=SHOP, account=ACCOUNT))
        recording = Recording(ClusterRecording(plane, watched=WORKLOADS, namespaces=[SHOP]))
        kubectl("apply", "--namespace", SHOP, "-f", "-", documents=[_web(replicas=2)])
        wait_settled(alice, WEB, 2)
        name = _pods(alice)[0]["metadata"]["name"]
        kubectl("delete", "pod", name, "--namespace", SHOP)
        wait_settled(alice, WEB, 2)
        kubectl("set", "image", "deployment/web", "web=nginx:1.27", "--namespace", SHOP)
        wait_settled(alice, WEB, 2)
        return recording.write(output)


def emptied_namespace(work: Path, output: Path) -> int:
    """A namespace is deleted in which nothing takes time to end: all its collections are emptied at once."""
    space = "/api/v1/namespaces/team-b"
    with ControlPlane(work, nodes=1) as plane:
        alice, bob = Person(plane, "alice", KUBECTL), Person(plane, "bob", KUBECTL)
        recording = Recording(ClusterRecording(plane, watched=("*",), namespaces=["team-b"]))
        new_namespace(alice, "team-b")
        for name in ("settings", "flags"):
            alice.create(f"{space}/configmaps", config_map(name, colour="blue"))
        for name in ("web", "api"):
            service = {"selector": {"app": name}, "ports": [{"port": 80}]}
            alice.create(f"{space}/services", {"metadata": {"name": name}, "spec": service})
        bare = _web(replicas=1, terminationGracePeriodSeconds=0)["spec"]["template"]["spec"]
        alice.create(f"{space}/pods", {"metadata": {"name": "shell"}, "spec": bare})
        path = deployment_path("team-b", "web")
        alice.create(_collection(path), _web("team-b", replicas=1, terminationGracePeriodSeconds=0))
        wait_settled(alice, path, 1)
        shell = f"{space}/pods/shell"
        wait_until(lambda: alice.get(shell)["status"]["phase"] == "Running", "the Pod to run")
        bob.delete(space)
        wait_until(lambda: not alice.has(space), "the namespace to be gone", seconds=PATIENCE)
        return recording.write(output)


def _web(namespace: str = SHOP, *, replicas: int, **pod: Any) -> Json:
    """The Deployment of these stories; ``pod`` replaces fields of what its Pods should be."""
    manifest: Any = deployment(namespace, "web", replicas=replicas)
    manifest["spec"]["template"]["spec"].update(pod)
    return dict(manifest)


def _collection(path: str) -> str:
    return path.rpartition("/")[0]


def _pods(person: Person) -> list[Any]:
    return list(person.get(PODS)["items"])


def _ending(person: Person) -> list[Any]:
    return [pod for pod in _pods(person) if "deletionTimestamp" in pod["metadata"]]


def _placed(person: Person) -> list[Any]:
    return [pod for pod in _pods(person) if pod["spec"].get("nodeName")]


def _node() -> Json:
    """As a kubelet registers itself."""
    labels = {"kubernetes.io/hostname": DEAD, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    room = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    return {
        "metadata": {"name": DEAD, "labels": labels},
        "status": {"allocatable": room, "capacity": room},
    }


def _is_usable(person: Person) -> bool:
    node = person.get(f"/api/v1/nodes/{DEAD}")
    ready = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
    return ready.get("Ready") == "True" and not node["spec"].get("taints")


def _take_lease(person: Person) -> bool:
    """Be the kubelet of a Node from now on, and say nothing more."""
    lease = person.get(LEASE)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease["spec"].update({"holderIdentity": DEAD, "leaseDurationSeconds": 3600, "renewTime": now})
    return person.put(LEASE, lease)[0] == 200


WEEKLY: Mapping[str, Callable[[Path, Path], int]] = {
    "scaled_back": scaled_back,
    "dead_node": dead_node,
    "account_by_hand": account_by_hand,
    "emptied_namespace": emptied_namespace,
}
"""As ``SCENES`` of :mod:`story_scenes`."""
