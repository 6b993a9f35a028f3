"""How Kubernetes things are named: object keys, resource types and owner references.

An object is known by where it lives, ``(cluster, group, resource, namespace, name)``. The API version is not part
of it, because one object is served in many versions, and neither is the UID, because Events and metadata-level
audit entries may lack it. The UID tells the lives of a re-created name apart and travels on each child span.
"""

from __future__ import annotations

from typing import NamedTuple


class ObjectKey(NamedTuple):
    """Where one object lives. ``group`` is empty for the core group, ``namespace`` for cluster-scoped objects."""

    cluster: str
    group: str
    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """``resource.group/namespace/name``: always three parts, so that it can be taken apart again."""
        return f"{group_resource(self.group, self.resource)}/{self.namespace}/{self.name}"


class ResourceType(NamedTuple):
    """One served resource type, in the version the API server prefers."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``group/version``, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return group_resource(self.group, self.resource)


class OwnerReference(NamedTuple):
    """One entry of ``metadata.ownerReferences``; owners live in the namespace of the owned object or in none."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool


def group_resource(group: str, resource: str) -> str:
    """``deployments.apps``, or ``pods`` for the core group: the form kubectl takes."""
    return f"{resource}.{group}" if group else resource


def group_of(api_version: str) -> str:
    """The API group of an ``apiVersion`` such as ``apps/v1`` (empty for ``v1``)."""
    group, slash, _ = api_version.rpartition("/")
    return group if slash else ""
