"""What the status says: a table of situations and the conditions they give, judged as kubectl and kstatus judge them."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.judging.conditions import NEVER, Condition, merge_conditions
from kubeweft.control.judging.health import ClusterHealth, ExporterHealth, Health, TypeHealth
from kubeweft.control.judging.status import (
    differs,
    differs_in_meaning,
    link_rule_status,
    policy_status,
)
from kubeweft.links.statistics import RuleStatistics

NOW = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T03:09:05Z"
PODS = TypeHealth("", "pods", "Watching")
DEPLOYMENTS = TypeHealth("apps", "deployments", "Watching")
SECRETS = TypeHealth("", "secrets", "Forbidden")
PENDING = [
    {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "Waiting for controller",
        "lastTransitionTime": NEVER,
    }
]
RULE = {
    "source": {"resources": [{"apiGroups": [""], "resources": ["pods"]}]},
    "targets": [{"name": "o", "type": "Owner", "owner": {}}],
}
EXPORTING = {"exporters": [{"name": "x", "otlp": {"endpoint": "h:4317"}}]}


def policy(
    spec: Mapping[str, Any], *, status: Mapping[str, Any] | None = None, generation: int = 1
) -> DeclaredObject:
    stored = {"conditions": PENDING} if status is None else status
    return DeclaredObject(
        resource=POLICIES, name="p", uid="u", version="1", generation=generation, spec=spec, status=stored
    )


def status_of(
    declared: DeclaredObject, *, in_force: bool = True, now: str = NOW, **health: Any
) -> dict[str, Any]:
    verdict = compile_policies([declared], Installation()).verdicts[declared.name]
    return policy_status(declared, verdict, local(**health), in_force=in_force, now=now)


def local(*, overloaded: str = "", exporters: tuple[ExporterHealth, ...] = (), **cluster: Any) -> Health:
    """The health of the local cluster alone."""
    clusters = {"local": ClusterHealth(name="local", **cluster)}
    return Health(overloaded=overloaded, exporters=exporters, clusters=clusters)


def short(status: Mapping[str, Any]) -> dict[str, str]:
    return {c["type"]: f"{c['status']}/{c['reason']}" for c in status["conditions"]}


def message(status: Mapping[str, Any], kind: str) -> str:
    return next(str(c["message"]) for c in status["conditions"] if c["type"] == kind)


def kstatus(status: Mapping[str, Any], generation: int) -> str:
    """The rules of sigs.k8s.io/cli-utils/pkg/kstatus that apply to custom resources."""
    if status.get("observedGeneration", generation) != generation:
        return "InProgress"
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions:
        return "Current" if conditions["Ready"] == "True" else "InProgress"
    return "Current"


SITUATIONS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, str], str]] = [
    (
        "all well",
        {},
        {"types": (PODS, DEPLOYMENTS)},
        {
            "Ready": "True/Tracing",
            "Accepted": "True/Accepted",
            "ResolvedRefs": "True/ResolvedRefs",
            "ClustersReachable": "True/Reachable",
            "ExportersReady": "True/NoExporters",
        },
        "Current",
    ),
    (
        "some types forbidden",
        {},
        {"types": (PODS, SECRETS)},
        {"Ready": "True/Tracing", "ClustersReachable": "True/Forbidden"},
        "Current",
    ),
    (
        "a dead aggregated API",
        {},
        {"types": (PODS, TypeHealth("metrics.k8s.io", "pods", "Failing"))},
        {"Ready": "True/Tracing", "ClustersReachable": "True/Reachable"},
        "Current",
    ),
    (
        "everything wanted is forbidden",
        {"match": {"resources": [{"apiGroups": [""], "resources": ["secrets"]}]}},
        {"types": (PODS, SECRETS)},
        {"Ready": "False/Degraded", "ClustersReachable": "True/Forbidden", "Stalled": "True/Forbidden"},
        "Failed",
    ),
    (
        "still listing",
        {},
        {"types": (PODS, TypeHealth("", "nodes", "Listing"))},
        {"Ready": "Unknown/Pending", "ClustersReachable": "Unknown/Pending", "Reconciling": "True/Pending"},
        "InProgress",
    ),
    (
        "listing what the policy does not want",
        {"match": {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}},
        {"types": (PODS, TypeHealth("", "nodes", "Listing"))},
        {"Ready": "True/Tracing"},
        "Current",
    ),
    (
        "nothing of what it selects is served",
        {"match": {"resources": [{"apiGroups": ["example.com"], "resources": ["*"]}]}},
        {"types": (PODS, TypeHealth("", "events", "Watching"))},
        {"Ready": "Unknown/Pending", "Reconciling": "True/Pending"},
        "InProgress",
    ),
    (
        "cluster away",
        {},
        {"unreachable": "connection refused", "types": (PODS,)},
        {"Ready": "False/Degraded", "ClustersReachable": "False/Unreachable"},
        "InProgress",
    ),
    (
        "store full",
        {},
        {"overloaded": "the store is full", "types": (PODS,)},
        {"Ready": "False/Overloaded"},
        "InProgress",
    ),
    (
        "exporting",
        EXPORTING,
        {"types": (PODS,), "exporters": (ExporterHealth("p/x"),)},
        {"Ready": "True/Tracing", "ExportersReady": "True/Exporting"},
        "Current",
    ),
    (
        "receiver away",
        EXPORTING,
        {"types": (PODS,), "exporters": (ExporterHealth("p/x", "Unreachable", "connection refused"),)},
        {"Ready": "False/Degraded", "ExportersReady": "False/Unreachable"},
        "InProgress",
    ),
    (
        "another policy's receiver away",
        {},
        {"types": (PODS,), "exporters": (ExporterHealth("q/x", "Unreachable"),)},
        {"Ready": "True/Tracing", "ExportersReady": "True/NoExporters"},
        "Current",
    ),
    (
        "suspended",
        {"suspend": True, **EXPORTING},
        {"unreachable": "connection refused"},
        {"Ready": "True/Suspended", "Accepted": "True/Accepted"},
        "Current",
    ),
    (
        "not understood",
        {"retention": {"maxAge": "1s"}},
        {"types": (PODS,)},
        {
            "Ready": "False/InvalidSpec",
            "Accepted": "False/InvalidSpec",
            "ResolvedRefs": "Unknown/InvalidSpec",
            "ClustersReachable": "Unknown/InvalidSpec",
            "ExportersReady": "Unknown/InvalidSpec",
            "Stalled": "True/InvalidSpec",
        },
        "Failed",
    ),
    (
        "no regular expression",
        {"redaction": {"patterns": [{"name": "n", "regex": "("}]}},
        {},
        {"Ready": "False/InvalidSpec", "Accepted": "False/InvalidExpression", "Stalled": "True/InvalidSpec"},
        "Failed",
    ),
    (
        "audit only",
        {"sources": {"objects": {"mode": "Disabled"}}},
        {"types": (TypeHealth("", "events", "Watching"), SECRETS)},
        {"Ready": "True/Tracing"},
        "Current",
    ),
]


@pytest.mark.parametrize(
    ("spec", "health", "expected", "judged"), [s[1:] for s in SITUATIONS], ids=[s[0] for s in SITUATIONS]
)
def test_situations(
    spec: dict[str, Any], health: dict[str, Any], expected: dict[str, str], judged: str
) -> None:
    status = status_of(policy(spec), **health)
    said = short(status)
    assert said | expected == said
    assert ("Stalled" in said) is ("Stalled" in expected)
    assert ("Reconciling" in said) is ("Reconciling" in expected)
    assert kstatus(status, 1) == judged


def test_a_plan_that_is_not_yet_in_force_is_pending() -> None:
    assert short(status_of(policy({}), in_force=False, types=(PODS,)))["Ready"] == "Unknown/Pending"


def test_a_type_that_comes_later_does_not_make_a_ready_policy_pending() -> None:
    ready = policy({}, status=status_of(policy({}), types=(PODS,)))
    widgets = TypeHealth("example.com", "widgets", "Listing")
    assert short(status_of(ready, types=(PODS, widgets), in_force=False))["Ready"] == "True/Tracing"


def test_a_changed_spec_is_pending_again_until_it_is_in_force() -> None:
    stored = status_of(policy({}), types=(PODS,))
    changed = policy({"match": {"namespaces": ["shop"]}}, status=stored, generation=2)
    status = status_of(changed, types=(PODS,), in_force=False)
    assert short(status)["Ready"] == "Unknown/Pending"
    assert kstatus(status, 2) == "InProgress"
    assert kstatus(stored, 2) == "InProgress"


def test_generations_are_in_the_status_and_in_each_condition() -> None:
    status = status_of(policy({}, generation=7), types=(PODS,))
    assert status["observedGeneration"] == 7
    assert {c["observedGeneration"] for c in status["conditions"]} == {7}


def test_details_of_clusters_and_exporters() -> None:
    status = status_of(
        policy(EXPORTING),
        types=(PODS, DEPLOYMENTS, SECRETS),
        exporters=(ExporterHealth("p/x", "Backpressure"),),
        uid="1234",
        last_audit=1_767_323_045_999_999_999,
    )
    assert status["tracedResources"] == 2
    assert status["exporters"] == [{"name": "x", "ready": False, "reason": "Backpressure", "dropped": 0}]
    assert status["clusters"] == [
        {
            "name": "local",
            "ready": True,
            "reason": "Forbidden",
            "watchedResources": 2,
            "uid": "1234",
            "lastAuditTime": "2026-01-02T03:04:05Z",
        }
    ]


def test_forbidden_types_are_named_but_not_without_end() -> None:
    types = tuple(TypeHealth("example.com", f"type{n:03}", "Forbidden") for n in range(200))
    said = message(status_of(policy({}), types=(PODS, *types)), "ClustersReachable")
    assert "type000.example.com" in said
    assert "and 180 more" in said
    assert len(said) < 1000


def test_broken_exporters_are_named_without_the_policy() -> None:
    health = ExporterHealth("p/x", "AuthenticationFailed", "HTTP 401")
    status = status_of(policy(EXPORTING), types=(PODS,), exporters=(health,))
    assert message(status, "ExportersReady") == "x: AuthenticationFailed (HTTP 401)"


def test_link_rules_are_judged_with_their_counts() -> None:
    rule = DeclaredObject(
        resource=LINK_RULES, name="r", generation=3, spec=RULE, status={"conditions": PENDING}
    )
    verdict = compile_rule(rule)
    assert verdict.accepted, verdict.message
    health = Health(rules={"r": RuleStatistics(matched=3, resolved=2, unresolved=1)})
    status = link_rule_status(rule, verdict, health, in_force=True, now=NOW)
    assert short(status)["Ready"] == "True/Linking"
    assert (status["matchedObjects"], status["resolvedLinks"], status["unresolvedLinks"]) == (3, 2, 1)
    assert status["observedGeneration"] == 3
    assert kstatus(status, 3) == "Current"


# ---------------------------------------------------------------------------------------------- times and strangers


def times(status: Mapping[str, Any]) -> dict[str, str]:
    return {c["type"]: c["lastTransitionTime"] for c in status["conditions"]}


def test_the_transition_time_changes_with_the_status_only() -> None:
    stored = status_of(policy(EXPORTING), types=(PODS,), exporters=(ExporterHealth("p/x", "Unreachable"),))
    same = policy(EXPORTING, status=stored)
    still = status_of(same, types=(PODS,), exporters=(ExporterHealth("p/x", "Backpressure"),), now=LATER)
    assert times(still) == times(stored)
    well = times(status_of(same, types=(PODS,), exporters=(ExporterHealth("p/x"),), now=LATER))
    assert well["Ready"] == well["ExportersReady"] == LATER
    assert well["Accepted"] == NOW


def test_the_default_of_the_schema_is_not_taken_for_a_transition() -> None:
    status = status_of(policy({}), in_force=False, types=(PODS,))
    assert times(status)["Ready"] == NOW


def test_conditions_of_others_are_kept_as_they_are() -> None:
    theirs = {"type": "example.com/Reviewed", "status": "True", "reason": "ByAnn", "extra": 1}
    status = status_of(policy({}, status={"conditions": [theirs, *PENDING]}), types=(PODS,))
    assert theirs in status["conditions"]
    assert len([c for c in status["conditions"] if c["type"] == "Ready"]) == 1


def test_conditions_of_ours_that_are_over_go_away() -> None:
    stored = status_of(policy({"clusters": []}), types=(PODS,))
    assert "Stalled" in short(stored)
    assert "Stalled" not in short(status_of(policy({}, status=stored, generation=2), types=(PODS,)))


def test_long_messages_are_cut() -> None:
    (merged,) = merge_conditions(
        [], [Condition("Ready", "False", "Degraded", "x" * 99_999)], generation=1, now=NOW
    )
    assert len(merged["message"]) == 4096


def test_the_same_facts_give_nothing_to_write() -> None:
    stored = status_of(policy({}), types=(PODS,))
    again = status_of(policy({}, status=stored), types=(PODS,), now=LATER)
    assert not differs(again, stored)
    assert not differs_in_meaning(again, stored)


def test_counters_differ_without_meaning() -> None:
    stored = status_of(policy({}), types=(PODS,))
    more = status_of(policy({}, status=stored), types=(PODS, DEPLOYMENTS), last_audit=10**18, now=LATER)
    assert differs(more, stored)
    assert not differs_in_meaning(more, stored)
    forbidden = status_of(policy({}, status=stored), types=(PODS, SECRETS), now=LATER)
    assert differs_in_meaning(forbidden, stored)
