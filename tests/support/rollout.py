"""The rollout that the demo, the recorded story and the end-to-end tests all run: five steps in a Deployment's life."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pykube

WAIT_SECONDS = 60.0
WEB = {"name": "web", "ports": [{"containerPort": 80}]}


class Step(NamedTuple):
    """One thing done to the Deployment, in words, and how to do it."""

    words: str
    act: Callable[[], None]


class Rollout:
    """Creates a Deployment of 2, scales to 4, changes the image, scales to 2, deletes it; waits after each."""

    def __init__(self, api: pykube.HTTPClient, *, namespace: str = "default", name: str = "demo") -> None:
        """``api`` needs the right to write Deployments and to list Pods in ``namespace``."""
        self._api, self._namespace, self._name = api, namespace, name

    def steps(self) -> Iterator[Step]:
        """The steps in order; each ends when the cluster has settled."""
        yield Step(f"create Deployment {self._name} with 2 replicas", self.create)
        yield Step("scale it to 4 replicas", lambda: self.scale(4))
        yield Step("change its image to nginx:1.27", lambda: self.change_image("nginx:1.27"))
        yield Step("scale it to 2 replicas", lambda: self.scale(2))
        yield Step("delete it", self.delete)

    def run(self) -> None:
        """All steps."""
        for step in self.steps():
            step.act()

    def create(self) -> None:
        """Create it and wait until both Pods are ready."""
        pykube.Deployment(self._api, deployment_manifest(self._namespace, self._name)).create()
        self.wait_rolled_out(2)

    def scale(self, replicas: int) -> None:
        """Change the number of replicas and wait for it."""
        self._patch({"spec": {"replicas": replicas}})
        self.wait_rolled_out(replicas)

    def change_image(self, image: str) -> None:
        """Roll out another image and wait for it."""
        containers = [{**WEB, "image": image}]
        self._patch({"spec": {"template": {"spec": {"containers": containers}}}})
        self.wait_rolled_out(self._deployment().replicas)

    def delete(self) -> None:
        """Delete it and wait until its ReplicaSets and Pods are gone."""
        self._deployment().delete(propagation_policy="Background")
        wait_until(lambda: not self._owned(), f"everything of {self._name} to be gone")

    def wait_rolled_out(self, replicas: int) -> None:
        """Wait until the newest template runs in exactly so many ready Pods."""
        wait_until(lambda: self._is_rolled_out(replicas), f"{self._name} to have {replicas} ready replicas")

    def _is_rolled_out(self, replicas: int) -> bool:
        obj = self._deployment().obj
        status = obj.get("status", {})
        pods = pykube.Pod.objects(self._api, namespace=self._namespace).filter(selector={"app": self._name})
        return (
            status.get("observedGeneration") == obj["metadata"]["generation"]
            and status.get("updatedReplicas") == replicas
            and status.get("readyReplicas") == replicas
            and status.get("replicas") == replicas
            and len(pods) == replicas
        )

    def _owned(self) -> list[pykube.objects.APIObject]:
        selector = {"app": self._name}
        kinds = (pykube.Deployment, pykube.ReplicaSet, pykube.Pod)
        return [
            found
            for kind in kinds
            for found in kind.objects(self._api, namespace=self._namespace).filter(selector=selector)
        ]

    def _deployment(self) -> pykube.Deployment:
        return pykube.Deployment.objects(self._api, namespace=self._namespace).get(name=self._name)

    def _patch(self, patch: dict[str, object]) -> None:
        self._deployment().patch(patch)


def deployment_manifest(namespace: str, name: str) -> dict[str, object]:
    """A small Deployment whose Pods fake nodes can run."""
    labels = {"app": name}
    container = {**WEB, "image": "nginx:1.26"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def wait_until(condition: Callable[[], bool], what: str, *, limit: float = WAIT_SECONDS) -> None:
    """Poll until ``condition`` holds; raises ``TimeoutError`` naming what was waited for."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit:.0f} s for {what}")
        time.sleep(0.05)


def client_for(kubeconfig: str) -> pykube.HTTPClient:
    """A synchronous client for a kubeconfig file."""
    return pykube.HTTPClient(pykube.KubeConfig.from_file(kubeconfig), timeout=30)
