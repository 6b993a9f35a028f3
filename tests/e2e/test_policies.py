"""Our custom resources on a real API server: what it accepts and refuses, and what the status says, end to end."""

import dataclasses
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pykube
import pytest
import yaml

from control_composition import ControlRoom
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from foreign_objects import API_SERVICES, dead_api
from kubeweft.control.judging.health import ClusterHealth, Health, TypeHealth
from kubeweft.links.statistics import RuleStatistics

ROOT = Path(__file__).parents[2]
POLICIES = "/apis/kubeweft.io/v1alpha1/tracingpolicies"
RULES = "/apis/kubeweft.io/v1alpha1/linkrules"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
FOREIGN_FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"
PODS = TypeHealth("", "pods", "Watching")

Object = dict[str, Any]


class Kubernetes:
    """The few requests these tests make, by path."""

    def __init__(self, api: pykube.HTTPClient) -> None:
        self._session, self._url = api.session, api.url

    def apply(self, path: str, document: Object, *, dry_run: bool = False, manager: str = "test") -> Object:
        """Server-side apply; an answer that is no success comes back as the ``Status`` it is."""
        answer = self._session.patch(
            f"{self._url}{path}/{document['metadata']['name']}",
            params={"fieldManager": manager, "force": "true"} | ({"dryRun": "All"} if dry_run else {}),
            headers={"Content-Type": "application/apply-patch+yaml"},
            data=json.dumps(document),
        )
        body: Object = answer.json()
        return body

    def get(self, path: str, accept: str = "application/json") -> Object:
        """An object, or the ``Status``."""
        answer = self._session.get(self._url + path, headers={"Accept": accept})
        if "json" not in answer.headers["Content-Type"]:  # a path that is not served at all
            return {"kind": "Status", "code": answer.status_code}
        body: Object = answer.json()
        return body

    def delete(self, path: str) -> None:
        """Delete, whether it exists or not."""
        self._session.delete(self._url + path)

    def merge(self, path: str, patch: Object) -> Object:
        """A JSON merge patch."""
        headers = {"Content-Type": "application/merge-patch+json"}
        body: Object = self._session.patch(self._url + path, headers=headers, data=json.dumps(patch)).json()
        return body

    def is_gone(self, path: str) -> bool:
        """Whether there is nothing (any more)."""
        return self.get(path).get("code") == 404


def load(path: str) -> list[Object]:
    return [document for document in yaml.safe_load_all((ROOT / path).read_text()) if document]


def policy(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "TracingPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def link_rule(name: str, target: Object | None = None, **spec: Any) -> Object:
    node = {"resource": "nodes"}
    target = target or {
        "name": "node",
        "type": "FieldPath",
        "resource": node,
        "fieldPath": {"name": "spec.nodeName"},
    }
    source = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
    return {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "LinkRule",
        "metadata": {"name": name},
        "spec": {"source": source, "targets": [target], **spec},
    }


def install_crds(kubernetes: Kubernetes) -> None:
    for plural in ("tracingpolicies", "linkrules"):
        (document,) = load(f"crds/{plural}.yaml")
        applied = kubernetes.apply(CRDS, document)
        assert applied["kind"] == "CustomResourceDefinition", applied
        path = f"/apis/kubeweft.io/v1alpha1/{plural}"
        wait_until(lambda: kubernetes.get(path)["kind"].endswith("List"), f"{path} to be served")  # noqa: B023


def conditions(declared: Object) -> dict[str, Object]:
    return {c["type"]: c for c in (declared.get("status") or {}).get("conditions") or []}


def is_reported(declared: Object) -> bool:
    """Whether somebody has said something about the newest spec."""
    return bool(
        (declared.get("status") or {}).get("observedGeneration") == declared["metadata"]["generation"]
    )


def is_settled(declared: Object) -> bool:
    """Whether nothing more is going to be said while nothing changes."""
    return is_reported(declared) and conditions(declared)["Ready"]["reason"] != "Pending"


@pytest.fixture
def kubernetes(api: pykube.HTTPClient) -> Kubernetes:
    kubernetes = Kubernetes(api)
    install_crds(kubernetes)
    return kubernetes


@pytest.fixture
def name(kubernetes: Kubernetes) -> Iterator[str]:
    """A name for an object of either type; both are deleted after the test."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    for path in (POLICIES, RULES):
        kubernetes.delete(f"{path}/{name}")


@pytest.fixture
def room(kubernetes: Kubernetes, kubeconfig: Path) -> Iterator[ControlRoom]:
    with ControlRoom(kubeconfig) as room:
        room.health = Health(clusters={"local": ClusterHealth(name="local", uid="1234", types=(PODS,))})
        yield room


# ---------------------------------------------------------------------------------------------------- the schemas


@pytest.mark.parametrize("example", sorted((ROOT / "examples/policies").glob("*.yaml")), ids=lambda p: p.stem)
def test_examples_are_accepted(kubernetes: Kubernetes, example: Path) -> None:
    (document,) = load(str(example))
    applied = kubernetes.apply(POLICIES, document, dry_run=True)
    assert applied["kind"] == "TracingPolicy", applied


def test_an_empty_spec_is_a_policy_and_is_pending(kubernetes: Kubernetes, name: str) -> None:
    applied = kubernetes.apply(POLICIES, policy(name))
    assert conditions(applied)["Ready"]["reason"] == "Pending"
    assert applied["spec"]["exporters"] == []
    assert "window" not in applied["spec"]
    assert "maxSpansPerSecond" not in applied["spec"]["sampling"]
    assert "retention" not in applied["spec"]


def test_the_keys_of_secrets_have_defaults(kubernetes: Kubernetes, name: str) -> None:
    clusters = [{"name": "eu", "kubeconfigSecretRef": {"name": "k"}, "auditTokenSecretRef": {"name": "t"}}]
    otlp = {"endpoint": "h:1", "tls": {"caSecretRef": {"name": "c"}, "certSecretRef": {"name": "m"}}}
    document = policy(name, clusters=clusters, exporters=[{"name": "x", "otlp": otlp}])
    spec = kubernetes.apply(POLICIES, document, dry_run=True)["spec"]
    assert spec["clusters"][0]["kubeconfigSecretRef"] == {"name": "k", "key": "kubeconfig"}
    assert spec["clusters"][0]["auditTokenSecretRef"] == {"name": "t", "key": "token"}
    assert spec["exporters"][0]["otlp"]["tls"]["caSecretRef"] == {"name": "c", "key": "ca.crt"}
    assert spec["exporters"][0]["otlp"]["tls"]["certSecretRef"] == {"name": "m"}


@pytest.mark.parametrize("size", ["10Gi", "1.5Ti", "500M", "1048576", 1048576])
def test_sizes_are_written_as_kubernetes_writes_them(
    kubernetes: Kubernetes, name: str, size: str | int
) -> None:
    applied = kubernetes.apply(
        POLICIES, policy(name, retention={"maxAge": "720h", "maxBytes": size}), dry_run=True
    )
    assert applied["kind"] == "TracingPolicy", applied
    assert applied["spec"]["retention"]["maxBytes"] == size


REFUSED_POLICIES: list[tuple[Object, str]] = [
    ({"sampling": {"percent": 101}}, "spec.sampling.percent"),
    ({"clusters": []}, "'clusters' must not be empty when given"),
    ({"clusters": [{"name": "a"}, {"name": "b"}]}, "only one cluster may be without 'kubeconfigSecretRef'"),
    ({"clusters": [{"name": "UPPER"}]}, "spec.clusters[0].name"),
    (
        {
            "sources": {
                "objects": {"mode": "Disabled"},
                "audit": {"mode": "Disabled"},
                "events": {"mode": "Disabled"},
            }
        },
        "at least one source must be enabled",
    ),
    ({"exporters": [{"name": "x"}]}, "'otlp' must be set when 'type' is OTLP"),
    ({"exporters": [{"name": "x", "otlp": {}}]}, "otlp.endpoint"),
    ({"diff": {"ignorePaths": [".spec"]}}, "spec.diff.ignorePaths"),
    ({"redaction": {"secretData": "Keep"}}, "Unsupported value"),
    ({"match": {"resources": [{"apiGroups": ["apps"]}]}}, "spec.match.resources[0].resources"),
    (
        {"match": {"resources": [{"apiGroups": [""], "resources": ["pods/status"]}]}},
        "spec.match.resources[0]",
    ),
    ({"match": {"resources": [{"apiGroups": ["*.io"], "resources": ["*"]}]}}, "spec.match.resources[0]"),
    ({"clusters": [{"name": "local", "context": "x"}]}, "'context' chooses within a kubeconfig"),
    (
        {"clusters": [{"name": "local", "auditTokenSecretRef": {"name": "t"}}]},
        "'auditTokenSecretRef' is for remote clusters",
    ),
    (
        {"clusters": [{"name": "eu", "kubeconfigSecretRef": {"name": "k", "namespace": "n"}}]},
        "field not declared in schema",
    ),
    (
        {"match": {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
        "'values' must be set for In and NotIn",
    ),
    (
        {
            "match": {
                "namespaceSelector": {
                    "matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]
                }
            }
        },
        "'values' must be set for In and NotIn, and only for them",
    ),
    (
        {
            "match": {"matchConditions": [{"name": "n", "expression": "true"}]},
            "sources": {"objects": {"mode": "Disabled"}},
        },
        "sources.objects.mode must be Full or Metadata",
    ),
    (
        {
            "exporters": [
                {
                    "name": "x",
                    "otlp": {"endpoint": "h:1", "tls": {"mode": "Disabled", "caSecretRef": {"name": "c"}}},
                }
            ]
        },
        "certificates are for TLS",
    ),
    ({"retention": {"maxAge": "30d"}}, "spec.retention.maxAge"),
    ({"retention": {"maxBytes": "10Xi"}}, "spec.retention.maxBytes"),
    ({"retention": {"maxBytes": 1000}}, "spec.retention.maxBytes"),
    ({"retention": {"history": "1h"}}, "field not declared in schema"),
    ({"window": {"maxDuration": "30m"}}, "field not declared in schema"),
    ({"typo": 1}, "field not declared in schema"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED_POLICIES)
def test_bad_policies_are_refused_with_the_reason(
    kubernetes: Kubernetes, name: str, spec: Object, message: str
) -> None:
    answer = kubernetes.apply(POLICIES, policy(name, **spec))
    assert answer["kind"] == "Status", answer
    assert message in answer["message"]


REFUSED_RULES: list[tuple[Object, str]] = [
    ({"targets": []}, "spec.targets"),
    (
        {"targets": [{"name": "t", "type": "CEL", "resource": {"resource": "nodes"}}]},
        "'cel' must be set when 'type' is CEL",
    ),
    ({"targets": [{"name": "t", "type": "Label", "label": {"key": "a"}}]}, "'resource' must be set"),
    ({"link": {"grouping": "SameTrace"}}, "'role' must be Parent or Child when 'grouping' is SameTrace"),
    ({"cluster": {"mode": "Named"}}, "'name' must be set when 'mode' is Named"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED_RULES)
def test_bad_rules_are_refused_with_the_reason(
    kubernetes: Kubernetes, name: str, spec: Object, message: str
) -> None:
    answer = kubernetes.apply(RULES, link_rule(name, **spec))
    assert answer["kind"] == "Status", answer
    assert message in answer["message"]


RICH: Object = {
    "clusters": [{"name": "local", "labels": {"env": "dev"}}],
    "match": {
        "resources": [{"apiGroups": [""], "resources": ["*"]}],
        "namespaceSelector": {"matchLabels": {"a": "b"}},
        "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        "matchConditions": [{"name": "n", "expression": "true"}],
    },
    "sampling": {"percent": 10},
    "retention": {"maxAge": "24h", "maxBytes": "10Gi"},
    "exporters": [
        {"name": "x", "otlp": {"endpoint": "jaeger:4317", "tls": {"caSecretRef": {"name": "no-such-secret"}}}}
    ],
}


@pytest.mark.parametrize(
    "spec", [{}, {"exporters": [{"name": "x", "otlp": {"endpoint": "jaeger:4317"}}]}, RICH]
)
def test_applying_again_changes_nothing(
    kubernetes: Kubernetes, room: ControlRoom, name: str, spec: Object
) -> None:
    """A policy that has a status: before that, the API server once stores the status that its schema defaults to."""
    document = policy(name, **spec)
    first = kubernetes.apply(POLICIES, document)
    wait_until(lambda: is_settled(kubernetes.get(f"{POLICIES}/{name}")), "the status")
    before = kubernetes.get(f"{POLICIES}/{name}")["metadata"]
    again = kubernetes.apply(POLICIES, document)
    assert again["kind"] == "TracingPolicy", again
    after = again["metadata"]
    assert after["resourceVersion"] == before["resourceVersion"]
    assert after["generation"] == first["metadata"]["generation"] == 1


def test_two_appliers_share_a_list(kubernetes: Kubernetes, name: str) -> None:
    """As a list by name is merged by name, a platform team may add its exporter to an application team's policy."""
    ours, theirs = ({"name": n, "otlp": {"endpoint": "jaeger:4317"}} for n in ("ours", "theirs"))
    kubernetes.apply(POLICIES, policy(name, exporters=[ours]))
    both = kubernetes.apply(POLICIES, policy(name, exporters=[theirs]), manager="another")
    assert [e["name"] for e in both["spec"]["exporters"]] == ["ours", "theirs"]


# ----------------------------------------------------------------------------------------------------- the status


def test_a_policy_takes_effect_and_says_so(kubernetes: Kubernetes, room: ControlRoom, name: str) -> None:
    kubernetes.apply(POLICIES, policy(name))
    path = f"{POLICIES}/{name}"
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status of a new policy")
    declared = kubernetes.get(path)
    assert conditions(declared)["Ready"]["status"] == "True"
    assert conditions(declared)["Ready"]["reason"] == "Tracing"
    assert {c["observedGeneration"] for c in conditions(declared).values()} == {1}
    assert "Stalled" not in conditions(declared)
    assert declared["status"]["clusters"][0]["uid"] == "1234"
    assert name in room.policies

    kubernetes.apply(POLICIES, policy(name, match={"namespaces": ["shop"]}))
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status of a changed policy")
    scope = next(scope for scope in room.plans[-1].scopes if scope.policy == name)
    assert scope.namespaces == {"shop"}

    kubernetes.delete(path)
    wait_until(lambda: name not in room.policies, "the policy to be out of force")


def test_what_cannot_be_applied_is_refused_in_the_status(
    kubernetes: Kubernetes, room: ControlRoom, name: str
) -> None:
    """The schema cannot know what the local cluster is called, nor what compiles."""
    conditions_of_match = [{"name": "n", "expression": "object.metadata.name =="}]
    kubernetes.apply(POLICIES, policy(name, match={"matchConditions": conditions_of_match}))
    wait_until(lambda: is_reported(kubernetes.get(f"{POLICIES}/{name}")), "the refusal")
    found = conditions(kubernetes.get(f"{POLICIES}/{name}"))
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "InvalidSpec")
    assert (found["Accepted"]["status"], found["Accepted"]["reason"]) == ("False", "InvalidExpression")
    assert found["Stalled"]["status"] == "True"
    assert "spec.match.matchConditions[n].expression" in found["Ready"]["message"]
    assert name not in room.policies


def test_a_link_rule_is_in_force_and_says_so(kubernetes: Kubernetes, room: ControlRoom, name: str) -> None:
    applied = kubernetes.apply(RULES, link_rule(name))
    assert applied["kind"] == "LinkRule", applied
    path = f"{RULES}/{name}"
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status of the rule")
    found = conditions(kubernetes.get(path))
    assert {kind: (c["status"], c["reason"]) for kind, c in found.items()} == {
        "Ready": ("True", "Linking"),
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    assert name in [rule.name for rule in room.plans[-1].rules]
    room.health = dataclasses.replace(
        room.health, rules={name: RuleStatistics(matched=3, errors=1, first_error="why")}
    )
    wait_until(
        lambda: "why" in conditions(kubernetes.get(path))["Ready"]["message"], "the first error of the rule"
    )
    assert kubernetes.get(path)["status"]["matchedObjects"] == 3
    kubernetes.delete(path)
    wait_until(
        lambda: name not in [rule.name for rule in room.plans[-1].rules], "the rule to be out of force"
    )


# ----------------------------------------------------------------------------------------------------------- Secrets

SECRETS = "/api/v1/namespaces/kubeweft-system/secrets"


@pytest.fixture
def secret(kubernetes: Kubernetes, name: str) -> Iterator[Callable[..., None]]:
    """Writes the Secret of the test's name in the operator's namespace; it is deleted after the test."""
    (namespace,) = load("config/default/namespace.yaml")
    kubernetes.apply("/api/v1/namespaces", namespace)

    def write(**content: str) -> None:
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}
        assert kubernetes.apply(SECRETS, document)["kind"] == "Secret"

    yield write
    kubernetes.delete(f"{SECRETS}/{name}")


def test_headers_follow_their_secret(
    kubernetes: Kubernetes, room: ControlRoom, name: str, secret: Callable[..., None]
) -> None:
    def headers() -> list[tuple[tuple[str, str], ...]]:
        exporters = [e for plan in room.plans[-1:] for e in plan.exporters]
        return [e.headers for e in exporters if e.name == f"{name}/x"]

    otlp = {"endpoint": "jaeger:4317", "headersSecretRef": {"name": name}}
    kubernetes.apply(POLICIES, policy(name, exporters=[{"name": "x", "otlp": otlp}]))
    path = f"{POLICIES}/{name}"

    def reason(kind: str) -> Any:
        return conditions(kubernetes.get(path)).get(kind, {}).get("reason")

    wait_until(lambda: reason("ResolvedRefs") == "SecretNotFound", "the missing Secret to be told")
    found = conditions(kubernetes.get(path))
    assert f"Secret kubeweft-system/{name}" in found["ResolvedRefs"]["message"]
    assert found["Ready"]["status"] == "False"
    assert "Stalled" not in found
    assert name in room.policies
    assert headers() == []

    secret(authorization="Bearer canary-1")
    wait_until(lambda: headers() == [(("authorization", "Bearer canary-1"),)], "the headers")
    wait_until(lambda: reason("ResolvedRefs") == "ResolvedRefs", "the Secret to be found")
    secret(authorization="Bearer canary-2")
    wait_until(lambda: headers() == [(("authorization", "Bearer canary-2"),)], "the changed headers")
    assert "canary" not in json.dumps(kubernetes.get(path))
    kubernetes.delete(f"{SECRETS}/{name}")
    wait_until(lambda: headers() == [], "the exporter to be left out")


def test_clusters_are_joined_by_secret_and_told_each(
    kubernetes: Kubernetes, room: ControlRoom, name: str, secret: Callable[..., None]
) -> None:
    eu, us = f"eu-{name}", f"us-{name}"
    clusters = [
        {"name": "local"},
        {"name": eu, "kubeconfigSecretRef": {"name": name}, "auditTokenSecretRef": {"name": name}},
        {"name": us, "kubeconfigSecretRef": {"name": name, "key": "us"}},
    ]
    secret(kubeconfig="canary", token="canary-token")
    kubernetes.apply(POLICIES, policy(name, clusters=clusters))
    path = f"{POLICIES}/{name}"
    wait_until(
        lambda: [c.name for plan in room.plans[-1:] for c in plan.clusters] == [eu],
        "the cluster to be joined",
    )
    assert room.plans[-1].clusters[0].audit_token == "canary-token"
    room.health = Health(
        clusters={
            **room.health.clusters,
            eu: ClusterHealth(name=eu, unreachable="no answer"),
            us: ClusterHealth(name=us, types=(PODS,)),
        }
    )

    def states() -> dict[str, Any]:
        status = kubernetes.get(path).get("status") or {}
        return {c["name"]: (c["ready"], c["reason"]) for c in status.get("clusters", ())}

    wait_until(
        lambda: (
            states()
            == {"local": (True, "Reachable"), eu: (False, "Unreachable"), us: (False, "SecretNotFound")}
        ),
        "the state of each cluster",
    )
    assert kubernetes.get(path)["status"]["clustersSummary"] == "1/3 ready"
    secret(kubeconfig="canary", token="canary-token", us="canary")
    room.health = Health(clusters={**room.health.clusters, eu: ClusterHealth(name=eu, types=(PODS,))})
    wait_until(lambda: kubernetes.get(path)["status"]["clustersSummary"] == "3/3 ready", "all clusters")
    assert conditions(kubernetes.get(path))["Ready"]["status"] == "True"
    assert "canary" not in json.dumps(kubernetes.get(path))


def test_the_policy_that_loses_is_told_who_wins(kubernetes: Kubernetes, room: ControlRoom, name: str) -> None:
    eu = f"eu-{name}"
    other = f"{name}-other"

    def naming(secret: str) -> list[Object]:
        return [{"name": "local"}, {"name": eu, "kubeconfigSecretRef": {"name": secret}}]

    kubernetes.apply(POLICIES, policy(name, clusters=naming("one")))
    kubernetes.apply(POLICIES, policy(other, clusters=naming("two"), priority=1))
    path = f"{POLICIES}/{name}"
    try:
        wait_until(
            lambda: conditions(kubernetes.get(path)).get("Accepted", {}).get("reason") == "Conflicted",
            "the conflict to be told",
        )
        assert f"policy {other!r}" in conditions(kubernetes.get(path))["Accepted"]["message"]
    finally:
        kubernetes.delete(f"{POLICIES}/{other}")
    wait_until(
        lambda: conditions(kubernetes.get(path))["Accepted"]["reason"] == "Accepted",
        "the conflict to be over",
    )


def test_the_columns_of_kubectl_get(kubernetes: Kubernetes, room: ControlRoom, name: str) -> None:
    kubernetes.apply(POLICIES, policy(name))
    wait_until(lambda: is_reported(kubernetes.get(f"{POLICIES}/{name}")), "the status")
    table = kubernetes.get(f"{POLICIES}/{name}", TABLE)
    shown = [c["name"] for c in table["columnDefinitions"] if not c["priority"]]
    assert shown == ["Name", "Ready", "Reason", "Clusters", "Age"]
    cells = dict(zip((c["name"] for c in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    assert (cells["Name"], cells["Ready"], cells["Reason"], cells["Clusters"]) == (
        name,
        "True",
        "Tracing",
        "1/1 ready",
    )


def test_a_status_that_is_right_is_not_written_again(
    kubernetes: Kubernetes, room: ControlRoom, name: str
) -> None:
    kubernetes.apply(POLICIES, policy(name))
    path = f"{POLICIES}/{name}"
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status")
    version = kubernetes.get(path)["metadata"]["resourceVersion"]
    other = f"{name}-other"
    kubernetes.apply(POLICIES, policy(other))
    try:
        wait_until(lambda: is_reported(kubernetes.get(f"{POLICIES}/{other}")), "another round of reporting")
    finally:
        kubernetes.delete(f"{POLICIES}/{other}")
    wait_until(lambda: other not in room.policies, "yet another round")
    assert kubernetes.get(path)["metadata"]["resourceVersion"] == version


def test_a_condition_of_somebody_else_is_kept(kubernetes: Kubernetes, room: ControlRoom, name: str) -> None:
    kubernetes.apply(POLICIES, policy(name))
    path = f"{POLICIES}/{name}"
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status")
    theirs = {
        "type": "example.com/Reviewed",
        "status": "True",
        "reason": "ByAnn",
        "message": "fine",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    stored = list(conditions(kubernetes.get(path)).values())
    kubernetes.merge(f"{path}/status", {"status": {"conditions": [*stored, theirs]}})
    kubernetes.apply(POLICIES, policy(name, suspend=True))
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status of the suspended policy")
    found = conditions(kubernetes.get(path))
    assert found["Ready"]["reason"] == "Suspended"
    assert found["example.com/Reviewed"] == theirs


def test_nothing_is_left_on_objects_that_would_hinder_their_deletion(
    kubernetes: Kubernetes, room: ControlRoom, name: str
) -> None:
    document = policy(name)
    document["metadata"]["finalizers"] = [FOREIGN_FINALIZER]
    kubernetes.apply(POLICIES, document)
    path = f"{POLICIES}/{name}"
    wait_until(lambda: is_reported(kubernetes.get(path)), "the status")
    metadata = kubernetes.get(path)["metadata"]
    assert metadata["finalizers"] == [FOREIGN_FINALIZER]
    assert "annotations" not in metadata
    kubernetes.merge(path, {"metadata": {"finalizers": None}})


def test_a_policy_can_be_deleted_while_nothing_runs(
    kubernetes: Kubernetes, kubeconfig: Path, name: str
) -> None:
    kubernetes.apply(POLICIES, policy(name))
    path = f"{POLICIES}/{name}"
    with ControlRoom(kubeconfig):
        wait_until(lambda: is_reported(kubernetes.get(path)), "the status")
    kubernetes.delete(path)
    assert kubernetes.is_gone(path)


# ------------------------------------------------------------------------------------------------- the permissions


RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def granted(kubernetes: Kubernetes, control_plane: ControlPlane, name: str) -> Iterator[Callable[..., Path]]:
    """Applies the roles of these files in config/rbac, binds them to a new user, and gives its kubeconfig."""
    bound: list[str] = []

    def grant(*files: str) -> Path:
        for file in files:
            (role,) = load(f"config/rbac/{file}.yaml")
            assert kubernetes.apply(f"{RBAC}/clusterroles", role)["kind"] == "ClusterRole"
            binding = f"{name}-{file}"
            document = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": binding},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": role["metadata"]["name"],
                },
                "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
            }
            assert kubernetes.apply(f"{RBAC}/clusterrolebindings", document)["kind"] == "ClusterRoleBinding"
            bound.append(binding)
        return control_plane.kubeconfig_for(name)

    yield grant
    for binding in bound:
        kubernetes.delete(f"{RBAC}/clusterrolebindings/{binding}")


def test_the_shipped_permissions_suffice_and_only_our_status_is_written(
    kubernetes: Kubernetes, control_plane: ControlPlane, granted: Callable[..., Path], name: str
) -> None:
    path = f"{POLICIES}/{name}"
    with ControlRoom(granted("policies", "operator")) as room:
        kubernetes.apply(POLICIES, policy(name))
        wait_until(lambda: is_reported(kubernetes.get(path)), "the status")
        wait_until(lambda: room.rediscoveries, "CRDs and APIServices to be seen")
    assert room.operator_failure == ""
    written = {
        (event["verb"], event["requestURI"].partition("?")[0])
        for event in map(json.loads, control_plane.audit_log.read_text().splitlines())
        if event["user"]["username"] == name and event["verb"] not in ("get", "list", "watch")
    }
    assert written == {("patch", f"{path}/status")}


def test_the_watcher_may_read_every_built_in_type_but_secrets(
    kubernetes: Kubernetes, granted: Callable[..., Path]
) -> None:
    kubeconfig = granted("watcher", "watcher-builtin")
    role = f"{RBAC}/clusterroles/kubeweft-watcher"
    wait_until(lambda: kubernetes.get(role).get("rules"), "the roles to be aggregated")
    client = pykube.HTTPClient(pykube.KubeConfig.from_file(str(kubeconfig)))
    reader = Kubernetes(client)
    wait_until(lambda: reader.get("/api/v1/pods")["kind"] == "PodList", "the rights to hold")
    lists = {path: reader.get(f"{path}?limit=1") for path in listable(kubernetes)}
    assert len(lists) > 50
    assert {path for path, found in lists.items() if found.get("code") == 403} == {"/api/v1/secrets"}
    client.session.close()


def listable(kubernetes: Kubernetes) -> Iterator[str]:
    """Where the objects of each type that Kubernetes itself defines are listed."""
    groups = kubernetes.get("/apis")["groups"]
    versions = ["/api/v1", *(f"/apis/{g['preferredVersion']['groupVersion']}" for g in groups)]
    for version in versions:
        group = version.split("/")[2]
        if "." in group and not group.endswith(".k8s.io"):
            continue  # defined by a CRD of another test
        for resource in kubernetes.get(version)["resources"]:
            if {"list", "watch"} <= set(resource["verbs"]):
                yield f"{version}/{resource['name']}"


def test_the_default_layout_is_accepted(kubernetes: Kubernetes) -> None:
    paths = {
        "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "ServiceAccount": "/api/v1/namespaces/kubeweft-system/serviceaccounts",
        "Service": "/api/v1/namespaces/kubeweft-system/services",
        "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/kubeweft-system/roles",
        "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/kubeweft-system/rolebindings",
        "Deployment": "/apis/apps/v1/namespaces/kubeweft-system/deployments",
    }
    (namespace,) = load("config/default/namespace.yaml")
    kubernetes.apply("/api/v1/namespaces", namespace)
    for folder in ("rbac", "rbac/all", "default"):
        for file in sorted((ROOT / "config" / folder).glob("*.yaml")):
            for document in load(str(file)):
                if document["kind"] in paths:
                    applied = kubernetes.apply(paths[document["kind"]], document, dry_run=True)
                    assert applied["kind"] == document["kind"], applied


# --------------------------------------------------------------------------------------------------- hard times


@pytest.fixture
def lonely_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """An API server of our own, without CRDs, that may be stopped."""
    with ControlPlane(tmp_path, controllers=False) as plane:
        yield plane


def test_crds_that_come_late_go_and_come_back(lonely_plane: ControlPlane) -> None:
    api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(lonely_plane.kubeconfig)))
    kubernetes = Kubernetes(api)
    path = f"{POLICIES}/late"
    with ControlRoom(lonely_plane.kubeconfig) as room:
        for _ in range(2):
            install_crds(kubernetes)
            kubernetes.apply(POLICIES, policy("late"))
            wait_until(lambda: is_reported(kubernetes.get(path)), "a policy whose CRD came late")
            kubernetes.apply(POLICIES, policy("late", suspend=True))
            wait_until(
                lambda: conditions(kubernetes.get(path))["Ready"]["reason"] == "Suspended", "Kopf to watch"
            )
            for plural in ("tracingpolicies", "linkrules"):
                kubernetes.delete(f"{CRDS}/{plural}.kubeweft.io")
            wait_until(lambda: room.policies == [""], "the default plan to be back")
    api.session.close()


def test_an_api_server_that_goes_away_and_comes_back_with_a_dead_aggregated_api(
    lonely_plane: ControlPlane,
) -> None:
    api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(lonely_plane.kubeconfig)))
    kubernetes = Kubernetes(api)
    install_crds(kubernetes)
    dead = dead_api("dead.example.com")
    assert kubernetes.apply(API_SERVICES, dead)["kind"] == "APIService"
    with ControlRoom(lonely_plane.kubeconfig) as room:
        kubernetes.apply(POLICIES, policy("before"))
        wait_until(lambda: room.policies == ["before"], "the first policy")
        lonely_plane.kill_apiserver()
        lonely_plane.restart_apiserver()
        assert room.policies == ["before"]
        kubernetes.apply(POLICIES, policy("after"))
        wait_until(lambda: room.policies == ["after", "before"], "a policy after the outage", seconds=60)
        wait_until(lambda: is_reported(kubernetes.get(f"{POLICIES}/after")), "its status", seconds=60)
    api.session.close()
