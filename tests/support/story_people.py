"""Those who act in recorded stories: users of a control plane with a name and a program of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cluster_requests import MERGE, RBAC, Cluster, Json
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from rollout import deployment_manifest

PATIENCE = 90.0


class Person(Cluster):
    """Somebody who may do everything; the audit log tells the name and the program."""

    def __init__(self, plane: ControlPlane, name: str, program: str) -> None:
        super().__init__(plane.kubeconfig_for(name, groups=["system:masters"]))
        self.api.session.headers["User-Agent"] = program

    def put(self, path: str, body: Json) -> tuple[int, str]:
        """Replace an object as it was read: its resourceVersion says when."""
        return self.attempt("PUT", path, body)

    def patch(self, path: str, body: Json) -> None:
        """A JSON merge patch."""
        self.send("PATCH", path, body, kind=MERGE)

    def has(self, path: str) -> bool:
        """Whether an object is there."""
        return self.attempt("GET", path)[0] == 200


def deployment(namespace: str, name: str, *, replicas: int, **spec: Any) -> Json:
    """A small Deployment; ``spec`` replaces fields of its own."""
    manifest: Any = deployment_manifest(namespace, name)
    manifest["spec"].update({"replicas": replicas, **spec})
    return dict(manifest)


def deployment_path(namespace: str, name: str) -> str:
    """Where a Deployment is."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def new_namespace(person: Person, name: str) -> None:
    """A namespace in which Pods can be created."""
    person.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_until(
        lambda: person.has(f"/api/v1/namespaces/{name}/serviceaccounts/default"), "the service account"
    )


def kubeconfig_of_account(person: Person, plane: ControlPlane, *, namespace: str, account: str) -> Path:
    """The kubeconfig of a new service account that may edit its namespace; it holds the account's token."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    person.create(accounts, {"metadata": {"name": account}})
    binding = {
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    person.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = person.create(f"{accounts}/{account}/token", request)["status"]["token"]
    content: Any = yaml.safe_load(plane.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    path = plane.kubeconfig.with_name(f"{account}.kubeconfig")
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


def wait_settled(person: Person, path: str, replicas: int) -> None:
    """Wait until a Deployment or StatefulSet has so many ready Pods of the newest template, and no others."""

    def is_settled() -> bool:
        obj = person.get(path)
        status = obj.get("status", {})
        return (
            status.get("observedGeneration") == obj["metadata"]["generation"]
            and [status.get(field, 0) for field in ("replicas", "updatedReplicas", "readyReplicas")]
            == [replicas] * 3
        )

    wait_until(is_settled, f"{path} to have {replicas} ready replicas", seconds=PATIENCE)
