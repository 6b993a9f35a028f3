"""The three formats in which API servers list what they serve, read into one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from kubeweft.kube.failures import Unavailable
from kubeweft.model.references import ResourceType

AGGREGATED = ",".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)
WATCH_VERBS = frozenset({"list", "watch"})

GroupVersion = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Served:
    """One version of one group. ``types`` maps each to whether it can be watched; None: the version is stale."""

    group: str
    version: str
    types: Mapping[ResourceType, bool] | None


class _ResponseKind(msgspec.Struct):
    kind: str = ""


class _AggregatedResource(msgspec.Struct):
    resource: str
    response_kind: _ResponseKind | None = msgspec.field(name="responseKind", default=None)
    scope: str = ""
    verbs: list[str] | None = None


class _AggregatedVersion(msgspec.Struct):
    version: str
    resources: list[_AggregatedResource] | None = None
    freshness: str = ""


class _GroupMetadata(msgspec.Struct):
    name: str = ""


class _AggregatedGroup(msgspec.Struct):
    metadata: _GroupMetadata | None = None
    versions: list[_AggregatedVersion] | None = None


class _LegacyVersion(msgspec.Struct):
    version: str


class _LegacyGroup(msgspec.Struct):
    name: str
    versions: list[_LegacyVersion] | None = None
    preferred: _LegacyVersion | None = msgspec.field(name="preferredVersion", default=None)


class _Root(msgspec.Struct):
    """Any answer of /api or /apis; ``kind`` says which of the fields are meant."""

    kind: str = ""
    items: list[_AggregatedGroup] | None = None
    versions: list[str] | None = None
    groups: list[_LegacyGroup] | None = None


class _LegacyResource(msgspec.Struct):
    name: str
    kind: str = ""
    namespaced: bool = False
    verbs: list[str] | None = None


class _LegacyResources(msgspec.Struct):
    resources: list[_LegacyResource] | None = None


def read_root(body: bytes) -> tuple[list[Served], list[GroupVersion]]:
    """What is served; and before Kubernetes 1.27 instead the versions to ask one by one, preferred ones first.

    Raises ``Unavailable`` if it is no discovery at all.
    """
    root = _decode(body, _Root)
    if root.kind == "APIGroupDiscoveryList":
        groups = root.items or ()
        return [_read_version(group, version) for group in groups for version in group.versions or ()], []
    if root.kind == "APIVersions":
        return [], [("", version) for version in root.versions or ()]
    if root.kind == "APIGroupList":
        return [], [version for group in root.groups or () for version in _in_order(group)]
    raise Unavailable("the answer is no discovery of Kubernetes resources")


def read_legacy_version(group: str, version: str, body: bytes) -> Served:
    """The ``APIResourceList`` of one version."""
    types = {
        ResourceType(group, version, r.name, r.kind, r.namespaced): _watchable(r.verbs)
        for r in _decode(body, _LegacyResources).resources or ()
        if "/" not in r.name
    }
    return Served(group, version, types)


def _read_version(group: _AggregatedGroup, version: _AggregatedVersion) -> Served:
    name = group.metadata.name if group.metadata else ""
    if version.freshness == "Stale":
        return Served(name, version.version, None)
    types = {
        ResourceType(
            name, version.version, r.resource, r.response_kind.kind, r.scope == "Namespaced"
        ): _watchable(r.verbs)
        for r in version.resources or ()
        if r.response_kind and r.response_kind.kind  # else only its subresources exist
    }
    return Served(name, version.version, types)


def _in_order(group: _LegacyGroup) -> list[GroupVersion]:
    first = [group.preferred.version] if group.preferred else []
    return [(group.name, v) for v in dict.fromkeys([*first, *(v.version for v in group.versions or ())])]


def _watchable(verbs: list[str] | None) -> bool:
    return WATCH_VERBS.issubset(verbs or ())


Answer = TypeVar("Answer")


def _decode(body: bytes, shape: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unavailable("the answer is no discovery of Kubernetes resources") from None
