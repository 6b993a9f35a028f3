"""How the data path is doing, as the application tells it: the facts that conditions are made of.

Only values. Phases and reasons are few on purpose: a status is read by people, details are metrics and logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeweft.model.plan import Plan
from kubeweft.model.references import group_resource

Phase = Literal["Listing", "Watching", "Forbidden", "Failing"]
ExporterReason = Literal["Exporting", "Backpressure", "Unreachable", "AuthenticationFailed", "Rejected"]


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
    """One exporter, by its name in the plan (``policy/exporter``)."""

    name: str
    reason: ExporterReason = "Exporting"
    message: str = ""

    @property
    def ready(self) -> bool:
        """Whether spans leave."""
        return self.reason == "Exporting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Everything at one moment.

    ``plan`` is the one the data path works by now; ``cluster_uid`` is the UID of the namespace ``kube-system``;
    ``unreachable`` and ``overloaded`` hold the reason while the API server cannot be reached or writing is halted;
    ``last_audit`` is when the last audit events came, in nanoseconds (0: never).
    """

    plan: Plan | None = None
    cluster_uid: str = ""
    unreachable: str = ""
    overloaded: str = ""
    types: tuple[TypeHealth, ...] = ()
    exporters: tuple[ExporterHealth, ...] = ()
    last_audit: int = 0
