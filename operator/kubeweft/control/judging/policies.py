"""What to say about one policy: its verdict and the health of the data path, as conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubeweft.control.compiling.verdicts import PartOf, Unresolved, Verdict, in_short
from kubeweft.control.judging.cluster_states import ClusterState, cluster_states, names, twins, watched
from kubeweft.control.judging.conditions import Condition
from kubeweft.control.judging.health import ExporterHealth, Health
from kubeweft.model.plan import Scope

_PENDING = "Pending"


@dataclass(frozen=True, slots=True)
class ExporterState:
    """One exporter of a policy; ``dropped`` counts spans that its cap kept back."""

    name: str
    ready: bool
    reason: str
    message: str = ""
    dropped: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" + (f" ({self.message})" if self.message else "")


@dataclass(frozen=True, slots=True)
class Judgement:
    """All there is to say about a policy. ``watched`` counts resource types, once for each cluster."""

    conditions: tuple[Condition, ...]
    clusters: tuple[ClusterState, ...]
    exporters: tuple[ExporterState, ...]


def judge_policy(verdict: Verdict, health: Health, *, in_force: bool, was_ready: bool) -> Judgement:
    """The conditions of one policy, and the state of its clusters and exporters.

    ``in_force`` says that the data path works by the plan this verdict belongs to; ``was_ready`` that this generation
    has been ready before, so that a type which comes later does not make the policy pending again.
    """
    if not verdict.accepted:
        return _at_rest(verdict, _refused(verdict))
    if verdict.scope is None:
        return _at_rest(verdict, _suspended())
    clusters = cluster_states(verdict, verdict.scope, health, was_ready=was_ready)
    exporters = _exporter_states(verdict, health.exporters)
    starting = _starting(verdict.scope, clusters, exporters, in_force=in_force, was_ready=was_ready)
    ready = _ready(verdict, verdict.scope, health.overloaded, clusters, exporters, starting)
    conditions = [
        ready,
        _accepted(verdict),
        _references(verdict, clusters),
        _clusters(clusters),
        _exporters(exporters),
    ]
    if ready.status == "Unknown":
        conditions.append(Condition("Reconciling", "True", _PENDING, starting))
    if ready.status == "False" and any(_is_closed(c) for c in clusters):
        conditions.append(Condition("Stalled", "True", "Forbidden", ready.message))
    return Judgement(tuple(conditions), clusters, exporters)


def _at_rest(verdict: Verdict, conditions: list[Condition]) -> Judgement:
    """A policy that does nothing: its parts say why."""
    reason, message = conditions[0].reason, conditions[0].message
    return Judgement(
        tuple(conditions),
        tuple(ClusterState(use, "Pending", reason, message) for use in verdict.clusters),
        tuple(ExporterState(name, ready=False, reason=reason) for name in verdict.exporter_names),
    )


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
        *(
            Condition(kind, "Unknown", "Suspended", message)
            for kind in ("ResolvedRefs", "ClustersReachable", "ExportersReady")
        ),
    ]


def _exporter_states(verdict: Verdict, exporters: Iterable[ExporterHealth]) -> tuple[ExporterState, ...]:
    """One that has not told anything yet has nothing against it."""
    told = {exporter.name.rpartition("/")[2]: exporter.name for exporter in verdict.exporters}
    known = {exporter.name: exporter for exporter in exporters}
    states = []
    for name in verdict.exporter_names:
        missing = verdict.left_out(PartOf("exporter", name))
        if missing is not None:
            states.append(ExporterState(name, ready=False, reason=missing.reason, message=missing.message))
            continue
        health = known.get(told.get(name, ""), ExporterHealth(name))
        states.append(ExporterState(name, health.ready, health.reason, health.message, health.dropped))
    return tuple(states)


def _starting(
    scope: Scope,
    clusters: Sequence[ClusterState],
    exporters: Sequence[ExporterState],
    *,
    in_force: bool,
    was_ready: bool,
) -> str:
    """What is still under way, or nothing."""
    waiting = [str(c) for c in clusters if c.standing == "Pending"]
    waiting += [f"exporter {e}" for e in exporters if e.reason == _PENDING]
    if waiting:
        return in_short(waiting)
    if was_ready:
        return ""
    if not in_force:
        return "the policy is about to take effect"
    if scope.objects and not any(scope.selects_type(t.group, t.resource) for c in clusters for t in c.types):
        return "no resource type that the policy selects is served yet"
    return ""


def _ready(
    verdict: Verdict,
    scope: Scope,
    overloaded: str,
    clusters: Sequence[ClusterState],
    exporters: Sequence[ExporterState],
    starting: str,
) -> Condition:
    away = [str(c) for c in clusters if c.standing == "Broken" and not c.reached]
    if away:
        return Condition("Ready", "False", "Degraded", f"clusters that cannot be traced: {in_short(away)}")
    if starting:
        return Condition("Ready", "Unknown", _PENDING, starting)
    if overloaded:
        return Condition("Ready", "False", "Overloaded", overloaded)
    closed = [str(c) for c in clusters if _is_closed(c)]
    if closed:
        return Condition("Ready", "False", "Degraded", in_short(closed))
    broken = [str(e) for e in exporters if not e.ready]
    if broken:
        told = in_short(broken)
        return Condition("Ready", "False", "Degraded", f"spans are kept and wait for exporters: {told}")
    if verdict.unresolved:
        return Condition("Ready", "False", "Degraded", in_short([str(u) for u in verdict.unresolved]))
    reason = "Conflicted" if verdict.conflicts else "Tracing"
    return Condition("Ready", "True", reason, in_short([_summary(scope, clusters), *verdict.conflicts]))


def _summary(scope: Scope, clusters: Sequence[ClusterState]) -> str:
    failing = [t for c in clusters for t in c.types if t.phase == "Failing"]
    text = "objects are not watched"
    if scope.objects:
        text = f"resource types watched: {len(watched(scope, clusters))}"
        text += f" in {len(clusters)} clusters" if len(clusters) > 1 else ""
    return text + (f"; not answering: {names(failing)}" if failing else "")


def _is_closed(cluster: ClusterState) -> bool:
    """Whether all that is wanted there is forbidden."""
    return cluster.standing == "Broken" and cluster.reached


def _accepted(verdict: Verdict) -> Condition:
    notes = [f"note that {note}" for note in verdict.notes]
    if verdict.conflicts:
        return Condition("Accepted", "True", "Conflicted", in_short([*verdict.conflicts, *notes]))
    return Condition(
        "Accepted", "True", "Accepted", in_short(["the policy is understood and applied", *notes])
    )


def _references(verdict: Verdict, clusters: Sequence[ClusterState]) -> Condition:
    kind = "ResolvedRefs"
    missing: list[tuple[str, str]] = [
        (u.reason, _told(u)) for u in verdict.unresolved if u.reason != _PENDING
    ]
    missing += [(c.reason, f"cluster {c}") for c in clusters if c.reason == "InvalidKubeconfig"]
    if missing:
        return Condition(kind, "False", missing[0][0], in_short([text for _, text in missing]))
    if verdict.unresolved:
        return Condition(kind, "Unknown", _PENDING, in_short([_told(u) for u in verdict.unresolved]))
    if not verdict.secrets:
        return Condition(kind, "True", "ResolvedRefs", "nothing refers to other objects")
    message = f"all Secrets that the policy names are there: {', '.join(sorted(verdict.secrets))}"
    return Condition(kind, "True", "ResolvedRefs", message)


def _told(unresolved: Unresolved) -> str:
    consequence = "it is left out" if unresolved.left_out else "it goes on without"
    return str(unresolved) if unresolved.reason == _PENDING else f"{unresolved}; {consequence}"


def _clusters(clusters: Sequence[ClusterState]) -> Condition:
    kind = "ClustersReachable"
    away = [c for c in clusters if c.standing == "Broken" and not c.reached]
    if away:
        return Condition(kind, "False", away[0].reason, in_short([str(c) for c in away]))
    waiting = [str(c) for c in clusters if c.standing == "Pending"]
    if waiting:
        return Condition(kind, "Unknown", _PENDING, in_short(waiting))
    same = [text for text in (twins(clusters),) if text]
    forbidden = [str(c) for c in clusters if c.reason == "Forbidden"]
    if forbidden:
        return Condition(kind, "True", "Forbidden", in_short([*forbidden, *same]))
    who = ", ".join(c.use.name for c in clusters)
    text = f"{who} is reachable" if len(clusters) == 1 else f"all are reachable: {who}"
    return Condition(kind, "True", "Reachable", in_short([text, *same]))


def _exporters(exporters: Sequence[ExporterState]) -> Condition:
    kind = "ExportersReady"
    if not exporters:
        return Condition(kind, "True", "NoExporters", "spans are kept in the embedded store only")
    broken = [e for e in exporters if not e.ready and e.reason != _PENDING]
    if broken:
        return Condition(kind, "False", broken[0].reason, in_short([str(e) for e in broken]))
    waiting = [str(e) for e in exporters if not e.ready]
    if waiting:
        return Condition(kind, "Unknown", _PENDING, in_short(waiting))
    capped = [f"{e.name}: {e.dropped}" for e in exporters if e.dropped]
    dropped = [f"spans dropped by sampling.maxSpansPerSecond: {', '.join(capped)}"] if capped else []
    return Condition(kind, "True", "Exporting", in_short(["all exporters accept spans", *dropped]))
