"""What the launcher asks of its own API server: is it ready, make the fake nodes, can pods be created and scheduled.

Not a client for tests: they use pykube-ng or kubernetes-asyncio themselves.
"""

import json
from pathlib import Path
from typing import Any

import pykube
import requests

_TIMEOUT_SECONDS = 5


class Cluster:
    """The API server behind a kubeconfig, called synchronously."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(kubeconfig)), timeout=_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._api.session.close()

    def ready(self) -> bool:
        """Whether /readyz says ok, which includes the bootstrap of RBAC and the priority levels."""
        try:
            return bool(self._api.session.get(self._api.url + "/readyz", timeout=_TIMEOUT_SECONDS).ok)
        except requests.RequestException:
            return False

    def why_not_ready(self) -> str:
        """The failing checks, for an error message."""
        try:
            answer = self._api.session.get(self._api.url + "/readyz?verbose", timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            return str(error)
        return "\n".join(line for line in answer.text.splitlines() if not line.endswith(" ok"))

    def create_nodes(self, count: int) -> None:
        """Create nodes node-1 … node-N for kwok to play; those that exist are left as they are."""
        for number in range(1, count + 1):
            answer = self._api.post(url="nodes", data=json.dumps(_node(f"node-{number}")))
            if answer.status_code != requests.codes.conflict:
                self._api.raise_for_status(answer)

    def ready_nodes(self) -> int:
        """How many nodes are Ready and carry no taint, so that the scheduler will use them."""
        return sum(1 for node in self._list("nodes") if _is_usable(node))

    def has_default_service_account(self) -> bool:
        """Whether pods can be admitted in the namespace `default`."""
        return bool(self._api.get(url="serviceaccounts/default", namespace="default").ok)

    def _list(self, resource: str) -> list[dict[str, Any]]:
        answer = self._api.get(url=resource)
        self._api.raise_for_status(answer)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def _is_usable(node: dict[str, Any]) -> bool:
    conditions = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


def _node(name: str) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "kwok",
    }
    room = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"allocatable": room, "capacity": room},
    }
