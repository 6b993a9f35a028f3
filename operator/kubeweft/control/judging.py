"""What to say about one policy: its verdict and the health of the data path, as conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubeweft.control.conditions import Condition
from kubeweft.control.health import ExporterHealth, Health, TypeHealth
from kubeweft.control.verdicts import Verdict
from kubeweft.model.plan import Scope

MOST_NAMED = 20
_EVENT_TYPES = frozenset({("", "events"), ("events.k8s.io", "events")})
_PENDING = "Pending"


def judge_policy(verdict: Verdict, health: Health, *, in_force: bool, was_ready: bool) -> list[Condition]:
    """All conditions of one policy.

    ``in_force`` says that the data path works by the plan this verdict belongs to; ``was_ready`` that this generation
    has been ready before, so that a type which comes later does not make the policy pending again.
    """
    if not verdict.accepted:
        return _refused(verdict)
    if verdict.scope is None:
        return _suspended()
    types = types_of(verdict.scope, health.types)
    exporters = exporters_of(verdict, health.exporters)
    starting = "" if was_ready else _starting(verdict.scope, types, in_force=in_force)
    ready = _ready(verdict.scope, health, types=types, exporters=exporters, starting=starting)
    conditions = [
        ready,
        Condition("Accepted", "True", "Accepted", "the policy is understood and applied"),
        Condition("ResolvedRefs", "True", "ResolvedRefs", "nothing refers to other objects"),
        _clusters(verdict.cluster, health, types=types, starting=starting),
        _exporters(exporters),
    ]
    if starting and not health.unreachable:
        conditions.append(Condition("Reconciling", "True", _PENDING, starting))
    if not health.unreachable and ready.status == "False" and _is_forbidden_all(verdict.scope, types):
        conditions.append(Condition("Stalled", "True", "Forbidden", ready.message))
    return conditions


def judge_link_rule() -> list[Condition]:
    """LinkRules cannot be applied yet, and say so."""
    message = "LinkRules are not applied by this version of Kubeweft; owner references are followed without any rule"
    return [
        Condition("Ready", "False", "Unsupported", message),
        Condition("Accepted", "False", "Unsupported", message),
        Condition("Stalled", "True", "Unsupported", message),
    ]


def types_of(scope: Scope, types: Iterable[TypeHealth]) -> tuple[TypeHealth, ...]:
    """The watches that a scope depends on."""
    return tuple(
        t
        for t in types
        if (scope.objects and scope.selects_type(t.group, t.resource))
        or (scope.events and (t.group, t.resource) in _EVENT_TYPES)
    )


def exporters_of(verdict: Verdict, exporters: Iterable[ExporterHealth]) -> tuple[ExporterHealth, ...]:
    """The state of a policy's exporters; one that has not told anything yet has nothing against it."""
    known = {exporter.name: exporter for exporter in exporters}
    return tuple(known.get(e.name, ExporterHealth(e.name)) for e in verdict.exporters)


def names(types: Sequence[TypeHealth]) -> str:
    """The types by name, the first of them if there are many."""
    shown = ", ".join(sorted(str(t) for t in types)[:MOST_NAMED])
    return shown + (f" and {len(types) - MOST_NAMED} more" if len(types) > MOST_NAMED else "")


def _refused(verdict: Verdict) -> list[Condition]:
    reason = verdict.refusal
    summary = "InvalidSpec" if reason == "InvalidExpression" else reason
    not_judged = f"the policy is not accepted: {reason}"
    return [
        Condition("Ready", "False", summary, verdict.message),
        Condition("Accepted", "False", reason, verdict.message),
        *(Condition(kind, "Unknown", summary, not_judged) for kind in ("ResolvedRefs", "ClustersReachable")),
        Condition("ExportersReady", "Unknown", summary, not_judged),
        Condition("Stalled", "True", summary, verdict.message),
    ]


def _suspended() -> list[Condition]:
    """Ready, because it is as it was asked to be: else GitOps tools would wait for a suspended policy for ever."""
    message = "suspended: nothing is traced for this policy"
    return [
        Condition("Ready", "True", "Suspended", message),
        Condition("Accepted", "True", "Accepted", "the policy is understood"),
        Condition("ResolvedRefs", "True", "ResolvedRefs", "nothing refers to other objects"),
        Condition("ClustersReachable", "Unknown", "Suspended", message),
        Condition("ExportersReady", "Unknown", "Suspended", message),
    ]


def _starting(scope: Scope, types: Sequence[TypeHealth], *, in_force: bool) -> str:
    """What is still under way, or nothing."""
    if not in_force:
        return "the policy is about to take effect"
    listing = [t for t in types if t.phase == "Listing"]
    if listing:
        return f"resource types still being listed: {len(listing)} of {len(types)}"
    if scope.objects and not any(scope.selects_type(t.group, t.resource) for t in types):
        return "no resource type that the policy selects is served yet"
    return ""


def _ready(
    scope: Scope,
    health: Health,
    *,
    types: Sequence[TypeHealth],
    exporters: Sequence[ExporterHealth],
    starting: str,
) -> Condition:
    if health.unreachable:
        return Condition("Ready", "False", "Degraded", f"the cluster cannot be reached: {health.unreachable}")
    if starting:
        return Condition("Ready", "Unknown", _PENDING, starting)
    if health.overloaded:
        return Condition("Ready", "False", "Overloaded", health.overloaded)
    if _is_forbidden_all(scope, types):
        return Condition(
            "Ready", "False", "Degraded", f"nothing can be watched: forbidden are {names(types)}"
        )
    broken = [e for e in exporters if not e.ready]
    if broken:
        told = "; ".join(_told(e) for e in broken)
        return Condition("Ready", "False", "Degraded", f"spans are kept and wait for exporters: {told}")
    return Condition("Ready", "True", "Tracing", _summary(scope, types))


def _summary(scope: Scope, types: Sequence[TypeHealth]) -> str:
    watched = [t for t in types if t.phase == "Watching"]
    failing = [t for t in types if t.phase == "Failing"]
    text = f"resource types watched: {len(watched)}" if scope.objects else "objects are not watched"
    return text + (f"; not answering: {names(failing)}" if failing else "")


def _is_forbidden_all(scope: Scope, types: Sequence[TypeHealth]) -> bool:
    wanted = [t for t in types if scope.objects and scope.selects_type(t.group, t.resource)]
    return bool(wanted) and all(t.phase == "Forbidden" for t in wanted)


def _clusters(cluster: str, health: Health, *, types: Sequence[TypeHealth], starting: str) -> Condition:
    kind = "ClustersReachable"
    if health.unreachable:
        return Condition(kind, "False", "Unreachable", f"{cluster}: {health.unreachable}")
    if starting:
        return Condition(kind, "Unknown", _PENDING, starting)
    forbidden = [t for t in types if t.phase == "Forbidden"]
    if forbidden:
        message = (
            f"{cluster}: RBAC does not allow to list and watch {names(forbidden)}; the others are watched"
        )
        return Condition(kind, "True", "Forbidden", message)
    return Condition(kind, "True", "Reachable", f"{cluster} is reachable")


def _exporters(exporters: Sequence[ExporterHealth]) -> Condition:
    kind = "ExportersReady"
    if not exporters:
        return Condition(kind, "True", "NoExporters", "spans are kept in the embedded store only")
    broken = [e for e in exporters if not e.ready]
    if broken:
        return Condition(kind, "False", broken[0].reason, "; ".join(_told(e) for e in broken))
    return Condition(kind, "True", "Exporting", "all exporters accept spans")


def _told(exporter: ExporterHealth) -> str:
    name = exporter.name.rpartition("/")[2]
    return f"{name}: {exporter.reason}" + (f" ({exporter.message})" if exporter.message else "")
