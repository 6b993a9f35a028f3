"""The requests about our own objects that are not Kopf's: which are served, a complete list, and a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.control.declared.objects import LINK_RULES, NAMESPACE, POLICIES
from kubeweft.kube.clients import collection_path, get_json, patch_status, read_secret
from kubeweft.kube.failures import NotServed
from kubeweft.model.references import ResourceType

TYPES = {
    POLICIES: ResourceType("kubeweft.io", "v1alpha1", POLICIES, "TracingPolicy", False),
    LINK_RULES: ResourceType("kubeweft.io", "v1alpha1", LINK_RULES, "LinkRule", False),
}
DEADLINE = 10.0


class ControlApi(Protocol):
    """What sweeping, reporting and Secrets ask of an API server; all raise a ``kube.failures.ApiFailure``."""

    async def list_all(self, resource: str) -> Sequence[Mapping[str, Any]]:
        """All objects of one of our types (by plural); none while its CRD is not installed."""

    async def write_status(self, resource: str, name: str, status: Mapping[str, Any]) -> None:
        """Merge into the status of one object."""

    async def served(self) -> frozenset[str]:
        """The plural names of our types that discovery shows."""

    async def read_secret(self, name: str) -> Mapping[str, bytes]:
        """The content of a Secret in the operator's own namespace, by key; ``NotServed`` if there is none."""


class KubernetesControlApi:
    """The real one."""

    def __init__(self, client: ApiClient, *, namespace: str = NAMESPACE) -> None:
        """``namespace`` is the operator's own, where all Secrets are that policies may name."""
        self._client = client
        self._namespace = namespace

    async def list_all(self, resource: str) -> Sequence[Mapping[str, Any]]:
        """All objects of one of our types."""
        try:
            answer = await get_json(self._client, collection_path(TYPES[resource]), deadline=DEADLINE)
        except NotServed:
            return []
        items: list[Mapping[str, Any]] = answer["items"]
        return items

    async def write_status(self, resource: str, name: str, status: Mapping[str, Any]) -> None:
        """Merge into the status of one object."""
        await patch_status(self._client, TYPES[resource], name=name, status=status, deadline=DEADLINE)

    async def served(self) -> frozenset[str]:
        """The plural names of our types that discovery shows."""
        try:
            answer = await get_json(self._client, "/apis/kubeweft.io/v1alpha1", deadline=DEADLINE)
        except NotServed:
            return frozenset()
        return frozenset(resource["name"] for resource in answer["resources"])

    async def read_secret(self, name: str) -> Mapping[str, bytes]:
        """The content of a Secret in the operator's own namespace, by key."""
        return await read_secret(self._client, self._namespace, name, deadline=DEADLINE)
