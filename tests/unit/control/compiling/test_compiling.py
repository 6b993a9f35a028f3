"""Specs in, plan and verdicts out: what is built takes effect, what is not built is refused, one policy never harms another."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeweft.control.compiling.policies import Compiled, Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.control.declared.schema import PolicySpec, read_policy, seconds
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import AuditInlet, Exporter, Plan, Scope, ValuePattern
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import EVERYTHING, LabelSelector, Requirement

ALL_INLETS_IN_ORDER: tuple[AuditInlet, ...] = ("Webhook", "LogFile")


def policy(name: str = "p", spec: Mapping[str, Any] | None = None) -> DeclaredObject:
    return DeclaredObject(resource=POLICIES, name=name, uid=name, generation=1, spec=spec or {})


def compiled(*policies: DeclaredObject, **installation: Any) -> Compiled:
    return compile_policies(policies, Installation(**installation))


def plan_of(spec: Mapping[str, Any]) -> Plan:
    result = compiled(policy(spec=spec))
    assert result.verdicts["p"].accepted, result.verdicts["p"].message
    return result.plan


def exporter(**otlp: Any) -> dict[str, Any]:
    return {"exporters": [{"name": "x", "otlp": {"endpoint": "jaeger:4317", **otlp}}]}


def scope(policy: str = "p", **differing: Any) -> Scope:
    """What an empty spec selects."""
    usual: dict[str, Any] = {"clusters": frozenset({"local"}), "inlets": frozenset({"Webhook"})}
    return Scope(policy=policy, **{**usual, **differing})


def pods_key(namespace: str = "shop") -> ObjectKey:
    return ObjectKey("local", "", "pods", namespace, "x")


# ------------------------------------------------------------------------------------------------ what is built


def test_settings_that_change_nothing_are_accepted() -> None:
    spec = {
        "sampling": {"percent": 100, "keepErrors": False},
        "match": {
            "resources": [],
            "namespaces": [],
            "namespaceSelector": {},
            "objectSelector": {"matchLabels": {}, "matchExpressions": []},
            "matchConditions": [],
        },
        "retention": {},
        "priority": 7,
    }
    assert plan_of(spec) == plan_of({})


def test_an_empty_spec_traces_everything() -> None:
    plan = plan_of({})
    assert plan.scopes == (scope(),)
    assert plan.scopes[0].resources == (EVERYTHING,)
    assert plan.ignore_paths == {("metadata", "managedFields"), ("metadata", "resourceVersion")}
    assert plan.exporters == ()


def test_what_is_selected() -> None:
    plan = plan_of(
        {
            "match": {
                "resources": [
                    {"apiGroups": ["apps"], "resources": ["*"]},
                    {"apiGroups": [""], "resources": ["pods"]},
                ],
                "excludeResources": [{"apiGroups": ["*"], "resources": ["replicasets"]}],
                "namespaces": ["shop", "bank"],
                "excludeNamespaces": ["bank"],
            }
        }
    )
    assert plan.wants_type("apps", "deployments")
    assert not plan.wants_type("apps", "replicasets")
    assert not plan.wants_type("", "services")
    assert plan.wants_object(pods_key("shop"))
    assert not plan.wants_object(pods_key("bank"))
    assert not plan.wants_object(pods_key("zoo"))


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        ({"objects": {"mode": "Disabled"}}, (False, True, True)),
        ({"audit": {"mode": "Disabled"}}, (True, False, True)),
        ({"events": {"mode": "Disabled"}}, (True, True, False)),
    ],
)
def test_which_sources(sources: dict[str, Any], wanted: tuple[bool, bool, bool]) -> None:
    scope = plan_of({"sources": sources}).scopes[0]
    assert (scope.objects, scope.audit, scope.events) == wanted


def test_which_requests() -> None:
    plan = plan_of({"sources": {"audit": {"omitUsers": ["bot"], "omitReadOnly": False}}})
    assert plan.wants_request(pods_key(), verb="get", user="ann")
    assert not plan.wants_request(pods_key(), verb="create", user="bot")


def test_diffs() -> None:
    plan = plan_of({"diff": {"ignorePaths": ["status.conditions[*].lastProbeTime"], "maxBytes": 256}})
    assert plan.ignore_paths == {("status", "conditions", "*", "lastProbeTime")}
    assert plan.max_patch_bytes == 256


def test_redaction() -> None:
    redaction = plan_of(
        {
            "redaction": {
                "secretData": "Digest",
                "userIdentity": "Omit",
                "annotationKeys": ["a/b"],
                "fields": [
                    {
                        "name": "n",
                        "path": "data['odd/key']",
                        "action": "Digest",
                        "resources": [{"apiGroups": [""], "resources": ["configmaps"]}],
                    }
                ],
                "patterns": [{"name": "n", "regex": "canary"}],
            }
        }
    ).redaction
    assert redaction.digest_secrets
    assert redaction.user_identity == "Omit"
    assert redaction.annotation_keys == {"a/b"}
    (field,) = redaction.fields
    assert field.path == ("data", "odd/key")
    assert field.digest
    assert field.resources[0].matches("", "configmaps")
    assert not field.resources[0].matches("", "secrets")
    assert redaction.patterns == (ValuePattern("canary"),)


def test_an_exporter_with_all_its_options() -> None:
    spec = exporter(
        endpoint="https://otlp.example.com",
        protocol="HTTPProtobuf",
        compression="None",
        timeout="1m30s",
        tls={"mode": "InsecureSkipVerify"},
    )
    (made,) = plan_of({**spec, "match": {"namespaces": ["shop"]}}).exporters
    assert made == Exporter(
        name="p/x",
        endpoint="https://otlp.example.com",
        protocol="HTTPProtobuf",
        gzip=False,
        timeout=90.0,
        insecure=False,
        verify=False,
        scopes=(scope(namespaces=frozenset({"shop"})),),
    )


@pytest.mark.parametrize(("mode", "insecure"), [("Disabled", True), ("Enabled", False)])
def test_tls_is_on_unless_it_is_switched_off(mode: str, *, insecure: bool) -> None:
    (made,) = plan_of(exporter(tls={"mode": mode})).exporters
    assert made.insecure is insecure
    assert made.verify
    assert plan_of(exporter()).exporters[0].insecure is False


@pytest.mark.parametrize(
    ("text", "expected"), [("10s", 10.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("1m1ms", 60.001)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "10", "s", "1.5s", "-1s", "100000s", "1s1s1s1s1s", "1d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadInput):
        seconds(text)


# ------------------------------------------------------------------------------------------------ several policies


def test_policies_add_up_in_any_order() -> None:
    a = policy("a", {"match": {"namespaces": ["shop"]}, "diff": {"ignorePaths": ["status"], "maxBytes": 300}})
    b = policy(
        "b",
        {
            "match": {"resources": [{"apiGroups": ["apps"], "resources": ["*"]}]},
            "diff": {"ignorePaths": ["spec"]},
        },
    )
    plan = compiled(a, b).plan
    assert plan == compiled(b, a).plan
    assert [s.policy for s in plan.scopes] == ["a", "b"]
    assert plan.ignore_paths == {("status",), ("spec",)}
    assert plan.max_patch_bytes == 16384
    assert plan.wants_object(pods_key("shop"))
    assert not plan.wants_object(pods_key("bank"))


def test_the_strictest_redaction_wins() -> None:
    def redacting(name: str, **redaction: Any) -> DeclaredObject:
        return policy(name, {"redaction": redaction})

    env = "spec.env"
    plan = compiled(
        redacting(
            "a",
            secretData="Digest",
            userIdentity="Digest",
            fields=[{"name": "n", "path": env, "action": "Digest"}],
        ),
        redacting(
            "b",
            userIdentity="Keep",
            annotationKeys=["x/y"],
            fields=[{"name": "m", "path": env, "action": "Omit"}],
        ),
    ).plan
    assert not plan.redaction.digest_secrets
    assert plan.redaction.user_identity == "Digest"
    assert plan.redaction.annotation_keys == {"x/y", "kubectl.kubernetes.io/last-applied-configuration"}
    assert [(f.path, f.digest) for f in plan.redaction.fields] == [(("spec", "env"), False)]


def test_omitting_comes_before_digesting_where_paths_overlap() -> None:
    spec = {
        "redaction": {
            "fields": [{"name": "a", "path": "spec.x", "action": "Digest"}, {"name": "b", "path": "spec"}]
        }
    }
    assert [f.digest for f in plan_of(spec).redaction.fields] == [False, True]


def test_a_refused_policy_selects_nothing_but_goes_on_redacting() -> None:
    private = {"redaction": {"fields": [{"name": "n", "path": "data.x"}], "userIdentity": "Omit"}}
    before = compiled(policy("a", private), policy("b")).plan
    result = compiled(policy("a", {**private, "clusters": []}), policy("b"))
    assert [s.policy for s in result.plan.scopes] == ["b"]
    assert result.plan.redaction == before.redaction
    assert result.verdicts["b"].accepted


def test_a_suspended_policy_does_nothing() -> None:
    spec = {**exporter(), "suspend": True, "redaction": {"userIdentity": "Omit"}}
    result = compiled(policy("a", spec), policy("b"))
    assert result.verdicts["a"].accepted
    assert result.verdicts["a"].suspended
    assert result.plan == compiled(policy("b")).plan


def test_exporters_of_the_same_name_stay_apart_and_get_their_own_scope() -> None:
    def exporting(name: str, namespace: str) -> DeclaredObject:
        return policy(name, {**exporter(), "match": {"namespaces": [namespace]}})

    plan = compiled(exporting("a", "shop"), exporting("b", "bank")).plan
    assert [e.name for e in plan.exporters] == ["a/x", "b/x"]
    assert plan.exporters[0].wants_span(pods_key("shop"), "change")
    assert not plan.exporters[0].wants_span(pods_key("bank"), "change")
    assert plan.wants_object(pods_key("bank"))


# ------------------------------------------------------------------------------------------------ the installation


def test_without_any_policy_the_installation_decides() -> None:
    everything = compiled(without_policy="everything").plan
    assert everything.scopes == (scope("", inlets=frozenset({"Webhook", "LogFile"})),)
    assert everything.ignore_paths == plan_of({}).ignore_paths
    assert compiled(without_policy="nothing").plan.scopes == ()


@pytest.mark.parametrize("spec", [{"suspend": True}, {"clusters": []}, {"unknown": 1}])
def test_a_policy_without_effect_does_not_bring_the_default_back(spec: dict[str, Any]) -> None:
    assert compiled(policy(spec=spec), without_policy="everything").plan.scopes == ()


def test_installed_exporters_get_everything_besides_those_of_policies() -> None:
    installed = Exporter(name="installed", endpoint="h:4317")
    assert compiled(exporters=(installed,)).plan.exporters == (installed,)
    both = compiled(policy(spec=exporter()), exporters=(installed,)).plan.exporters
    assert [e.name for e in both] == ["installed", "p/x"]


@pytest.mark.parametrize("name", ["local", "prod-eu"])
def test_the_local_cluster_goes_by_its_name_or_as_local(name: str) -> None:
    result = compiled(policy(spec={"clusters": [{"name": name}]}), cluster="prod-eu")
    assert result.verdicts["p"].accepted
    assert result.verdicts["p"].clusters == ((name, "prod-eu"),)
    assert result.plan.scopes[0].clusters == {"prod-eu"}


def test_a_spec_is_not_changed_by_compiling() -> None:
    spec: dict[str, Any] = {"match": {"namespaces": ["shop"]}}
    compiled(policy(spec=spec))
    assert spec == {"match": {"namespaces": ["shop"]}}


@pytest.mark.parametrize("name", ["Spec", "SUSPEND", "sampling "])
def test_unknown_fields_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="does not know"):
        read_policy({name: {}})


def test_an_empty_spec_reads_as_the_defaults() -> None:
    assert read_policy({}) == PolicySpec()


# ------------------------------------------------------------------------------------------------ content and inlets


def test_labels_and_expressions_become_part_of_the_scope() -> None:
    (made,) = plan_of(
        {
            "match": {
                "namespaceSelector": {"matchLabels": {"team": "shop"}},
                "objectSelector": {
                    "matchLabels": {"b": "2", "a": "1"},
                    "matchExpressions": [
                        {"key": "tier", "operator": "NotIn", "values": ["test"]},
                        {"key": "example.com/owner", "operator": "Exists"},
                    ],
                },
                "matchConditions": [{"name": "n", "expression": "object.metadata.name != cluster.name"}],
            }
        }
    ).scopes
    assert made.namespace_selector == LabelSelector((Requirement("team", "In", frozenset({"shop"})),))
    assert made.object_selector is not None
    assert made.object_selector.matches({"a": "1", "b": "2", "example.com/owner": "ann"})
    assert not made.object_selector.matches({"a": "1", "b": "2"})
    assert not made.object_selector.matches({"a": "1", "b": "2", "example.com/owner": "x", "tier": "test"})
    assert made.conditions == (("n", "object.metadata.name != cluster.name"),)
    assert made.looks_into_objects


def test_namespaces_are_selected_by_label_without_watching_objects() -> None:
    spec = {
        "match": {"namespaceSelector": {"matchLabels": {"team": "shop"}}},
        "sources": {"objects": {"mode": "Disabled"}},
    }
    plan = plan_of(spec)
    assert plan.wants_type("", "namespaces")
    assert not plan.wants_type("", "pods")


def test_metadata_is_enough_only_if_it_is_for_everybody() -> None:
    metadata = policy("a", {"sources": {"objects": {"mode": "Metadata"}}})
    assert compiled(metadata).plan.wants_metadata_only("", "pods")
    assert not compiled(metadata, policy("b")).plan.wants_metadata_only("", "pods")


@pytest.mark.parametrize(
    ("mode", "webhook", "log_file"),
    [("Webhook", True, False), ("LogFile", False, True), ("Disabled", False, False)],
)
def test_requests_come_by_the_inlet_that_the_policy_names(
    mode: str, *, webhook: bool, log_file: bool
) -> None:
    plan = plan_of({"sources": {"audit": {"mode": mode}}})
    found = [
        plan.wants_request(pods_key(), verb="create", user="ann", inlet=inlet)
        for inlet in ALL_INLETS_IN_ORDER
    ]
    assert found == [webhook, log_file]
