"""A declared object as far as it matters here, taken from the dict that Kubernetes gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

POLICIES = "tracingpolicies"
LINK_RULES = "linkrules"
NAMESPACE = "kubeweft-system"  # what Kubeweft is installed into, unless the settings say otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredObject:
    """One TracingPolicy or LinkRule; ``resource`` is the plural name of its type, ``created`` RFC 3339 in UTC."""

    resource: str
    name: str
    uid: str = ""
    version: str = ""
    generation: int = 0
    created: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_body(cls, resource: str, body: Mapping[str, Any]) -> Self:
        """From an object of the API; what an object of an unknown form lacks is empty."""
        metadata = body.get("metadata") or {}
        return cls(
            resource=resource,
            name=metadata.get("name", ""),
            uid=metadata.get("uid", ""),
            version=metadata.get("resourceVersion", ""),
            generation=metadata.get("generation", 0),
            created=metadata.get("creationTimestamp") or "",
            spec=body.get("spec") or {},
            status=body.get("status") or {},
        )

    def declares_the_same(self, other: DeclaredObject | None) -> bool:
        """Whether the spec is the same one: status writes change the version, not the generation."""
        return other is not None and (self.uid, self.generation, self.spec) == (
            other.uid,
            other.generation,
            other.spec,
        )

    def is_newer_than(self, other: DeclaredObject) -> bool:
        """Whether this was read later: versions of one type grow (KEP-5504); another uid is another life."""
        if self.version.isdecimal() and other.version.isdecimal():
            return int(self.version) > int(other.version)
        return self.version != other.version
