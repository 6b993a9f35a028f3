"""The few requests that end-to-end tests make beside a rollout, by path: apply, merge, create, delete."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pykube
import yaml

from controlplane.testing import wait_until

ROOT = Path(__file__).parents[2]
POLICIES = "/apis/kubeweft.io/v1alpha1/tracingpolicies"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

Json = dict[str, Any]


class Cluster:
    """``with Cluster(kubeconfig) as cluster``; ``cluster.api`` is a pykube client with the same rights."""

    def __init__(self, kubeconfig: Path) -> None:
        self.api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(kubeconfig)), timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.session.close()

    def send(self, method: str, path: str, body: object = None, *, kind: str = JSON, **query: str) -> Json:
        """One request; AssertionError with the answer unless it is a success."""
        answer = self.api.session.request(
            method,
            f"{self.api.url}{path}",
            params=query,
            headers={"Content-Type": kind},
            data=None if body is None else json.dumps(body),
            timeout=30,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        document: Json = answer.json()
        return document

    def attempt(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        """One request that may fail: its status code and answer."""
        content = None if body is None else json.dumps(body)
        given = {"Content-Type": JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}
        answer = self.api.session.request(
            method, f"{self.api.url}{path}", headers=given, data=content, timeout=30
        )
        return answer.status_code, answer.text

    def get(self, path: str) -> Json:
        """One object."""
        return self.send("GET", path)

    def create(self, path: str, body: Json) -> Json:
        """Create in a collection."""
        return self.send("POST", path, body)

    def apply(self, path: str, body: Json) -> Json:
        """Server-side apply into a collection."""
        name = body["metadata"]["name"]
        return self.send("PATCH", f"{path}/{name}", body, kind=APPLY, fieldManager="test", force="true")

    def merge(self, path: str, body: Json) -> Json:
        """A JSON merge patch."""
        return self.send("PATCH", path, body, kind=MERGE)

    def delete(self, path: str) -> None:
        """Delete, in the background."""
        self.send("DELETE", path)

    @contextlib.contextmanager
    def namespace(self, *, pods: bool = True) -> Iterator[str]:
        """A new namespace, in which pods can be created (which needs controllers); deleted without waiting for it."""
        name = f"test-{secrets.token_hex(4)}"
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        if pods:
            account = pykube.ServiceAccount.objects(self.api).filter(namespace=name)
            wait_until(lambda: account.get_or_none(name="default"), f"the service account of {name}")
        try:
            yield name
        finally:
            self.delete(f"/api/v1/namespaces/{name}")

    def install_crds(self) -> None:
        """Apply both definitions and wait until the API server serves them."""
        for plural in ("tracingpolicies", "linkrules"):
            self.apply(CRDS, read_manifest(f"crds/{plural}.yaml"))
            path = f"{self.api.url}/apis/kubeweft.io/v1alpha1/{plural}"
            wait_until(lambda: self.api.session.get(path, timeout=30).ok, f"{path} to be served")  # noqa: B023

    def remove_crd(self, name: str) -> None:
        """Delete a definition, and wait until it is gone."""
        self.delete(f"{CRDS}/{name}")
        path = f"{self.api.url}{CRDS}/{name}"
        wait_until(lambda: not self.api.session.get(path, timeout=30).ok, f"{name} to be gone")

    @contextlib.contextmanager
    def policy(self, **spec: Any) -> Iterator[str]:
        """A TracingPolicy for the length of the block; gives its path."""
        name = f"test-{secrets.token_hex(4)}"
        self.apply(POLICIES, policy(name, **spec))
        try:
            yield f"{POLICIES}/{name}"
        finally:
            self.delete(f"{POLICIES}/{name}")

    def change_policy(self, path: str, **spec: Any) -> None:
        """Another spec for a policy."""
        replacement = {"op": "replace", "path": "/spec", "value": spec}
        self.send("PATCH", path, [replacement], kind=JSON_PATCH)

    def wait_in_force(self, path: str, *, reason: str = "Tracing", seconds: float = 40) -> None:
        """Wait until the status says, about the newest spec of a policy, that this is how it stands."""
        limit = time.monotonic() + seconds
        while self.reason(path) != reason:
            status = self.get(path).get("status")
            assert time.monotonic() < limit, f"waited {seconds} s for {path} to be {reason}: {status}"
            time.sleep(0.05)

    def reason(self, path: str) -> str:
        """The reason of the condition Ready; empty while it is about an older spec, or the spec is not in force."""
        declared = self.get(path)
        status = declared.get("status") or {}
        if status.get("observedGeneration") != declared["metadata"]["generation"]:
            return ""
        return next((c["reason"] for c in status["conditions"] if c["type"] == "Ready"), "")


def policy(name: str, **spec: Any) -> Json:
    """A TracingPolicy."""
    return {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "TracingPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def config_map(name: str, *, owners: tuple[Json, ...] = (), **data: str) -> Json:
    """A ConfigMap to create in a namespace."""
    metadata: Json = {"name": name}
    if owners:
        metadata["ownerReferences"] = list(owners)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def owner(of: Json, **more: object) -> Json:
    """A reference to an owner, as its dependents carry it."""
    metadata = of["metadata"]
    named = {"name": metadata["name"], "uid": metadata["uid"]}
    return {"apiVersion": of["apiVersion"], "kind": of["kind"], **named, **more}


def read_manifest(path: str) -> Json:
    """The only document in a YAML file of this repository."""
    (document,) = read_manifests(path)
    return document


def read_manifests(path: str) -> list[Json]:
    """The documents in a YAML file of this repository."""
    return [document for document in yaml.safe_load_all((ROOT / path).read_text()) if document]
