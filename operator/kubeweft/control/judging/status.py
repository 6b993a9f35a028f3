"""The status of a declared object as it should be, and how it differs from what is stored. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kubeweft.control.compiling.rules import RuleVerdict
from kubeweft.control.compiling.verdicts import Verdict
from kubeweft.control.declared.objects import DeclaredObject
from kubeweft.control.judging.cluster_states import ClusterState, watched
from kubeweft.control.judging.conditions import Condition, merge_conditions, state_of
from kubeweft.control.judging.health import Health
from kubeweft.control.judging.policies import judge_policy
from kubeweft.control.judging.rules import judge_link_rule, rule_counters
from kubeweft.model.plan import Scope

Status = dict[str, Any]


def policy_status(
    policy: DeclaredObject, verdict: Verdict, health: Health, *, in_force: bool, now: str
) -> Status:
    """The status of a TracingPolicy at the moment ``now`` (RFC 3339)."""
    known = policy.status.get("conditions") or []
    was_ready = state_of(known, "Ready", generation=policy.generation) == "True"
    judgement = judge_policy(verdict, health, in_force=in_force, was_ready=was_ready)
    ready = sum(state.standing == "Working" for state in judgement.clusters)
    return {
        **_common(policy, judgement.conditions, now),
        "tracedResources": _watched(verdict.scope, judgement.clusters),
        "clustersSummary": f"{ready}/{len(judgement.clusters)} ready" if judgement.clusters else "",
        "clusters": [_cluster(verdict.scope, state) for state in judgement.clusters],
        "exporters": [
            {"name": e.name, "ready": e.ready, "reason": e.reason, "dropped": e.dropped}
            for e in judgement.exporters
        ],
    }


def link_rule_status(
    rule: DeclaredObject, verdict: RuleVerdict, health: Health, *, in_force: bool, now: str
) -> Status:
    """The status of a LinkRule at the moment ``now`` (RFC 3339)."""
    told = health.rules.get(rule.name)
    conditions = judge_link_rule(verdict, told, in_force=in_force)
    return {**_common(rule, conditions, now), **rule_counters(told)}


def differs(wanted: Status, stored: Mapping[str, Any]) -> bool:
    """Whether anything of ours is stored otherwise."""
    return any(stored.get(field) != value for field, value in wanted.items())


def differs_in_meaning(wanted: Status, stored: Mapping[str, Any]) -> bool:
    """Whether more than numbers, times and wording is stored otherwise: what somebody may be waiting for."""
    return _meaning(wanted) != _meaning(stored)


def _common(declared: DeclaredObject, conditions: Sequence[Condition], now: str) -> Status:
    known = declared.status.get("conditions") or []
    merged = merge_conditions(known, conditions, generation=declared.generation, now=now)
    return {"observedGeneration": declared.generation, "conditions": merged}


def _cluster(scope: Scope | None, state: ClusterState) -> Status:
    entry: Status = {
        "name": state.use.name,
        "ready": state.standing == "Working",
        "reason": state.reason,
        "watchedResources": _watched(scope, (state,)),
    }
    if state.uid:
        entry["uid"] = state.uid
    if state.last_audit:
        at = datetime.datetime.fromtimestamp(state.last_audit // 1_000_000_000, datetime.UTC)
        entry["lastAuditTime"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return entry


def _watched(scope: Scope | None, states: Iterable[ClusterState]) -> int:
    return len(watched(scope, states)) if scope is not None else 0


def _meaning(status: Mapping[str, Any]) -> tuple[object, ...]:
    conditions = [
        tuple(c.get(field) for field in ("type", "status", "reason", "observedGeneration"))
        for c in status.get("conditions") or []
    ]
    parts = [
        tuple(entry.get(field) for field in ("name", "ready", "reason"))
        for field in ("clusters", "exporters")
        for entry in status.get(field) or []
    ]
    return status.get("observedGeneration"), conditions, parts
