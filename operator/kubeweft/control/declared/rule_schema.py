"""The spec of a LinkRule as a value, with the defaults of its CRD; unknown fields are refused, never ignored.

What is valid beyond types and defaults is judged by :mod:`kubeweft.control.compiling.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from kubeweft.control.declared.schema import LabelSelector, MatchCondition, Resources
from kubeweft.model.errors import BadInput
from kubeweft.model.relations import Direction, Role
from kubeweft.model.rules import AnnotationFormat, ClusterMode, HelmStorage

TargetType = Literal["FieldPath", "CEL", "Annotation", "Label", "Selector", "Owner", "HelmRelease"]


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Common to all parts: camelCase outside, immutable inside."""


class SourceSpec(_Declared, frozen=True):
    """Which objects a rule reads."""

    resources: tuple[Resources, ...]
    clusters: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    match_conditions: tuple[MatchCondition, ...] = ()


class TargetResource(_Declared, frozen=True):
    """The type of the targets."""

    resource: str
    group: str = ""


class FieldPathSpec(_Declared, frozen=True):
    """Fields with the name and the namespace of the target."""

    name: str
    namespace: str | None = None


class CelSpec(_Declared, frozen=True):
    """An expression that gives targets."""

    expression: str


class AnnotationSpec(_Declared, frozen=True):
    """An annotation that names targets."""

    key: str
    format: AnnotationFormat = "NamespacedName"
    separator: str = ","


class LabelSpec(_Declared, frozen=True):
    """A label whose value is the name of the target."""

    key: str


class SelectorSpec(_Declared, frozen=True):
    """A field that selects the targets by label."""

    path: str


class OwnerSpec(_Declared, frozen=True):
    """Owner references."""

    controller_only: bool = True
    recursive: bool = False


class HelmReleaseSpec(_Declared, frozen=True):
    """What Helm writes onto the objects of a release."""

    storage: HelmStorage = "Auto"


class TargetSpec(_Declared, frozen=True):
    """One way to find targets: ``type`` says which of the members describes it."""

    name: str
    type: TargetType
    resource: TargetResource | None = None
    field_path: FieldPathSpec | None = None
    cel: CelSpec | None = None
    annotation: AnnotationSpec | None = None
    label: LabelSpec | None = None
    selector: SelectorSpec | None = None
    owner: OwnerSpec | None = None
    helm_release: HelmReleaseSpec | None = None
    namespace_from: Literal["Source", "None"] = "Source"
    max_targets: int = 64


class Alias(_Declared, frozen=True, rename={"from_": "from"}):
    """A cluster as objects call it, and as policies do."""

    from_: str
    to: str


class ClusterSpec(_Declared, frozen=True):
    """Which cluster the targets live in."""

    mode: ClusterMode = "Same"
    name: str = ""
    label_key: str = ""
    expression: str = ""
    aliases: tuple[Alias, ...] = ()


class LinkSpec(_Declared, frozen=True):
    """What the link says."""

    role: Role = "Peer"
    direction: Direction = "SourceToTarget"
    class_: str = msgspec.field(default="References", name="class")
    grouping: Literal["SameTrace", "Link"] = "Link"


class LinkRuleSpec(_Declared, frozen=True):
    """``LinkRule.spec``."""

    source: SourceSpec
    targets: tuple[TargetSpec, ...]
    suspend: bool = False
    priority: int = 0
    cluster: ClusterSpec = ClusterSpec()
    link: LinkSpec = LinkSpec()


def read_rule(spec: Mapping[str, Any]) -> LinkRuleSpec:
    """A spec as the API server, or somebody's file, gives it; raises ``BadInput`` that names the field."""
    try:
        return msgspec.convert(spec, LinkRuleSpec)
    except msgspec.ValidationError as error:
        raise BadInput(_in_words(str(error))) from None


def _in_words(message: str) -> str:
    """msgspec says ``… - at `$.source.resources` ``; people know the path as ``spec.source.resources``."""
    if message.startswith("Object contains unknown field"):
        message += ", which this version of Kubeweft does not know"
    return message.replace("`$.", "`spec.").replace("`$`", "`spec`")
