"""What holds for any policies: their order does not matter, and one more never takes away what another selects."""

import dataclasses
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.control.compiling.policies import Compiled, Installation, compile_policies
from kubeweft.control.compiling.rules import RuleVerdict, compile_rule
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.declared.secrets import FORBIDDEN, MISSING, Secret
from kubeweft.model.plan import Plan

CLUSTERS = ("local", "eu", "us")
NAMESPACES = ("", "shop", "bank")
TYPES = (("", "pods"), ("apps", "deployments"), ("", "namespaces"))
SECRETS = {
    "a": Secret("Read", {"kubeconfig": b"a", "token": b"t"}),
    "b": Secret("Read", {"kubeconfig": b"b", "token": b"t"}),
    "c": MISSING,
    "d": FORBIDDEN,
}
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


def some(options: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(options, max_size=2, unique_by=repr)


REMOTE = st.fixed_dictionaries(
    {"name": st.sampled_from(["eu", "us"]), "kubeconfigSecretRef": st.builds(lambda n: {"name": n}, NAMES)},
    optional={
        "context": st.sampled_from(["", "x"]),
        "auditTokenSecretRef": st.builds(lambda n: {"name": n}, NAMES),
        "labels": st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
    },
)
RESOURCES = st.builds(
    lambda group, resource: {"apiGroups": [group], "resources": [resource]},
    st.sampled_from(["", "apps", "*"]),
    st.sampled_from(["pods", "deployments", "*", "Wrong"]),
)
SELECTOR = st.builds(lambda key: {"matchLabels": {key: "x"}}, st.sampled_from(["a", "b"]))
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "suspend": st.booleans(),
        "priority": st.integers(-2, 2),
        "clusters": st.lists(REMOTE, max_size=2, unique_by=lambda c: str(c["name"])).map(
            lambda remote: [{"name": "local"}, *remote]
        ),
        "match": st.fixed_dictionaries(
            {},
            optional={
                "resources": some(RESOURCES),
                "excludeResources": some(RESOURCES),
                "namespaces": some(st.sampled_from(["shop", "bank"])),
                "excludeNamespaces": some(st.sampled_from(["shop", "bank"])),
                "namespaceSelector": SELECTOR,
                "objectSelector": SELECTOR,
            },
        ),
        "sources": st.fixed_dictionaries(
            {},
            optional={
                "objects": st.builds(
                    lambda m: {"mode": m}, st.sampled_from(["Full", "Metadata", "Disabled"])
                ),
                "audit": st.builds(
                    lambda m: {"mode": m}, st.sampled_from(["Webhook", "LogFile", "Disabled"])
                ),
            },
        ),
        "redaction": st.fixed_dictionaries(
            {},
            optional={
                "userIdentity": st.sampled_from(["Keep", "Digest", "Omit"]),
                "secretData": st.sampled_from(["Omit", "Digest"]),
                "fields": st.lists(
                    st.builds(
                        lambda path, action: {"name": "n", "path": path, "action": action},
                        st.sampled_from(["spec.a", "spec", "metadata.uid"]),
                        st.sampled_from(["Omit", "Digest"]),
                    ),
                    max_size=1,
                ),
            },
        ),
        "retention": st.fixed_dictionaries(
            {},
            optional={
                "maxAge": st.sampled_from(["1h", "48h", "1s"]),
                "maxBytes": st.sampled_from(["1Gi", "10Gi", 2**21, "1k"]),
            },
        ),
        "exporters": st.lists(
            st.builds(
                lambda name, secret: {
                    "name": name,
                    "otlp": {"endpoint": "h:1", "headersSecretRef": {"name": secret}},
                },
                st.sampled_from(["x", "y"]),
                NAMES,
            ),
            max_size=2,
            unique_by=lambda e: str(e["name"]),
        ),
    },
)
CREATED = st.sampled_from(["", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])
POLICY = st.builds(
    lambda name, created, spec: DeclaredObject(
        resource=POLICIES, name=name, uid=name, generation=1, created=created, spec=spec
    ),
    st.sampled_from("abcdef"),
    CREATED,
    SPECS,
)
SEVERAL = st.lists(POLICY, max_size=5, unique_by=lambda policy: policy.name)
INSTALLATION = Installation(without_policy="nothing")


def compiled(policies: list[DeclaredObject]) -> Compiled:
    return compile_policies(policies, INSTALLATION, SECRETS)


def selected(plan: Plan) -> set[tuple[object, ...]]:
    """Which kinds of facts about which objects are wanted, and by which policy's scope."""
    return {
        (source, cluster, group, resource, namespace, scope.policy)
        for cluster in CLUSTERS
        for scope in plan.of_cluster(cluster).scopes
        for group, resource in TYPES
        for namespace in NAMESPACES
        for source in ("request", "change", "event")
        if scope.selects_type(group, resource)
        and scope.selects_namespace(namespace)
        and scope.wants_source(source)
    }


@settings(max_examples=100)
@given(SEVERAL, st.randoms(use_true_random=False))
def test_the_order_of_policies_does_not_matter(policies: list[DeclaredObject], chance: Any) -> None:
    shuffled = list(policies)
    chance.shuffle(shuffled)
    assert compiled(shuffled) == compiled(policies)


@settings(max_examples=100)
@given(SEVERAL, POLICY)
def test_one_more_policy_takes_nothing_away(policies: list[DeclaredObject], more: DeclaredObject) -> None:
    others = [policy for policy in policies if policy.name != more.name]
    before, after = compiled(others), compiled([*others, more])
    assert selected(before.plan) <= selected(after.plan)
    assert set(before.plan.exporters) <= set(after.plan.exporters)
    for limit in ("max_age", "max_bytes"):
        was, now = getattr(before.plan.retention, limit), getattr(after.plan.retention, limit)
        assert now == 0 or (was <= now and (was or not others)), "0 is no limit"
    for name, verdict in before.verdicts.items():
        assert after.verdicts[name].problems == verdict.problems


@settings(max_examples=100)
@given(SEVERAL, POLICY)
def test_one_more_policy_uncovers_nothing(policies: list[DeclaredObject], more: DeclaredObject) -> None:
    others = [policy for policy in policies if policy.name != more.name]
    alone = compiled(others)
    if all(verdict.suspended for verdict in alone.verdicts.values()):
        return  # nothing is traced that could be uncovered
    before, after = alone.plan.redaction, compiled([*others, more]).plan.redaction
    order = ("Keep", "Digest", "Omit")
    assert order.index(after.user_identity) >= order.index(before.user_identity)
    assert after.annotation_keys >= before.annotation_keys
    assert before.digest_secrets or not after.digest_secrets
    for field in before.fields:
        assert any(f.path == field.path and (field.digest or not f.digest) for f in after.fields)


@settings(max_examples=100)
@given(SEVERAL)
def test_every_cluster_is_one_thing_and_every_token_is_of_one_cluster(policies: list[DeclaredObject]) -> None:
    result = compiled(policies)
    names = [cluster.name for cluster in result.plan.clusters]
    tokens = [cluster.audit_token for cluster in result.plan.clusters if cluster.audit_token]
    assert names == sorted(set(names))
    assert len(tokens) == len(set(tokens))
    assert "local" not in names
    assert all(scope.clusters for scope in result.plan.scopes)  # no cluster would mean all
    for verdict in result.verdicts.values():
        in_force = verdict.scope is not None
        assert in_force is (verdict.accepted and not verdict.suspended)


def rule(name: str, priority: int) -> DeclaredObject:
    source = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
    target = {"name": "o", "type": "Owner", "owner": {}}
    spec = {"source": source, "targets": [target], "priority": priority}
    return DeclaredObject(resource=LINK_RULES, name=name, spec=spec)


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(-1001, 3), max_size=5))
def test_rules_come_in_the_order_of_precedence(priorities: dict[str, int]) -> None:
    verdicts: dict[str, RuleVerdict] = {
        name: compile_rule(rule(name, priority)) for name, priority in priorities.items()
    }
    result = compile_policies((), INSTALLATION, rules=verdicts)
    accepted = {name: priority for name, priority in priorities.items() if priority >= -1000}
    assert [r.name for r in result.plan.rules] == sorted(accepted, key=lambda n: (-accepted[n], n))
    assert set(result.rule_verdicts) == set(priorities)


def test_rules_may_call_the_local_cluster_local() -> None:
    declared = rule("r", 0)
    source = {**declared.spec["source"], "clusters": ["local", "eu"]}
    aliases = [{"from": "member-1", "to": "eu"}, {"from": "hub", "to": "local"}]
    spec = {
        **declared.spec,
        "source": source,
        "cluster": {"mode": "Named", "name": "local", "aliases": aliases},
    }
    verdict = compile_rule(dataclasses.replace(declared, spec=spec))
    assert verdict.accepted, verdict.message
    (made,) = compile_policies((), Installation(cluster="home"), rules={"r": verdict}).plan.rules
    assert made.source.clusters == {"home", "eu"}
    assert made.cluster.name == "home"
    assert made.cluster.aliases == (("member-1", "eu"), ("hub", "home"))
    assert compile_policies((), Installation(), rules={"r": verdict}).plan.rules == (verdict.rule,)
