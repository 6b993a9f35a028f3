"""How the data path is doing, as the application tells it: the facts that conditions are made of.

Only values. Phases and reasons are few on purpose: a status is read by people, details are metrics and logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.plan import Plan
from kubeweft.model.references import group_resource

Phase = Literal["Listing", "Watching", "Forbidden", "Failing"]
ExporterReason = Literal["Exporting", "Backpressure", "Unreachable", "AuthenticationFailed", "Rejected"]
ClusterReason = Literal["Unreachable", "InvalidKubeconfig", "WrongCluster"]

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TypeHealth:
    """The watch of one resource type. ``Listing`` is the start, ``Failing`` goes on trying."""

    group: str
    resource: str
    phase: Phase
    message: str = ""

    def __str__(self) -> str:
        return group_resource(self.group, self.resource)


@dataclass(frozen=True, slots=True)
class ExporterHealth:
    """One exporter, by its name in the plan (``policy/exporter``).

    ``dropped`` counts the spans that its cap has kept back since the start of the process.
    """

    name: str
    reason: ExporterReason = "Exporting"
    message: str = ""
    dropped: int = 0

    @property
    def ready(self) -> bool:
        """Whether spans leave."""
        return self.reason == "Exporting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealth:
    """One cluster, by its name in the plan.

    ``uid`` is that of the namespace ``kube-system``; ``unreachable`` says why nothing can be read there now, and
    ``reason`` in one word; ``last_audit`` is when the last audit events came, in nanoseconds (0: never).
    """

    name: str
    uid: str = ""
    unreachable: str = ""
    reason: ClusterReason = "Unreachable"
    types: tuple[TypeHealth, ...] = ()
    last_audit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Everything at one moment.

    ``plan`` is the one the data path works by now; ``overloaded`` holds the reason while writing is halted. A cluster
    that is missing in ``clusters`` has told nothing yet; a rule that is missing in ``rules`` is not in force yet.
    """

    plan: Plan | None = None
    overloaded: str = ""
    clusters: Mapping[str, ClusterHealth] = field(default_factory=lambda: _NONE)
    exporters: tuple[ExporterHealth, ...] = ()
    rules: Mapping[str, RuleStatistics] = field(default_factory=lambda: _NONE)
