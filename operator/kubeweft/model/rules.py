"""LinkRules as values: which objects a rule reads, how it finds their targets, and what the link is.

Compiled from the custom resource (``control``), carried out by ``links``. Nothing here evaluates anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeweft.model.field_paths import FieldPath
from kubeweft.model.relations import Direction, Role
from kubeweft.model.selectors import LabelSelector, MatchCondition, ResourcePattern

ClusterMode = Literal["Same", "Named", "Label", "CEL"]
AnnotationFormat = Literal["Name", "NamespacedName", "JSON"]
HelmStorage = Literal["Auto", "Annotations", "ManagedByLabel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSelector:
    """The objects a rule reads; empty parts select everything."""

    resources: tuple[ResourcePattern, ...]
    clusters: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    conditions: tuple[MatchCondition, ...] = ()

    def selects_type(self, group: str, resource: str) -> bool:
        """Whether objects of this type can be sources at all."""
        return any(pattern.matches(group, resource) for pattern in self.resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByFieldPath:
    """The field ``name`` holds the target's name, or several; ``namespace`` its namespace."""

    name: FieldPath
    namespace: FieldPath | None = None


@dataclass(frozen=True, slots=True)
class ByExpression:
    """CEL that gives a name, a map {group, resource, namespace, name, uid, cluster}, or a list of either."""

    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByAnnotation:
    """An annotation that names targets: ``name``, ``namespace/name``, several of them, or JSON maps."""

    key: str
    format: AnnotationFormat = "NamespacedName"
    separator: str = ","


@dataclass(frozen=True, slots=True)
class ByLabel:
    """The value of a label is the target's name."""

    key: str


@dataclass(frozen=True, slots=True)
class BySelector:
    """The field at ``path`` is a label selector (or a plain map) that selects the targets."""

    path: FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class ByOwner:
    """Owner references; ``recursive`` gives the root owner."""

    controller_only: bool = True
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class ByHelmRelease:
    """The Helm release that installed the source, told by annotations, or by labels."""

    storage: HelmStorage = "Auto"


Finder = ByFieldPath | ByExpression | ByAnnotation | ByLabel | BySelector | ByOwner | ByHelmRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One way to find targets. ``resource`` is empty where the finder itself tells the type.

    Beyond ``max_targets`` the rest is counted, not linked. ``in_namespace`` says that a namespaced target for which
    the finder gives no namespace lives in that of the source.
    """

    name: str
    finder: Finder
    group: str = ""
    resource: str = ""
    in_namespace: bool = True
    max_targets: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCluster:
    """Which cluster targets live in. ``aliases`` are (name used in objects, name of the joined cluster)."""

    mode: ClusterMode = "Same"
    name: str = ""
    label_key: str = ""
    expression: str = ""
    aliases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRule:
    """One rule. Of several with ``same_trace`` and role Parent, the one with the highest ``priority`` gives the parent."""

    name: str
    source: SourceSelector
    targets: tuple[Target, ...]
    cluster: TargetCluster = TargetCluster()
    priority: int = 0
    role: Role = "Peer"
    link_class: str = "References"
    direction: Direction = "SourceToTarget"
    same_trace: bool = False
