"""The status of a declared object as it should be, and how it differs from what is stored. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from kubeweft.control.conditions import Condition, merge_conditions, state_of
from kubeweft.control.health import Health
from kubeweft.control.judging import exporters_of, judge_link_rule, judge_policy, types_of
from kubeweft.control.objects import DeclaredObject
from kubeweft.control.verdicts import Verdict

Status = dict[str, Any]


def policy_status(
    policy: DeclaredObject, verdict: Verdict, health: Health, *, in_force: bool, now: str
) -> Status:
    """The status of a TracingPolicy at the moment ``now`` (RFC 3339)."""
    known = policy.status.get("conditions") or []
    was_ready = state_of(known, "Ready", generation=policy.generation) == "True"
    conditions = judge_policy(verdict, health, in_force=in_force, was_ready=was_ready)
    return {
        **_common(policy, conditions, now),
        "tracedResources": _watched(verdict, health),
        "clusters": [_cluster(verdict, health, conditions)] if verdict.cluster else [],
        "exporters": [
            {"name": e.name.rpartition("/")[2], "ready": e.ready, "reason": e.reason}
            for e in exporters_of(verdict, health.exporters)
        ],
    }


def link_rule_status(rule: DeclaredObject, *, now: str) -> Status:
    """The status of a LinkRule."""
    return _common(rule, judge_link_rule(), now)


def differs(wanted: Status, stored: Mapping[str, Any]) -> bool:
    """Whether anything of ours is stored otherwise."""
    return any(stored.get(field) != value for field, value in wanted.items())


def differs_in_meaning(wanted: Status, stored: Mapping[str, Any]) -> bool:
    """Whether more than numbers, times and wording is stored otherwise: what somebody may be waiting for."""
    return _meaning(wanted) != _meaning(stored)


def _common(declared: DeclaredObject, conditions: list[Condition], now: str) -> Status:
    known = declared.status.get("conditions") or []
    merged = merge_conditions(known, conditions, generation=declared.generation, now=now)
    return {"observedGeneration": declared.generation, "conditions": merged}


def _cluster(verdict: Verdict, health: Health, conditions: list[Condition]) -> Status:
    reachable = next(c for c in conditions if c.type == "ClustersReachable")
    entry: Status = {
        "name": verdict.cluster,
        "ready": reachable.status == "True",
        "reason": reachable.reason,
        "watchedResources": _watched(verdict, health),
    }
    if health.cluster_uid:
        entry["uid"] = health.cluster_uid
    if health.last_audit and verdict.scope and verdict.scope.audit:
        at = datetime.datetime.fromtimestamp(health.last_audit // 1_000_000_000, datetime.UTC)
        entry["lastAuditTime"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return entry


def _watched(verdict: Verdict, health: Health) -> int:
    scope = verdict.scope
    if scope is None or not scope.objects:
        return 0
    return sum(
        t.phase == "Watching" and scope.selects_type(t.group, t.resource)
        for t in types_of(scope, health.types)
    )


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
