"""Conditions as Kubernetes, kubectl, kstatus (Flux) and Argo CD read them. Pure.

``Ready`` sums up. ``Stalled`` is there only while something is wrong that does not heal alone, because kstatus calls
``Ready=False`` without it "in progress" for ever; ``Reconciling`` is there only while a changed policy takes effect.
A transition time is that of the last change of ``status``, not of the reason. Conditions of others are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["True", "False", "Unknown"]
OURS = (
    "Ready",
    "Accepted",
    "ResolvedRefs",
    "ClustersReachable",
    "ExportersReady",
    "Reconciling",
    "Stalled",
)
NEVER = "1970-01-01T00:00:00Z"  # the default in the CRD's schema: no transition has happened yet
LONGEST_MESSAGE = 4096


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition to report. ``reason`` is a word for machines, ``message`` a sentence for people."""

    type: str
    status: State
    reason: str
    message: str


def merge_conditions(
    known: Sequence[Mapping[str, Any]], wanted: Sequence[Condition], *, generation: int, now: str
) -> list[dict[str, Any]]:
    """The list to write: ours as wanted, those of others untouched behind them. ``now`` is RFC 3339."""
    before = {str(condition.get("type")): condition for condition in known}
    merged = [_merge(before.get(c.type), c, generation, now) for c in wanted]
    return [*merged, *(dict(c) for c in known if c.get("type") not in OURS)]


def state_of(known: Sequence[Mapping[str, Any]], kind: str, *, generation: int) -> str:
    """The status of a condition that was reported for this generation, else empty."""
    for condition in known:
        if condition.get("type") == kind and condition.get("observedGeneration") == generation:
            return str(condition.get("status"))
    return ""


def _merge(before: Mapping[str, Any] | None, wanted: Condition, generation: int, now: str) -> dict[str, Any]:
    since = str((before or {}).get("lastTransitionTime") or NEVER)
    if before is None or before.get("status") != wanted.status or since == NEVER:
        since = now
    return {
        "type": wanted.type,
        "status": wanted.status,
        "observedGeneration": generation,
        "lastTransitionTime": since,
        "reason": wanted.reason,
        "message": wanted.message[:LONGEST_MESSAGE],
    }
