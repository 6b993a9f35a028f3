"""How each cluster of a policy is doing, in one word and one sentence. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kubeweft.control.compiling.verdicts import ClusterUse, PartOf, Verdict
from kubeweft.control.judging.health import ClusterHealth, Health, TypeHealth
from kubeweft.model.plan import NAMESPACES, Scope

MOST_NAMED = 20
_EVENT_TYPES = frozenset({("", "events"), ("events.k8s.io", "events")})

Standing = Literal["Working", "Pending", "Broken"]


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One cluster of a policy. ``types`` are the watches there that the policy depends on.

    ``reached`` is whether it can be asked at all: what forbids everything is reached and broken.
    """

    use: ClusterUse
    standing: Standing
    reason: str
    message: str
    reached: bool = False
    types: tuple[TypeHealth, ...] = ()
    uid: str = ""
    last_audit: int = 0

    def __str__(self) -> str:
        return f"{self.use.name}: {self.message}"


def cluster_states(
    verdict: Verdict, scope: Scope, health: Health, *, was_ready: bool
) -> tuple[ClusterState, ...]:
    """All clusters of a policy in force; one that ``was_ready`` does not wait for types that come later."""
    return tuple(_state(use, verdict, scope, health, was_ready=was_ready) for use in verdict.clusters)


def watched(scope: Scope, states: Iterable[ClusterState]) -> list[TypeHealth]:
    """The types of objects that a scope selects and that are watched now, once for each cluster."""
    if not scope.objects:
        return []
    return [
        t
        for state in states
        for t in state.types
        if t.phase == "Watching" and scope.selects_type(t.group, t.resource)
    ]


def twins(states: Iterable[ClusterState]) -> str:
    """Which clusters are one and the same under several names, as a sentence; usually nothing."""
    names = defaultdict(list)
    for state in states:
        if state.uid:
            names[state.uid].append(state.use.name)
    return "; ".join(
        f"{' and '.join(same)} are one and the same cluster" for same in names.values() if len(same) > 1
    )


def names(types: Sequence[TypeHealth]) -> str:
    """The types by name, the first of them if there are many."""
    shown = ", ".join(sorted({str(t) for t in types})[:MOST_NAMED])
    return shown + (f" and {len(types) - MOST_NAMED} more" if len(types) > MOST_NAMED else "")


def _state(
    use: ClusterUse, verdict: Verdict, scope: Scope, health: Health, *, was_ready: bool
) -> ClusterState:
    missing = verdict.left_out(PartOf("cluster", use.known_as))
    if missing is not None:
        standing: Standing = "Pending" if missing.reason == "Pending" else "Broken"
        return ClusterState(use, standing, missing.reason, missing.message)
    told = health.clusters.get(use.known_as)
    if told is None:
        return ClusterState(use, "Pending", "Pending", "nothing is known of it yet")
    types = _types_of(scope, told.types)
    standing, reason, message = _standing(scope, told, types, was_ready=was_ready)
    return ClusterState(
        use,
        standing,
        reason,
        message,
        reached=not told.unreachable and standing != "Pending",
        types=types,
        uid=told.uid,
        last_audit=told.last_audit if scope.audit else 0,
    )


def _standing(
    scope: Scope, told: ClusterHealth, types: Sequence[TypeHealth], *, was_ready: bool
) -> tuple[Standing, str, str]:
    if told.unreachable:
        return "Broken", told.reason, told.unreachable
    starting = "" if was_ready else _starting(scope, told, types)
    if starting:
        return "Pending", "Pending", starting
    forbidden = [t for t in types if t.phase == "Forbidden"]
    wanted = [t for t in types if scope.objects and scope.selects_type(t.group, t.resource)]
    if wanted and all(t.phase == "Forbidden" for t in wanted):
        return "Broken", "Forbidden", f"nothing can be watched: RBAC forbids {names(forbidden)}"
    if forbidden:
        message = f"RBAC does not allow to list and watch {names(forbidden)}; the others are watched"
        return "Working", "Forbidden", message
    return "Working", "Reachable", "reachable"


def _starting(scope: Scope, told: ClusterHealth, types: Sequence[TypeHealth]) -> str:
    if not told.types and (scope.objects or scope.events):
        return "it has not told its resource types yet"
    listing = [t for t in types if t.phase == "Listing"]
    return f"resource types still being listed: {len(listing)} of {len(types)}" if listing else ""


def _types_of(scope: Scope, types: Iterable[TypeHealth]) -> tuple[TypeHealth, ...]:
    """The watches that a scope depends on."""
    return tuple(
        t
        for t in types
        if (scope.objects and scope.selects_type(t.group, t.resource))
        or (scope.events and (t.group, t.resource) in _EVENT_TYPES)
        or ((t.group, t.resource) == NAMESPACES and (scope.namespace_selector or scope.conditions))
    )
