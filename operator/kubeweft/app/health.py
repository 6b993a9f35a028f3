"""Translates how the parts are doing into the few words of a policy's status."""

from __future__ import annotations

from collections.abc import Mapping

from kubeweft.app.collecting import is_watched
from kubeweft.control.health import ExporterHealth, Health, Phase, TypeHealth
from kubeweft.export.standing import ExporterState
from kubeweft.kube import watch_state
from kubeweft.kube.cluster_watch import NOT_ASKED_YET, ClusterWatch
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
    watch: ClusterWatch,
    exporters: Mapping[str, ExporterState],
    store: StoreStatistics,
    cluster_uid: str,
    last_audit: int,
) -> Health:
    """Everything at this moment. Types that are not served (any more) are nobody's trouble."""
    states = watch.states()
    return Health(
        plan=plan,
        cluster_uid=cluster_uid,
        unreachable="" if watch.health.message == NOT_ASKED_YET else watch.health.message,
        overloaded="the store is full" if store.full else "",
        types=(
            *(
                TypeHealth(resource.group, resource.resource, PHASES[state.phase], state.message)
                for resource, state in states.items()
                if state.phase in PHASES
            ),
            *(
                TypeHealth(resource.group, resource.resource, "Listing")
                for resource in watch.discovered.types
                if resource not in states and is_watched(plan, resource)
            ),
        ),
        exporters=tuple(
            ExporterHealth(name, state.reason, state.message)
            for name, state in exporters.items()
            if state.reason != "Pending"
        ),
        last_audit=last_audit,
    )
