"""Those who act in recorded stories: users of a control plane with a name and a program of their own."""

from __future__ import annotations

from typing import Any

from cluster_requests import MERGE, Cluster, Json
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
