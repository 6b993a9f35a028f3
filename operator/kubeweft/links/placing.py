"""From the name of a target to its object key: resource type, namespace and cluster come from the rule or the source.

A type whose scope is not known yet gives no key, because a cluster-scoped object with a namespace would be a phantom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kubeweft.links import by_helm_release
from kubeweft.links.cel import EvaluationFailed
from kubeweft.links.naming import LONGEST_NAME, Named, Subject, is_name
from kubeweft.links.owners import KindTable
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.rules import ByHelmRelease, Target


class TypeTable(KindTable, Protocol):
    """What has to be known about types; :class:`kubeweft.model.kinds.Kinds` is one."""

    def kind_of(self, group: str, resource: str) -> ResourceType | None:
        """The type of a plural resource name, or None while it is unknown."""


_NAMELESS = Named("")
Unknown = Callable[[str, str, str], None]  # group, resource, kind: one of the last two is empty


class Places:
    """Makes keys of names, for one target of one rule."""

    __slots__ = ("_aliases", "_in_namespace", "_kinds", "_unknown", "_virtual", "group", "resource")

    def __init__(
        self, target: Target, kinds: TypeTable, *, aliases: dict[str, str], unknown: Unknown
    ) -> None:
        """``unknown`` is told of every type whose scope would be needed."""
        self._virtual = isinstance(target.finder, ByHelmRelease) and not target.resource
        self.group = by_helm_release.GROUP if self._virtual else target.group
        self.resource = by_helm_release.RESOURCE if self._virtual else target.resource
        self._in_namespace = target.in_namespace
        self._kinds = kinds
        self._aliases = aliases
        self._unknown = unknown

    def place(self, named: Named, subject: Subject, cluster: str) -> ObjectKey | None:
        """The key, or None while something about it is not known. Raises ``EvaluationFailed`` for no name at all."""
        if named.cluster:
            cluster = self._aliases.get(named.cluster, named.cluster)
        if not is_name(named.name):
            raise EvaluationFailed(f"a target needs a name of 1 to {LONGEST_NAME} characters without a slash")
        if not cluster:
            return None
        type_ = self.type_of(named)
        if type_ is None:
            return None
        namespace = self._namespace(named, subject) if type_[2] else ""
        if namespace is None:
            return None
        return ObjectKey(cluster, type_[0], type_[1], namespace, named.name)

    def type_of(self, named: Named) -> tuple[str, str, bool] | None:
        """Group, resource and whether namespaced; None while it is unknown."""
        if self._virtual:
            return self.group, self.resource, True
        group = self.group if named.group is None else named.group
        resource = named.resource or ("" if named.kind else self.resource)
        if resource:
            found = self._kinds.kind_of(group, resource)
        elif named.kind:
            found = self._kinds.resource_of(group, named.kind)
        else:
            raise EvaluationFailed(
                "the resource type of the target is missing, in the rule and in its result"
            )
        if found is None:
            self._unknown(group, resource, named.kind)
            return None
        return found.group, found.resource, found.namespaced

    def resource_type(self) -> tuple[str, str, bool] | None:
        """The type that the rule itself names; None while it is unknown."""
        return self.type_of(_NAMELESS)

    def _namespace(self, named: Named, subject: Subject) -> str | None:
        namespace = named.namespace or (subject.key.namespace if self._in_namespace else "")
        if namespace and not is_name(namespace):
            raise EvaluationFailed("a target has a namespace that is none")
        return namespace or None
