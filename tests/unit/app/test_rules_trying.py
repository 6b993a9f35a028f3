"""Trying rules: the world they see, whom they are asked about, and what is told of them."""

from __future__ import annotations

from typing import Any

import orjson

from kubeweft.app.rules.documents import Document
from kubeweft.app.rules.explaining import explain
from kubeweft.app.rules.rulebook import DeclaredRule, declared_rule
from kubeweft.app.rules.trying import Limits, Outcome, try_rules
from kubeweft.app.rules.world import World
from kubeweft.app.rules.writing import outcome_as_json, sum_up
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey

Object = dict[str, Any]
PODS = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
NODE = {
    "name": "node",
    "type": "FieldPath",
    "resource": {"resource": "nodes"},
    "fieldPath": {"name": "spec.nodeName"},
}


def rule(**spec: Any) -> DeclaredRule:
    """A LinkRule from Pods to Nodes but for what is given."""
    body = {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "LinkRule",
        "metadata": {"name": "r"},
        "spec": {"source": PODS, "targets": [NODE], **spec},
    }
    return declared_rule(Document("rule.yaml", body))


def world(*bodies: Object, cluster: str = "local", namespace: str = "default") -> World:
    """A world of these objects."""
    made = World(Kinds(), namespace=namespace)
    documents = [Document("file", body) for body in bodies]
    made.learn(documents)
    for document in documents:
        made.put(document, cluster=cluster)
    return made


def obj(
    kind: str, name: str, api_version: str = "v1", *, metadata: Object | None = None, **fields: Any
) -> Object:
    """An object."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **(metadata or {})}, **fields}


def pod(name: str, namespace: str = "shop") -> Object:
    """A Pod on a Node of the same name."""
    return obj("Pod", name, metadata={"namespace": namespace}, spec={"nodeName": name})


def tried(declared: DeclaredRule, where: World, limits: Limits | None = None) -> Outcome:
    """What the rule makes of the world."""
    assert declared.verdict.rule is not None, declared.verdict.message
    (outcome,) = try_rules([declared.verdict.rule], where, limits=limits or Limits())
    return outcome


def sources(outcome: Outcome) -> list[str]:
    """The names of what is linked."""
    return [link.source.name for link in outcome.links]


def test_objects_lie_under_the_keys_that_the_operator_gives_them() -> None:
    made = world(pod("a"), obj("Node", "a"), obj("ConfigMap", "c"), namespace="shop")
    assert set(made.objects) == {
        ObjectKey("local", "", "pods", "shop", "a"),
        ObjectKey("local", "", "nodes", "", "a"),
        ObjectKey("local", "", "configmaps", "shop", "c"),
    }


def test_types_that_nobody_knows_are_learned_from_definitions_or_guessed() -> None:
    definition = obj(
        "CustomResourceDefinition",
        "mice.example.org",
        "apiextensions.k8s.io/v1",
        spec={"group": "example.org", "scope": "Cluster", "names": {"plural": "mice", "kind": "Mouse"}},
    )
    made = world(
        obj("Mouse", "m", "example.org/v1"),
        definition,
        obj("Policy", "p", "example.org/v1", metadata={"namespace": "shop"}),
    )
    assert ObjectKey("local", "example.org", "mice", "", "m") in made.objects
    assert ObjectKey("local", "example.org", "policies", "shop", "p") in made.objects


def test_secrets_are_left_out_of_the_world() -> None:
    made = world(obj("Secret", "s", metadata={"namespace": "shop"}, data={"key": "c2VjcmV0"}))
    (body,) = made.objects.values()
    assert b"c2VjcmV0" not in body
    assert orjson.loads(body)["metadata"]["name"] == "s"


def test_clusters_come_from_policies_with_their_labels() -> None:
    policy = obj(
        "TracingPolicy",
        "p",
        "kubeweft.io/v1alpha1",
        spec={"clusters": [{"name": "east", "labels": {"region": "eu"}}]},
    )
    made = world(policy, pod("a"))
    assert made.clusters == {"east": {"region": "eu"}, "local": {}}
    labelled = rule(
        source={**PODS, "matchConditions": [{"name": "eu", "expression": "cluster.labels.region == 'eu'"}]}
    )
    made.put(Document("file", pod("b")), cluster="east")
    assert [link.source.cluster for link in tried(labelled, made).links] == ["east"]


def test_limits_narrow_the_sources_and_not_the_targets() -> None:
    made = world(pod("a"), pod("b"), pod("a", "other"), obj("Node", "a"))
    pods = made.kinds.kind_of("", "pods")
    assert sources(tried(rule(), made)) == ["a", "a", "b"]
    assert sources(tried(rule(), made, Limits(namespace="shop"))) == ["a", "b"]
    one = tried(rule(), made, Limits(namespace="shop", type=pods, name="a"))
    assert [(link.source.namespace, link.state) for link in one.links] == [("shop", "found")]
    nodes = made.kinds.kind_of("", "nodes")
    assert tried(rule(), made, Limits(type=nodes, name="a")) == Outcome(rule=one.rule)
    elsewhere = rule(source={**PODS, "namespaces": ["other"]})
    assert sources(tried(elsewhere, made, Limits(namespace="shop"))) == []
    assert sources(tried(elsewhere, made, Limits(type=pods, name="a"))) == ["a"]


def test_a_name_is_never_taken_for_an_expression() -> None:
    made = world(pod("a"))
    limits = Limits(type=made.kinds.kind_of("", "pods"), name='x" || true || "')
    outcome = tried(rule(), made, limits)
    assert (outcome.matched, outcome.errors) == ((), 0)


def test_namespaces_are_found_wherever_they_stand() -> None:
    selected = rule(source={**PODS, "namespaceSelector": {"matchLabels": {"team": "a"}}})
    made = world(pod("a"), pod("b", "other"), obj("Namespace", "shop", metadata={"labels": {"team": "a"}}))
    outcome = tried(selected, made)
    assert sources(outcome) == ["a"]
    assert [key.name for key in outcome.matched] == ["a"]


def test_errors_and_limits_are_told_with_the_objects() -> None:
    failing = rule(
        targets=[
            {
                "name": "x",
                "type": "CEL",
                "resource": {"resource": "nodes"},
                "cel": {"expression": "object.spec.none"},
            }
        ]
    )
    outcome = tried(failing, world(pod("a"), pod("b")))
    assert (outcome.errors, [key.name for key in outcome.failed]) == (2, ["a", "b"])
    assert outcome.first_error
    many = obj("Pod", "m", metadata={"namespace": "shop"}, spec={"nodes": ["n1", "n2", "n3"]})
    limited = rule(targets=[{**NODE, "fieldPath": {"name": "spec.nodes[*]"}, "maxTargets": 2}])
    outcome = tried(limited, world(many))
    assert (len(outcome.links), outcome.over_limit) == (2, 1)
    assert sum_up(outcome) == (
        "1 object matched, 2 links, 2 to what is missing, 1 target beyond 'maxTargets' not linked"
    )


def test_a_type_that_nobody_knows_is_told_and_not_resolved() -> None:
    unknown = rule(targets=[{**NODE, "resource": {"group": "example.org", "resource": "widgets"}}])
    outcome = tried(unknown, world(pod("a")))
    assert (outcome.links, outcome.unknown, outcome.is_resolved) == ((), 1, False)
    assert "1 target of unknown type or cluster" in sum_up(outcome)


def test_the_json_has_everything() -> None:
    (link,) = outcome_as_json(tried(rule(), world(pod("a"), obj("Node", "a"))))["links"]
    assert link["target"] == {
        "cluster": "local",
        "group": "",
        "resource": "nodes",
        "namespace": "",
        "name": "a",
    }
    assert (link["targetState"], link["role"], link["class"]) == ("found", "Peer", "References")
    assert (link["direction"], link["sameTrace"]) == ("SourceToTarget", False)


def explained(declared: DeclaredRule) -> dict[str, str]:
    """The lines by what they are about."""
    return dict(explain(declared))


def test_every_part_of_a_rule_is_explained() -> None:
    lines = explained(
        rule(
            source={
                "resources": [{"apiGroups": ["apps"], "resources": ["deployments", "daemonsets"]}],
                "clusters": ["a", "b"],
                "namespaces": ["shop"],
                "objectSelector": {
                    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["x", "y"]}]
                },
                "matchConditions": [{"name": "big", "expression": "object.spec.replicas > 3"}],
            },
            targets=[
                {
                    "name": "it",
                    "type": "Annotation",
                    "resource": {"group": "example.org", "resource": "widgets"},
                    "annotation": {"key": "example.org/widget"},
                }
            ],
            cluster={"mode": "Named", "name": "hub", "aliases": [{"from": "HUB", "to": "hub"}]},
            link={"role": "Parent", "grouping": "SameTrace", "class": "MadeBy"},
            priority=9,
        )
    )
    assert lines["reads"] == "daemonsets.apps, deployments.apps"
    assert lines["in clusters"] == "a, b"
    assert lines["with labels"] == "tier in (x, y)"
    assert lines["if big"] == "object.spec.replicas > 3 is true"
    assert lines["target it"].startswith("widgets.example.org named in the annotation example.org/widget")
    assert lines["cluster"] == "always hub (HUB means hub)"
    assert lines["link"].startswith("MadeBy; each target is a parent of the object")
    assert lines["grouping"].startswith("SameTrace")
    assert lines["priority"].startswith("9;")


def test_a_rule_that_is_refused_or_suspended_says_so_first() -> None:
    assert explain(rule(suspend=True))[0] == ("state", "accepted, but suspended: it links nothing")
    assert "reads" in explained(rule(suspend=True))
    assert explain(rule(targets=[])) == [
        ("state", "refused: InvalidSpec"),
        ("problem", "spec.targets: must not be empty: a rule without targets links nothing"),
    ]
