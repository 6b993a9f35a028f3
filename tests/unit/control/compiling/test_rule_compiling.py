"""LinkRules from spec to value: everything a spec can say arrives, and everything wrong is told at once."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.control.compiling.rules import RuleVerdict, compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.model.rules import (
    ByAnnotation,
    ByExpression,
    ByFieldPath,
    ByHelmRelease,
    ByLabel,
    ByOwner,
    BySelector,
    Finder,
    LinkRule,
    SourceSelector,
    Target,
    TargetCluster,
)
from kubeweft.model.selectors import LabelSelector, MatchCondition, Requirement, ResourcePattern

Spec = dict[str, Any]
PODS = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
NODE = {
    "name": "node",
    "type": "FieldPath",
    "resource": {"resource": "nodes"},
    "fieldPath": {"name": "spec.nodeName"},
}


def compiled(**spec: Any) -> RuleVerdict:
    """The verdict on a rule that is right but for what is given."""
    whole = {"source": PODS, "targets": [NODE], **spec}
    return compile_rule(DeclaredObject(resource=LINK_RULES, name="rule", spec=whole))


def target(**fields: Any) -> RuleVerdict:
    """The verdict on a rule with one target, of nodes unless said otherwise."""
    whole = {"name": "it", "resource": {"resource": "nodes"}, **fields}
    return compiled(targets=[{name: value for name, value in whole.items() if value is not None}])


def problems(verdict: RuleVerdict) -> list[tuple[str, str]]:
    """Reason and field of each problem."""
    assert verdict.rule is None
    return [(problem.reason, problem.field) for problem in verdict.problems]


def test_a_rule_with_nothing_but_what_it_needs_gets_the_defaults() -> None:
    verdict = compiled()
    assert (verdict.accepted, verdict.suspended) == (True, False)
    assert verdict.rule == LinkRule(
        name="rule",
        source=SourceSelector(resources=(ResourcePattern(frozenset({""}), frozenset({"pods"})),)),
        targets=(Target(name="node", resource="nodes", finder=ByFieldPath(name=("spec", "nodeName"))),),
    )
    assert (verdict.rule.role, verdict.rule.direction) == ("Peer", "SourceToTarget")
    assert (verdict.rule.link_class, verdict.rule.same_trace) == ("References", False)


def test_everything_that_can_be_said_arrives() -> None:
    source = {
        **PODS,
        "clusters": ["a"],
        "namespaces": ["shop"],
        "namespaceSelector": {"matchLabels": {"team": "x"}},
        "objectSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
        "matchConditions": [{"name": "big", "expression": "object.spec.replicas > 3"}],
    }
    cluster = {"mode": "Label", "labelKey": "example.com/cluster", "aliases": [{"from": "EU", "to": "eu"}]}
    link = {"role": "Child", "direction": "Both", "class": "RunsOn", "grouping": "SameTrace"}
    rule = compiled(source=source, cluster=cluster, link=link, priority=-5).rule
    assert rule is not None
    assert rule.source.clusters == {"a"}
    assert rule.source.namespaces == {"shop"}
    assert rule.source.namespace_selector == LabelSelector((Requirement("team", "In", frozenset({"x"})),))
    assert rule.source.object_selector == LabelSelector((Requirement("app", "Exists"),))
    assert rule.source.conditions == (MatchCondition("big", "object.spec.replicas > 3"),)
    assert rule.cluster == TargetCluster(
        mode="Label", label_key="example.com/cluster", aliases=(("EU", "eu"),)
    )
    assert (rule.role, rule.direction, rule.link_class) == ("Child", "Both", "RunsOn")
    assert (rule.same_trace, rule.priority) == (True, -5)


@pytest.mark.parametrize(
    ("fields", "finder"),
    [
        (
            {"type": "FieldPath", "fieldPath": {"name": "a[*].b", "namespace": "a[*].c"}},
            ByFieldPath(name=("a", "*", "b"), namespace=("a", "*", "c")),
        ),
        ({"type": "CEL", "cel": {"expression": "object.spec.name"}}, ByExpression("object.spec.name")),
        (
            {"type": "Annotation", "annotation": {"key": "a.b/c", "format": "Name", "separator": ";"}},
            ByAnnotation(key="a.b/c", format="Name", separator=";"),
        ),
        ({"type": "Annotation", "annotation": {"key": "c"}}, ByAnnotation(key="c")),
        ({"type": "Label", "label": {"key": "a.b/c"}}, ByLabel("a.b/c")),
        ({"type": "Selector", "selector": {"path": "spec.selector"}}, BySelector(("spec", "selector"))),
        ({"type": "Owner", "resource": None}, ByOwner()),
        (
            {"type": "Owner", "owner": {"controllerOnly": False, "recursive": True}, "resource": None},
            ByOwner(controller_only=False, recursive=True),
        ),
        ({"type": "HelmRelease", "resource": None}, ByHelmRelease()),
        ({"type": "HelmRelease", "helmRelease": {"storage": "Annotations"}}, ByHelmRelease("Annotations")),
    ],
)
def test_every_type_of_target(fields: Spec, finder: Finder) -> None:
    verdict = target(**fields)
    assert verdict.rule is not None, verdict.message
    assert verdict.rule.targets[0].finder == finder


def test_where_a_target_may_be_and_how_many() -> None:
    rule = target(
        type="Label",
        label={"key": "a"},
        namespaceFrom="None",
        maxTargets=7,
        resource={"group": "x.y", "resource": "zs"},
    ).rule
    assert rule is not None
    assert rule.targets[0] == Target(
        name="it", finder=ByLabel("a"), group="x.y", resource="zs", in_namespace=False, max_targets=7
    )


def test_all_problems_are_told_at_once() -> None:
    verdict = compiled(
        priority=5000,
        source={**PODS, "matchConditions": [{"name": "c", "expression": "1 + 1"}]},
        targets=[
            {**NODE, "fieldPath": {"name": "spec..nodeName"}},
            {"name": "cel", "type": "CEL", "cel": {"expression": "object.("}},
        ],
        cluster={"mode": "CEL", "expression": "cluster."},
        link={"class": "runs on"},
    )
    assert problems(verdict) == [
        ("InvalidSpec", "spec.priority"),
        ("InvalidSpec", "spec.link.class"),
        ("InvalidExpression", "spec.targets[node].fieldPath.name"),
        ("InvalidExpression", "spec.source.matchConditions[c].expression"),
        ("InvalidExpression", "spec.targets[cel].cel.expression"),
        ("InvalidExpression", "spec.cluster.expression"),
    ]
    assert verdict.refusal == "InvalidSpec"
    assert "spec.link.class: 'runs on' is no word such as RunsOn" in verdict.message


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "FieldPath"},
        {"type": "CEL"},
        {"type": "Annotation"},
        {"type": "Label"},
        {"type": "Selector"},
        {"type": "FieldPath", "fieldPath": {"name": "a"}, "label": {"key": "a"}},
        {"type": "Owner", "resource": None, "helmRelease": {}},
        {"type": "HelmRelease", "owner": {}},
        {"type": "CEL", "cel": {"expression": "'x'"}, "selector": {"path": "a"}},
        {"type": "Label", "label": {"key": "a"}, "resource": None},
        {"type": "Selector", "selector": {"path": "a"}, "resource": None},
    ],
)
def test_the_member_has_to_fit_the_type(fields: Spec) -> None:
    assert problems(target(**fields)) == [("InvalidSpec", "spec.targets[it]")]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resource": "pods/status"}, ("Unsupported", "spec.targets[it].resource.resource")),
        ({"resource": "Nodes"}, ("InvalidSpec", "spec.targets[it].resource.resource")),
        ({"resource": "*"}, ("InvalidSpec", "spec.targets[it].resource.resource")),
        ({"resource": "nodes", "group": "*"}, ("InvalidSpec", "spec.targets[it].resource.group")),
    ],
)
def test_a_type_that_links_cannot_lead_to(resource: Spec, expected: tuple[str, str]) -> None:
    verdict = target(type="Label", label={"key": "a"}, resource=resource)
    assert problems(verdict) == [expected]


def test_owners_tell_their_type_themselves() -> None:
    assert problems(target(type="Owner")) == [("InvalidSpec", "spec.targets[it].resource")]


def test_a_subresource_is_no_source() -> None:
    verdict = compiled(source={"resources": [{"apiGroups": [""], "resources": ["pods/log"]}]})
    ((_, field),) = problems(verdict)
    assert field == "spec.source.resources[0].resources"
    assert "'pods'" in verdict.message


@pytest.mark.parametrize("key", ["", "a b", "/x", "a/b/c", "UPPER/x", "x" * 64])
def test_keys_that_no_object_can_have(key: str) -> None:
    assert ("InvalidSpec", "spec.targets[it].label.key") in problems(target(type="Label", label={"key": key}))


@pytest.mark.parametrize(
    ("cluster", "field"),
    [
        ({"mode": "Named"}, "spec.cluster"),
        ({"mode": "Label"}, "spec.cluster"),
        ({"mode": "CEL"}, "spec.cluster"),
        ({"mode": "Same", "name": "x"}, "spec.cluster"),
        ({"mode": "Named", "name": "x", "labelKey": "y"}, "spec.cluster"),
        ({"mode": "Named", "name": "No Name"}, "spec.cluster.name"),
        ({"aliases": [{"from": "a", "to": "B"}]}, "spec.cluster.aliases[a].to"),
        ({"aliases": [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}]}, "spec.cluster.aliases"),
    ],
)
def test_clusters_that_mean_nothing(cluster: Spec, field: str) -> None:
    assert field in [where for _, where in problems(compiled(cluster=cluster))]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"targets": []}, "spec.targets"),
        ({"targets": [NODE, NODE]}, "spec.targets"),
        ({"targets": [{**NODE, "name": "Node"}]}, "spec.targets[Node].name"),
        ({"targets": [{**NODE, "maxTargets": 0}]}, "spec.targets[node].maxTargets"),
        ({"source": {"resources": []}}, "spec.source.resources"),
        ({"link": {"grouping": "SameTrace"}}, "spec.link.role"),
        (
            {"source": {**PODS, "objectSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
            "spec.source.objectSelector.matchExpressions[0].values",
        ),
        (
            {"source": {**PODS, "matchConditions": [{"name": "a", "expression": "true"}] * 2}},
            "spec.source.matchConditions",
        ),
    ],
)
def test_what_else_is_refused(spec: Spec, field: str) -> None:
    assert problems(compiled(**spec)) == [("InvalidSpec", field)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"extra": 1}, "unknown field `extra`"),
        ({"link": {"role": "Owner"}}, "`spec.link.role`"),
        ({"targets": [{"name": "x", "type": "Magic"}]}, "`spec.targets[0].type`"),
        ({"source": None}, "`spec.source`"),
    ],
)
def test_what_is_no_rule_at_all_is_told_with_its_place(spec: Spec, said: str) -> None:
    verdict = compiled(**spec)
    assert problems(verdict) == [("InvalidSpec", "")]
    assert said in verdict.message


def test_an_empty_spec_is_refused() -> None:
    verdict = compile_rule(DeclaredObject(resource=LINK_RULES, name="rule"))
    assert not verdict.accepted
    assert "source" in verdict.message


def test_a_suspended_rule_is_accepted_and_not_carried_out() -> None:
    verdict = compiled(suspend=True)
    assert (verdict.accepted, verdict.suspended, verdict.rule) == (True, True, None)
    assert not compiled(suspend=True, targets=[]).accepted
