"""Translates how the parts are doing into the few words of a policy's status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from kubeweft.app.collecting import is_watched
from kubeweft.app.membership import Member
from kubeweft.control.judging.health import (
    ClusterHealth,
    ExporterHealth,
    Health,
    Phase,
    TypeHealth,
)
from kubeweft.export.standing import ExporterState
from kubeweft.kube import watch_state
from kubeweft.kube.cluster_watch import NOT_ASKED_YET, ClusterWatch
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.plan import Plan
from kubeweft.store.interfaces import StoreStatistics

PHASES: dict[watch_state.Phase, Phase] = {
    watch_state.Phase.LISTING: "Listing",
    watch_state.Phase.WATCHING: "Watching",
    watch_state.Phase.FORBIDDEN: "Forbidden",
    watch_state.Phase.BACKING_OFF: "Failing",
}


def health_of(
    *,
    plan: Plan,
    members: Iterable[Member],
    last_audit: Callable[[str], int],
    exporters: Mapping[str, ExporterState],
    store: StoreStatistics,
    rules: Mapping[str, RuleStatistics],
) -> Health:
    """Everything at this moment; a cluster that has told nothing yet, neither good nor bad, is left out."""
    told = [member for member in members if member.settled.is_set()]
    return Health(
        plan=plan,
        overloaded="the store is full" if store.full else "",
        clusters={member.name: cluster_health(member, last_audit(member.name)) for member in told},
        exporters=tuple(
            ExporterHealth(name, state.reason, state.message, state.dropped)
            for name, state in exporters.items()
            if state.reason != "Pending"
        ),
        rules=rules,
    )


def cluster_health(member: Member, last_audit: int) -> ClusterHealth:
    """One cluster at this moment. What was last seen of it is told as long as it is watched, reachable or not."""
    watch = member.collector.watch if member.collector is not None else None
    return ClusterHealth(
        name=member.name,
        uid=member.uid,
        unreachable=member.trouble.message or (_unreachable(watch) if watch is not None else ""),
        reason=member.trouble.reason,
        types=tuple(_types(member.plan, watch)) if watch is not None else (),
        last_audit=last_audit,
    )


def _unreachable(watch: ClusterWatch) -> str:
    return "" if watch.health.message == NOT_ASKED_YET else watch.health.message


def _types(plan: Plan, watch: ClusterWatch) -> Iterator[TypeHealth]:
    """The watches, and the types that are about to be watched. What is not served (any more) is nobody's trouble."""
    states = watch.states()
    for resource, state in states.items():
        if state.phase in PHASES:
            yield TypeHealth(resource.group, resource.resource, PHASES[state.phase], state.message)
    for resource in watch.discovered.types:
        if resource not in states and is_watched(plan, resource):
            yield TypeHealth(resource.group, resource.resource, "Listing")
