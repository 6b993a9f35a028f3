"""The status of policies for several clusters: each named with its reason, the others unharmed, and never pending for long."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.control.declared.secrets import MISSING, Known, Secret
from kubeweft.control.judging.health import ClusterHealth, ClusterReason, ExporterHealth, Health, TypeHealth
from kubeweft.control.judging.status import differs_in_meaning, policy_status

NOW = "2026-01-02T03:04:05Z"
PODS = TypeHealth("", "pods", "Watching")
NODES = TypeHealth("", "nodes", "Watching")
READ = Secret("Read", {"kubeconfig": b"canary", "a": b"canary"})
KNOWN: Known = {"eu": READ}
EU_AND_LOCAL = {"clusters": [{"name": "local"}, {"name": "eu", "kubeconfigSecretRef": {"name": "eu"}}]}


def policy(spec: Mapping[str, Any] = EU_AND_LOCAL, *, name: str = "p", **more: Any) -> DeclaredObject:
    return DeclaredObject(
        resource=POLICIES,
        name=name,
        uid=name,
        version="1",
        generation=1,
        spec={**EU_AND_LOCAL, **spec},
        **more,
    )


def cluster(
    name: str = "eu",
    *types: TypeHealth,
    unreachable: str = "",
    reason: ClusterReason = "Unreachable",
    uid: str = "",
    last_audit: int = 0,
) -> ClusterHealth:
    return ClusterHealth(
        name=name, types=types, unreachable=unreachable, reason=reason, uid=uid, last_audit=last_audit
    )


WELL = cluster("local", PODS)


def status_of(
    *clusters: ClusterHealth,
    declared: DeclaredObject | None = None,
    others: tuple[DeclaredObject, ...] = (),
    secrets: Known = KNOWN,
    exporters: tuple[ExporterHealth, ...] = (),
    in_force: bool = True,
    **installation: Any,
) -> dict[str, Any]:
    declared = declared or policy()
    verdict = compile_policies([declared, *others], Installation(**installation), secrets).verdicts[
        declared.name
    ]
    health = Health(clusters={c.name: c for c in clusters}, exporters=exporters)
    status = policy_status(declared, verdict, health, in_force=in_force, now=NOW)
    assert "canary" not in repr(status)
    return status


def short(status: Mapping[str, Any]) -> dict[str, str]:
    return {c["type"]: f"{c['status']}/{c['reason']}" for c in status["conditions"]}


def message(status: Mapping[str, Any], kind: str) -> str:
    return next(str(c["message"]) for c in status["conditions"] if c["type"] == kind)


def entries(status: Mapping[str, Any]) -> dict[str, str]:
    return {c["name"]: f"{c['ready']}/{c['reason']}" for c in status["clusters"]}


def test_all_well() -> None:
    status = status_of(WELL, cluster("eu", PODS, NODES, uid="12"))
    assert short(status) == {
        "Ready": "True/Tracing",
        "Accepted": "True/Accepted",
        "ResolvedRefs": "True/ResolvedRefs",
        "ClustersReachable": "True/Reachable",
        "ExportersReady": "True/NoExporters",
    }
    assert message(status, "Ready") == "resource types watched: 3 in 2 clusters"
    assert message(status, "ClustersReachable") == "all are reachable: local, eu"
    assert message(status, "ResolvedRefs").endswith("are there: eu")
    assert status["clustersSummary"] == "2/2 ready"
    assert status["tracedResources"] == 3
    assert status["clusters"][1] == {
        "name": "eu",
        "ready": True,
        "reason": "Reachable",
        "watchedResources": 2,
        "uid": "12",
    }


AWAY: list[tuple[str, ClusterHealth | None, Known, str, str, str]] = [
    (
        "down",
        cluster(unreachable="connection refused"),
        {"eu": READ},
        "Unreachable",
        "eu: connection refused",
        "True/ResolvedRefs",
    ),
    (
        "kubeconfig that cannot be used",
        cluster(unreachable="the kubeconfig must not use 'exec'", reason="InvalidKubeconfig"),
        {"eu": READ},
        "InvalidKubeconfig",
        "must not use 'exec'",
        "False/InvalidKubeconfig",
    ),
    (
        "no Secret",
        None,
        {"eu": MISSING},
        "SecretNotFound",
        "Secret kubeweft-system/eu",
        "False/SecretNotFound",
    ),
    (
        "no Secret any more, but still watched for a moment",
        cluster("eu", PODS),
        {"eu": MISSING},
        "SecretNotFound",
        "there is no such Secret",
        "False/SecretNotFound",
    ),
]


@pytest.mark.parametrize(
    ("eu", "secrets", "reason", "said", "references"), [c[1:] for c in AWAY], ids=[c[0] for c in AWAY]
)
def test_one_cluster_away_is_named_and_the_other_goes_on(
    eu: ClusterHealth | None, secrets: Known, reason: str, said: str, references: str
) -> None:
    status = status_of(WELL, *([eu] if eu else []), secrets=secrets)
    found = short(status)
    assert found["Ready"] == "False/Degraded"
    assert found["ClustersReachable"] == f"False/{reason}"
    assert found["ResolvedRefs"] == references
    assert "Stalled" not in found
    assert "Reconciling" not in found
    for kind in ("Ready", "ClustersReachable"):
        assert said in message(status, kind)
        assert "local" not in message(status, kind)
    assert entries(status) == {"local": "True/Reachable", "eu": f"False/{reason}"}
    assert status["clustersSummary"] == "1/2 ready"
    assert status["tracedResources"] == 1


@pytest.mark.parametrize("secrets", [{"eu": READ}, {}], ids=["not told", "Secret not read"])
@pytest.mark.parametrize("was_ready", [True, False])
def test_a_cluster_that_has_told_nothing_is_waited_for(secrets: Known, *, was_ready: bool) -> None:
    stored = status_of(WELL, cluster("eu", PODS)) if was_ready else {}
    status = status_of(WELL, declared=policy(status=stored), secrets=secrets)
    found = short(status)
    assert found["Ready"] == "Unknown/Pending"
    assert found["Reconciling"] == "True/Pending"
    assert found["ClustersReachable"] == "Unknown/Pending"
    assert message(status, "Ready").startswith("eu: ")
    assert entries(status) == {"local": "True/Reachable", "eu": "False/Pending"}


@pytest.mark.parametrize(
    "eu", [cluster("eu"), cluster("eu", PODS, TypeHealth("", "nodes", "Listing"))], ids=["nothing", "listing"]
)
def test_a_cluster_that_starts_is_waited_for_once(eu: ClusterHealth) -> None:
    assert short(status_of(WELL, eu))["Ready"] == "Unknown/Pending"
    ready = policy(status=status_of(WELL, cluster("eu", PODS)))
    assert short(status_of(WELL, eu, declared=ready))["Ready"] == "True/Tracing"


def test_a_type_that_only_one_cluster_serves_is_enough() -> None:
    spec = {"match": {"resources": [{"apiGroups": ["example.com"], "resources": ["widgets"]}]}}
    widgets = TypeHealth("example.com", "widgets", "Watching")
    assert (
        short(status_of(WELL, cluster("eu", PODS, widgets), declared=policy(spec)))["Ready"] == "True/Tracing"
    )
    nowhere = status_of(WELL, cluster("eu", PODS), declared=policy(spec))
    assert message(nowhere, "Ready") == "no resource type that the policy selects is served yet"


def test_what_one_cluster_forbids_is_named_with_the_cluster() -> None:
    status = status_of(WELL, cluster("eu", PODS, TypeHealth("", "secrets", "Forbidden")))
    assert short(status)["Ready"] == "True/Tracing"
    assert short(status)["ClustersReachable"] == "True/Forbidden"
    assert message(status, "ClustersReachable") == (
        "eu: RBAC does not allow to list and watch secrets; the others are watched"
    )
    assert entries(status) == {"local": "True/Reachable", "eu": "True/Forbidden"}


def test_a_cluster_that_forbids_everything_stalls() -> None:
    status = status_of(WELL, cluster("eu", TypeHealth("", "pods", "Forbidden")))
    assert short(status)["Ready"] == "False/Degraded"
    assert short(status)["Stalled"] == "True/Forbidden"
    assert message(status, "Ready").startswith("eu: nothing can be watched")
    assert status["clustersSummary"] == "1/2 ready"


@pytest.mark.parametrize(
    "match",
    [
        {"namespaceSelector": {"matchLabels": {"a": "b"}}},
        {"matchConditions": [{"name": "n", "expression": "true"}]},
    ],
)
def test_namespaces_that_are_forbidden_matter_to_those_who_look_at_them(match: dict[str, Any]) -> None:
    pods = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
    namespaces = TypeHealth("", "namespaces", "Forbidden")
    eu = cluster("eu", PODS, namespaces)
    assert (
        entries(status_of(WELL, eu, declared=policy({"match": {**pods, **match}})))["eu"] == "True/Forbidden"
    )
    assert entries(status_of(WELL, eu, declared=policy({"match": pods})))["eu"] == "True/Reachable"


def test_two_names_for_one_cluster_are_told() -> None:
    status = status_of(cluster("local", PODS, uid="12"), cluster("eu", PODS, uid="12"))
    assert "local and eu are one and the same cluster" in message(status, "ClustersReachable")


def test_the_cluster_is_called_as_the_policy_calls_it() -> None:
    status = status_of(cluster("home", PODS), cluster("eu", PODS), cluster="home")
    assert entries(status) == {"local": "True/Reachable", "eu": "True/Reachable"}


def test_audit_times_are_told_for_each_cluster() -> None:
    second = 1_767_323_045_000_000_000
    status = status_of(cluster("local", PODS, last_audit=second), cluster("eu", PODS))
    assert status["clusters"][0]["lastAuditTime"] == NOW
    assert "lastAuditTime" not in status["clusters"][1]
    silent = policy({"sources": {"audit": {"mode": "Disabled"}}})
    status = status_of(cluster("local", PODS, last_audit=second), cluster("eu", PODS), declared=silent)
    assert "lastAuditTime" not in status["clusters"][0]


def test_many_broken_clusters_are_counted() -> None:
    names = [f"c{n:02}" for n in range(64)]
    spec = {"clusters": [{"name": n, "kubeconfigSecretRef": {"name": "eu"}} for n in names]}
    broken = [cluster(name, unreachable="x" * 300) for name in names]
    status = status_of(*broken, declared=policy(spec))
    assert status["clustersSummary"] == "0/64 ready"
    assert "and 54 more" in message(status, "ClustersReachable")
    assert len(message(status, "Ready")) <= 4096


# ------------------------------------------------------------------------------------------- conflicts and references


def test_a_conflict_is_shown_without_harm() -> None:
    other = policy(
        {"clusters": [{"name": "eu", "kubeconfigSecretRef": {"name": "other"}}], "priority": 1}, name="winner"
    )
    status = status_of(WELL, cluster("eu", PODS), others=(other,), secrets={"eu": READ, "other": READ})
    found = short(status)
    assert (found["Ready"], found["Accepted"]) == ("True/Conflicted", "True/Conflicted")
    assert "policy 'winner'" in message(status, "Accepted")
    assert "policy 'winner'" in message(status, "Ready")


def test_notes_stand_where_the_policy_is_accepted() -> None:
    spec = {
        "match": {"matchConditions": [{"name": "n", "expression": "true"}]},
        "sources": {"objects": {"mode": "Metadata"}},
        "sampling": {"percent": 5},
    }
    status = status_of(WELL, cluster("eu", PODS), declared=policy(spec), audit_inlets=frozenset())
    assert short(status)["Accepted"] == "True/Accepted"
    for said in ("metadata of objects only", "no audit inlet Webhook", "the embedded store keeps all"):
        assert said in message(status, "Accepted")


def test_a_log_file_is_of_the_local_cluster() -> None:
    spec = {"sources": {"audit": {"mode": "LogFile"}}}
    status = status_of(WELL, cluster("eu", PODS), declared=policy(spec))
    assert "no request will come from eu" in message(status, "Accepted")
    nothing = status_of(
        WELL, cluster("eu", PODS), declared=policy({"sources": {"audit": {"mode": "Disabled"}}})
    )
    assert message(nothing, "Accepted") == "the policy is understood and applied"


def test_an_exporter_without_its_secret_degrades_and_the_rest_works() -> None:
    exporters = [
        {"name": "x", "otlp": {"endpoint": "h:1", "headersSecretRef": {"name": "gone"}}},
        {"name": "y", "otlp": {"endpoint": "h:1"}},
    ]
    status = status_of(
        WELL,
        cluster("eu", PODS),
        declared=policy({"exporters": exporters}),
        secrets={"eu": READ, "gone": MISSING},
        exporters=(ExporterHealth("p/y", dropped=7),),
    )
    found = short(status)
    assert found["Ready"] == "False/Degraded"
    assert found["ResolvedRefs"] == "False/SecretNotFound"
    assert found["ExportersReady"] == "False/SecretNotFound"
    assert "Secret kubeweft-system/gone" in message(status, "ResolvedRefs")
    assert status["exporters"] == [
        {"name": "x", "ready": False, "reason": "SecretNotFound", "dropped": 0},
        {"name": "y", "ready": True, "reason": "Exporting", "dropped": 7},
    ]
    assert status["clustersSummary"] == "2/2 ready"


def test_an_exporter_whose_secret_is_about_to_be_read_is_waited_for() -> None:
    exporters = [{"name": "x", "otlp": {"endpoint": "h:1", "headersSecretRef": {"name": "later"}}}]
    status = status_of(WELL, cluster("eu", PODS), declared=policy({"exporters": exporters}))
    found = short(status)
    assert (found["Ready"], found["ResolvedRefs"]) == ("Unknown/Pending", "Unknown/Pending")
    assert (found["ExportersReady"], found["Reconciling"]) == ("Unknown/Pending", "True/Pending")


def test_a_missing_audit_token_degrades_and_the_cluster_is_traced() -> None:
    reference = {"name": "eu", "kubeconfigSecretRef": {"name": "eu"}, "auditTokenSecretRef": {"name": "gone"}}
    spec = {"clusters": [{"name": "local"}, reference]}
    status = status_of(
        WELL, cluster("eu", PODS), declared=policy(spec), secrets={"eu": READ, "gone": MISSING}
    )
    assert short(status)["Ready"] == "False/Degraded"
    assert short(status)["ClustersReachable"] == "True/Reachable"
    assert message(status, "ResolvedRefs").endswith("it goes on without")
    assert status["clustersSummary"] == "2/2 ready"


def test_dropped_spans_are_told_and_wait_like_other_numbers() -> None:
    declared = policy({"exporters": [{"name": "x", "otlp": {"endpoint": "h:1"}}]})
    before = status_of(WELL, cluster("eu", PODS), declared=declared)
    after = status_of(
        WELL, cluster("eu", PODS), declared=declared, exporters=(ExporterHealth("p/x", dropped=12),)
    )
    assert "dropped by sampling.maxSpansPerSecond: x: 12" in message(after, "ExportersReady")
    assert not differs_in_meaning(after, before)


@pytest.mark.parametrize(
    ("spec", "reason"), [({"suspend": True}, "Suspended"), ({"retention": {"maxAge": "1s"}}, "InvalidSpec")]
)
def test_a_policy_at_rest_names_its_parts(spec: dict[str, Any], reason: str) -> None:
    declared = policy({**spec, "exporters": [{"name": "x", "otlp": {"endpoint": "h:1"}}]})
    status = status_of(WELL, cluster("eu", PODS), declared=declared)
    assert entries(status) == {"local": f"False/{reason}", "eu": f"False/{reason}"}
    assert status["exporters"] == [{"name": "x", "ready": False, "reason": reason, "dropped": 0}]
    assert status["clustersSummary"] == "0/2 ready"
    assert status["tracedResources"] == 0
