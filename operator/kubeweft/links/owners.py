"""Owner references: from an object to its owners, controlling or not, in its namespace or cluster-scoped.

An owner reference names a kind, not a resource, and has no namespace: the kind tells both. Giving a cluster-scoped
owner the namespace of its child would make a phantom (static Pods under a Node that does not exist).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from kubeweft.model.references import ObjectKey, OwnerReference, ResourceType, group_of

CONTROLS = "Controls"
OWNS = "Owns"


class Parent(NamedTuple):
    """An owner found, and in which way it owns: ``Controls`` or ``Owns``."""

    key: ObjectKey
    link_class: str


class KindTable(Protocol):
    """What has to be known about kinds; :class:`kubeweft.model.kinds.Kinds` is one."""

    def resource_of(self, group: str, kind: str) -> ResourceType | None:
        """The resource type of a kind, or None while it is unknown."""


def parent_of(child: ObjectKey, owner: OwnerReference, kinds: KindTable) -> Parent | None:
    """The object that ``owner`` means, or None while its kind is unknown."""
    kind = kinds.resource_of(group_of(owner.api_version), owner.kind)
    if kind is None:
        return None
    namespace = child.namespace if kind.namespaced else ""
    key = ObjectKey(child.cluster, kind.group, kind.resource, namespace, owner.name)
    return Parent(key, CONTROLS if owner.controller else OWNS)
