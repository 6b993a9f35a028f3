"""An API server's memory of our own objects, without the API server."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from kubeweft.kube.failures import ApiFailure, NotServed


class FakeControlApi:
    """Keeps bodies, counts requests, and fails as told. ``changed`` is set by every write."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes: list[tuple[str, str, Mapping[str, Any]]] = []
        self.failure: ApiFailure | None = None
        self.lists = 0
        self.secrets: dict[str, Mapping[str, bytes]] = {}
        self.secrets_read: list[str] = []
        self.changed = asyncio.Event()
        self._version = 100

    def put(self, resource: str, name: str, *, generation: int = 1, **spec: Any) -> dict[str, Any]:
        """Create or change an object."""
        known = self.bodies.get((resource, name), {})
        self._version += 1
        metadata = {
            "name": name,
            "uid": f"uid-{name}",
            "generation": generation,
            "resourceVersion": str(self._version),
        }
        body = {"metadata": metadata, "spec": spec, "status": known.get("status", {})}
        self.bodies[resource, name] = body
        return body

    async def list_all(self, resource: str) -> Sequence[Mapping[str, Any]]:
        """What there is, or the failure."""
        self.lists += 1
        if self.failure:
            raise self.failure
        return [body for (kind, _), body in self.bodies.items() if kind == resource]

    async def write_status(self, resource: str, name: str, status: Mapping[str, Any]) -> None:
        """Count and keep it, or fail."""
        self.writes.append((resource, name, status))
        self.changed.set()
        if self.failure:
            raise self.failure
        body = self.bodies[resource, name]
        self._version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._version)}
        self.bodies[resource, name] = {
            **body,
            "metadata": metadata,
            "status": {**body["status"], **status},
        }

    async def served(self) -> frozenset[str]:
        """Both types."""
        return frozenset({"tracingpolicies", "linkrules"})

    async def read_secret(self, name: str) -> Mapping[str, bytes]:
        """What it holds, or the failure."""
        self.secrets_read.append(name)
        if self.failure:
            raise self.failure
        if name not in self.secrets:
            raise NotServed(f"secrets {name!r} not found", status=404)
        return self.secrets[name]
