"""What is wrong with a policy is refused with its field and what to do: a table of mistakes, and how several are told."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeweft.control.compiling.policies import Compiled, Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject


def compiled(spec: Mapping[str, Any]) -> Compiled:
    return compile_policies([DeclaredObject(resource=POLICIES, name="p", spec=spec)], Installation())


def exporter(**otlp: Any) -> dict[str, Any]:
    return {"exporters": [{"name": "x", "otlp": {"endpoint": "jaeger:4317", **otlp}}]}


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("other cluster", {"clusters": [{"name": "eu"}]}, "InvalidSpec", "is called 'local'"),
    ("no cluster", {"clusters": []}, "InvalidSpec", "spec.clusters: must not be empty"),
    ("context", {"clusters": [{"name": "local", "context": "c"}]}, "InvalidSpec", "within a kubeconfig"),
    (
        "token of the local cluster",
        {"clusters": [{"name": "local", "auditTokenSecretRef": {"name": "s"}}]},
        "InvalidSpec",
        "--audit-token-file",
    ),
    (
        "the local cluster joined",
        {"clusters": [{"name": "local", "kubeconfigSecretRef": {"name": "s"}}]},
        "InvalidSpec",
        "this is the cluster Kubeweft runs in",
    ),
    (
        "two local clusters",
        {"clusters": [{"name": "local"}, {"name": "eu"}]},
        "InvalidSpec",
        "only one cluster may be without",
    ),
    ("no age", {"retention": {"maxAge": "30s"}}, "InvalidSpec", "spec.retention.maxAge: must be at least 1m"),
    ("days", {"retention": {"maxAge": "30d"}}, "InvalidSpec", "must be a duration"),
    ("no size", {"retention": {"maxBytes": "10Xi"}}, "InvalidSpec", "must be a size such as 10Gi"),
    ("small", {"retention": {"maxBytes": "1k"}}, "InvalidSpec", "must be at least 1Mi"),
    ("small number", {"retention": {"maxBytes": 4096}}, "InvalidSpec", "must be at least 1Mi"),
    ("old words", {"retention": {"history": "2h"}}, "InvalidSpec", "does not know"),
    (
        "labels without objects",
        {
            "match": {"objectSelector": {"matchLabels": {"a": "b"}}},
            "sources": {"objects": {"mode": "Disabled"}},
        },
        "InvalidSpec",
        "spec.match.objectSelector: it looks at objects",
    ),
    (
        "expressions without objects",
        {
            "match": {"matchConditions": [{"name": "n", "expression": "true"}]},
            "sources": {"objects": {"mode": "Disabled"}},
        },
        "InvalidSpec",
        "spec.match.matchConditions: it looks at objects",
    ),
    (
        "no source",
        {
            "sources": {
                "objects": {"mode": "Disabled"},
                "audit": {"mode": "Disabled"},
                "events": {"mode": "Disabled"},
            }
        },
        "InvalidSpec",
        "at least one source",
    ),
    (
        "no expression",
        {"match": {"matchConditions": [{"name": "n", "expression": "object.x =="}]}},
        "InvalidExpression",
        "spec.match.matchConditions[n].expression",
    ),
    (
        "an expression that is not true or false",
        {"match": {"matchConditions": [{"name": "n", "expression": "'text'"}]}},
        "InvalidExpression",
        "spec.match.matchConditions[n].expression",
    ),
    (
        "an operator of another language",
        {"match": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}},
        "InvalidSpec",
        "spec.match.namespaceSelector.matchExpressions[0].operator",
    ),
    (
        "one of none",
        {"match": {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
        "InvalidSpec",
        "must not be empty for In",
    ),
    (
        "a label that cannot be",
        {"match": {"objectSelector": {"matchLabels": {"a b": "c"}}}},
        "InvalidSpec",
        "'a b' cannot be the key of a label",
    ),
    (
        "subresource",
        {"match": {"excludeResources": [{"apiGroups": [""], "resources": ["pods/status"]}]}},
        "InvalidSpec",
        "write 'pods'",
    ),
    (
        "kind for a resource",
        {"match": {"resources": [{"apiGroups": [""], "resources": ["Pod"]}]}},
        "InvalidSpec",
        "'Pod' is no plural resource name",
    ),
    (
        "glob",
        {"match": {"resources": [{"apiGroups": ["*.io"], "resources": ["*"]}]}},
        "InvalidSpec",
        "'*.io' is no API group",
    ),
    (
        "authority without TLS",
        exporter(tls={"mode": "Disabled", "caSecretRef": {"name": "s"}}),
        "InvalidSpec",
        "tls.caSecretRef: certificates are for TLS",
    ),
    (
        "client certificate without TLS",
        exporter(endpoint="grpc://h:1", tls={"certSecretRef": {"name": "s"}}),
        "InvalidSpec",
        "tls.certSecretRef: certificates are for TLS",
    ),
    (
        "namespace of a Secret",
        exporter(headersSecretRef={"name": "s", "namespace": "n"}),
        "InvalidSpec",
        "namespace",
    ),
    ("no port", exporter(endpoint="jaeger"), "InvalidSpec", "exporters[x].otlp.endpoint"),
    ("no URL", exporter(protocol="HTTPProtobuf"), "InvalidSpec", "exporters[x].otlp.endpoint"),
    ("password", exporter(endpoint="grpc://u:canary@h:1"), "InvalidSpec", "exporters[x].otlp.endpoint"),
    (
        "TLS and none",
        exporter(endpoint="https://h", protocol="HTTPProtobuf", tls={"mode": "Disabled"}),
        "InvalidSpec",
        "tls.mode",
    ),
    ("no time", exporter(timeout="0s"), "InvalidSpec", "timeout: must be from 100ms"),
    ("hours", exporter(timeout="1h"), "InvalidSpec", "timeout: must be from 100ms"),
    ("unset member", {"exporters": [{"name": "x"}]}, "InvalidSpec", "must be set when 'type' is OTLP"),
    ("path", {"diff": {"ignorePaths": ["spec..x"]}}, "InvalidExpression", "spec.diff.ignorePaths"),
    (
        "name",
        {"diff": {"ignorePaths": ["metadata.name"]}},
        "InvalidSpec",
        "'metadata.name' holds what an object",
    ),
    ("all metadata left out", {"diff": {"ignorePaths": ["metadata"]}}, "InvalidSpec", "known by"),
    ("all of metadata", {"diff": {"ignorePaths": ["metadata[*]"]}}, "InvalidSpec", "known by"),
    ("kind left out", {"diff": {"ignorePaths": ["kind"]}}, "InvalidSpec", "known by"),
    (
        "regex",
        {"redaction": {"patterns": [{"name": "n", "regex": r"(a)\1"}]}},
        "InvalidExpression",
        "backreferences",
    ),
    (
        "identity",
        {"redaction": {"fields": [{"name": "n", "path": "metadata.uid"}]}},
        "InvalidSpec",
        "'metadata.uid' is part of what an object is known by",
    ),
    (
        "all metadata",
        {"redaction": {"fields": [{"name": "n", "path": "metadata[*]"}]}},
        "InvalidSpec",
        "known by",
    ),
    ("kind", {"redaction": {"fields": [{"name": "n", "path": "kind"}]}}, "InvalidSpec", "known by"),
    ("newer field", {"futureField": 1}, "InvalidSpec", "which this version of Kubeweft does not know"),
    ("window", {"window": {"maxDuration": "30m"}}, "InvalidSpec", "window"),
    ("wrong type", {"match": {"namespaces": "shop"}}, "InvalidSpec", "spec.match.namespaces"),
]


@pytest.mark.parametrize(
    ("spec", "reason", "message"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_is_not_done_is_refused_with_its_field(spec: dict[str, Any], reason: str, message: str) -> None:
    result = compiled(spec)
    verdict = result.verdicts["p"]
    assert not verdict.accepted
    assert verdict.refusal == reason
    assert message in verdict.message
    assert "canary" not in verdict.message
    assert verdict.scope is None
    assert result.plan.scopes == ()
    assert result.plan.exporters == ()


def test_all_problems_are_told_at_once_and_the_gravest_is_the_reason() -> None:
    spec = {
        "clusters": [{"name": "eu"}],
        "retention": {"maxAge": "1s"},
        "redaction": {"patterns": [{"name": "n", "regex": "("}]},
        **exporter(timeout="9h"),
    }
    verdict = compiled(spec).verdicts["p"]
    assert verdict.refusal == "InvalidSpec"
    for field in ("spec.clusters[eu].name", "spec.retention.maxAge", "patterns[n]", "timeout"):
        assert field in verdict.message


def test_a_long_list_of_problems_is_cut_and_counted() -> None:
    names = [f"Wrong{n}" for n in range(30)]
    spec = {"match": {"resources": [{"apiGroups": [""], "resources": names}]}}
    verdict = compiled(spec).verdicts["p"]
    assert "and 20 more" in verdict.message
    assert len(verdict.message) < 2000
