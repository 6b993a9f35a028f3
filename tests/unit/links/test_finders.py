"""Each kind of finder, through the linker: what an object names, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.model.rules import (
    ByAnnotation,
    ByExpression,
    ByHelmRelease,
    ByLabel,
    ByOwner,
    Finder,
    SourceSelector,
    TargetCluster,
)
from kubeweft.model.selectors import LabelSelector, MatchCondition, Requirement
from link_worlds import World, field, pattern, rule, selector, source, target

EVERY = SourceSelector(resources=(pattern("*"),))


def found(
    finder: Finder, obj: dict[str, Any], resource: str = "secrets", of: str = "pods/shop/web", **more: Any
) -> list[str]:
    """The targets that one object names by this finder."""
    world = World(rule("r", EVERY, target(finder, resource, **more)))
    world.take(of, obj)
    return world.targets(of)


def test_a_field_names_a_target() -> None:
    assert found(field("spec.nodeName"), {"spec": {"nodeName": "n1"}}, "nodes") == ["nodes/n1"]
    assert found(field("spec.nodeName"), {"spec": {}}, "nodes") == []
    assert found(field("spec.nodeName"), {"spec": {"nodeName": None}}, "nodes") == []
    assert found(field("spec.nodeName"), {"spec": "odd"}, "nodes") == []


def test_a_field_with_stars_names_several_once_and_sorted() -> None:
    volumes = [{"secret": {"secretName": name}} for name in ("b", "a", "b")] + [{"emptyDir": {}}, "odd"]
    assert found(field("spec.volumes[*].secret.secretName"), {"spec": {"volumes": volumes}}) == [
        "secrets/shop/a",
        "secrets/shop/b",
    ]
    assert found(field("spec.map[*].name"), {"spec": {"map": {"x": {"name": "a"}}}}) == ["secrets/shop/a"]
    assert found(field("spec.list[1]"), {"spec": {"list": ["x", "y"]}}) == ["secrets/shop/y"]
    assert found(field("spec.list"), {"spec": {"list": ["x", ["y"]]}}) == ["secrets/shop/x", "secrets/shop/y"]


def test_each_name_takes_the_namespace_of_its_own_item() -> None:
    subjects = [{"name": "a", "namespace": "x"}, {"name": "b"}, {"name": "c", "namespace": "y"}]
    assert found(field("subjects[*].name", "subjects[*].namespace"), {"subjects": subjects}) == [
        "secrets/shop/b",
        "secrets/x/a",
        "secrets/y/c",
    ]
    spec = {"ref": {"name": "a", "ns": "z"}}
    assert found(field("spec.ref.name", "spec.ref.ns"), {"spec": spec}) == ["secrets/z/a"]


def test_a_cluster_scoped_target_has_no_namespace() -> None:
    assert found(field("spec.a", "spec.b"), {"spec": {"a": "n", "b": "x"}}, "nodes") == ["nodes/n"]


def test_a_namespaced_target_of_a_cluster_scoped_source_needs_a_namespace() -> None:
    world = World(rule("r", EVERY, target(field("spec.a"), "secrets")))
    world.take("nodes/n", {"spec": {"a": "s"}})
    assert world.counts("r") == (1, 0, 1, 0, 0)


def test_names_that_are_none_are_errors_and_the_others_are_linked() -> None:
    world = World(rule("r", source("pods"), target(field("spec.names[*]"), "secrets")))
    world.take("pods/shop/web", {"spec": {"names": ["a/b", "fine", "..", "x" * 254, "a%b", "a\nb"]}})
    assert world.targets("pods/shop/web") == ["secrets/shop/fine"]
    assert world.counts("r")[4] == 5
    assert "pods/shop/web: targets[it]: a target needs a name" in world.linker.statistics()["r"].first_error


def test_a_field_of_another_kind_is_an_error() -> None:
    world = World(rule("r", source("pods"), target(field("spec.a"), "secrets")))
    world.take("pods/shop/web", {"spec": {"a": 7}})
    assert world.counts("r") == (1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("format_", "text", "expected"),
    [
        ("Name", "a, b,,a", ["secrets/shop/a", "secrets/shop/b"]),
        ("NamespacedName", "x/a, b", ["secrets/shop/b", "secrets/x/a"]),
        ("NamespacedName", "   ", []),
        ("JSON", '"a"', ["secrets/shop/a"]),
        ("JSON", '["a", {"name": "b", "namespace": "x"}, null, ""]', ["secrets/shop/a", "secrets/x/b"]),
        ("JSON", '{"name": "d", "group": "apps", "resource": "deployments"}', ["deployments/shop/d"]),
        ("JSON", '{"name": "d", "apiVersion": "apps/v1", "kind": "Deployment"}', ["deployments/shop/d"]),
        ("JSON", '{"name": "n", "kind": "Node", "namespace": "odd"}', ["nodes/n"]),
    ],
)
def test_annotations(format_: Any, text: str, expected: list[str]) -> None:
    obj = {"metadata": {"annotations": {"links": text}}}
    assert found(ByAnnotation(key="links", format=format_), obj) == expected


@pytest.mark.parametrize(
    "text", ["{", "7", '{"nam": "a"}', '{"namespace": "a"}', '{"name": 7}', "[[1]]", "x" * 70_000]
)
def test_malformed_annotations_are_errors(text: str) -> None:
    world = World(rule("r", source("pods"), target(ByAnnotation(key="links", format="JSON"), "secrets")))
    world.take("pods/shop/web", {"metadata": {"annotations": {"links": text}}})
    assert world.counts("r") == (1, 0, 0, 0, 1)


def test_another_separator() -> None:
    obj = {"metadata": {"annotations": {"links": "a; b"}}}
    assert found(ByAnnotation(key="links", format="Name", separator=";"), obj) == [
        "secrets/shop/a",
        "secrets/shop/b",
    ]


def test_a_label_names_a_target() -> None:
    assert found(ByLabel("of"), {"metadata": {"labels": {"of": "x"}}}) == ["secrets/shop/x"]
    assert found(ByLabel("of"), {"metadata": {"labels": {"of": ""}}}) == []
    assert found(ByLabel("of"), {"metadata": {"labels": None}}) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("object.spec.?a", ["secrets/shop/x"]),
        ("object.spec.?b", []),
        ("[object.spec.a, {'name': 'n', 'kind': 'Node'}]", ["nodes/n", "secrets/shop/x"]),
        ("{'name': 'p', 'group': '', 'resource': 'pods', 'namespace': 'y', 'uid': '1'}", ["pods/y/p"]),
        ("{'name': 'p', 'cluster': 'west'}", ["prod-west:secrets/shop/p"]),
        ("object.spec.?b.optMap(b, {'name': b})", []),
    ],
)
def test_expressions(text: str, expected: list[str]) -> None:
    world = World(
        rule("r", source("pods"), target(ByExpression(text), "secrets"),
             cluster=TargetCluster(aliases=(("west", "prod-west"),)))
    )  # fmt: skip
    world.take("pods/shop/web", {"spec": {"a": "x"}})
    assert world.targets("pods/shop/web") == expected


def test_a_failing_expression_is_counted_until_it_is_right() -> None:
    world = World(rule("r", source("pods"), target(ByExpression("object.spec.a"), "secrets")))
    world.take("pods/shop/web", {"spec": {}})
    assert world.counts("r") == (1, 0, 0, 0, 1)
    world.take("pods/shop/web", {"spec": {"a": "x"}})
    assert world.counts("r") == (1, 0, 1, 0, 0)
    assert world.linker.statistics()["r"].first_error == ""


def test_a_result_without_a_type_is_an_error() -> None:
    world = World(rule("r", source("pods"), target(ByExpression("'x'"))))
    world.take("pods/shop/web")
    assert "resource type" in world.linker.statistics()["r"].first_error


OWNERS = [
    {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"},
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "2", "controller": True},
    {"kind": "Broken"},
    "odd",
]


def test_owners() -> None:
    obj = {"metadata": {"ownerReferences": OWNERS}}
    assert found(ByOwner(controller_only=False), obj, "") == ["replicasets/shop/rs", "nodes/n"][::-1]
    assert found(ByOwner(), obj, "") == ["replicasets/shop/rs"]
    assert found(ByOwner(controller_only=False), obj, "nodes") == ["nodes/n"]
    assert found(ByOwner(), {"metadata": {"ownerReferences": 7}}, "") == []


def test_the_owner_rule_takes_the_class_of_each_reference() -> None:
    owner = target(ByOwner(controller_only=False))
    world = World(
        rule("owner", source("pods"), owner, role="Parent", link_class="Controls", direction="Both")
    )
    world.take("pods/shop/web", {"metadata": {"ownerReferences": OWNERS}})
    (relations,) = world.told.values()
    assert {(each.target.name, each.link_class, each.role, each.direction) for each in relations} == {
        ("n", "Owns", "Parent", "Both"),
        ("rs", "Controls", "Parent", "Both"),
    }


HELM = {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "apps"}
LABELS = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "by-label"}


@pytest.mark.parametrize(
    ("storage", "annotations", "labels", "expected"),
    [
        ("Auto", HELM, LABELS, ["releases/apps/shop"]),
        ("Auto", {}, LABELS, ["releases/shop/by-label"]),
        ("Auto", {}, {"app.kubernetes.io/instance": "x"}, []),
        ("Annotations", {}, LABELS, []),
        ("Annotations", {"meta.helm.sh/release-name": "shop"}, {}, ["releases/shop/shop"]),
        ("ManagedByLabel", HELM, LABELS, ["releases/shop/by-label"]),
        ("ManagedByLabel", HELM, {}, []),
    ],
)
def test_helm_releases(
    storage: Any, annotations: dict[str, str], labels: dict[str, str], expected: list[str]
) -> None:
    world = World(rule("r", source("pods"), target(ByHelmRelease(storage))))
    world.take("pods/shop/web", {"metadata": {"annotations": annotations, "labels": labels}})
    assert world.targets("pods/shop/web") == expected
    assert world.counts("r")[:3] == (1, len(expected), 0)  # always resolved


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (TargetCluster(), ["nodes/n"]),
        (TargetCluster(mode="Named", name="west"), ["west:nodes/n"]),
        (TargetCluster(mode="Named", name="w", aliases=(("w", "west"),)), ["west:nodes/n"]),
        (TargetCluster(mode="Label", label_key="to", aliases=(("w", "west"),)), ["west:nodes/n"]),
        (TargetCluster(mode="Label", label_key="missing"), []),
        (TargetCluster(mode="CEL", expression="cluster.labels.?peer"), ["east:nodes/n"]),
        (TargetCluster(mode="CEL", expression="cluster.name"), ["nodes/n"]),
        (TargetCluster(mode="CEL", expression="object.?nothing"), []),
    ],
)
def test_the_cluster_of_targets(cluster: TargetCluster, expected: list[str]) -> None:
    one = rule("r", source("pods"), target(field("spec.nodeName"), "nodes"), cluster=cluster)
    world = World(one, local={"peer": "east"})
    world.take("pods/shop/web", {"metadata": {"labels": {"to": "w"}}, "spec": {"nodeName": "n"}})
    assert world.targets("pods/shop/web") == expected
    assert world.counts("r")[4] == 0


def test_a_cluster_that_is_no_text_is_an_error() -> None:
    cluster = TargetCluster(mode="CEL", expression="7")
    world = World(rule("r", source("pods"), target(field("spec.nodeName"), "nodes"), cluster=cluster))
    world.take("pods/shop/web", {"spec": {"nodeName": "n"}})
    assert world.counts("r")[4] == 1


def test_sources_are_chosen_by_cluster_namespace_labels_and_conditions() -> None:
    chosen = source(
        "pods",
        clusters=frozenset({"local"}),
        namespaces=frozenset({"shop"}),
        object_selector=LabelSelector((Requirement("app", "Exists"),)),
        conditions=(MatchCondition("running", "object.status.phase == 'Running'"),),
    )
    world = World(rule("r", chosen, target(field("spec.nodeName"), "nodes")))
    obj = {"metadata": {"labels": {"app": "x"}}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    assert world.take("pods/shop/a", obj) == ["pods/shop/a"]
    assert world.take("pods/other/a", obj) == []
    assert world.take("pods/shop/b", obj, cluster="west") == []
    assert world.take("pods/shop/c", {**obj, "metadata": {}}) == []
    assert world.take("pods/shop/d", {**obj, "status": {"phase": "Pending"}}) == []
    assert world.counts("r")[4] == 0
    assert world.take("pods/shop/e", {**obj, "status": {}}) == []
    assert "source.matchConditions[running]" in world.linker.statistics()["r"].first_error


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"app": "a"}, ["a1", "a2"]),
        ({"matchLabels": {"app": "a"}}, ["a1", "a2"]),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, ["a1", "a2", "b1"]),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, ["b1", "none"]),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, ["a1", "a2", "b1"]),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, ["none"]),
        ({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, ["a2"]),
        ({}, ["a1", "a2", "b1", "none"]),
        (None, []),
    ],
)
def test_selectors(written: Any, expected: list[str]) -> None:
    world = World(rule("r", source("services"), target(selector("spec.selector"), "pods")))
    for name, labels in {
        "a1": {"app": "a"},
        "a2": {"app": "a", "x": ""},
        "b1": {"app": "b"},
        "none": {},
    }.items():
        world.take(f"pods/shop/{name}", {"metadata": {"labels": labels}})
        world.take(f"pods/other/{name}", {"metadata": {"labels": labels}})
    world.take("services/shop/s", {"spec": {"selector": written}})
    assert world.targets("services/shop/s") == [f"pods/shop/{name}" for name in expected]


@pytest.mark.parametrize(
    "written",
    [7, {"app": 7}, {"matchExpressions": [7]}, {"matchExpressions": [{"key": "a", "operator": "Near"}]},
     {"matchExpressions": [{"key": "a", "operator": "In"}]}, {"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]},
     {"matchLabels": {str(number): "" for number in range(300)}}],
)  # fmt: skip
def test_malformed_selectors_are_errors(written: Any) -> None:
    world = World(rule("r", source("services"), target(selector("spec.selector"), "pods")))
    world.take("services/shop/s", {"spec": {"selector": written}})
    assert world.counts("r") == (1, 0, 0, 0, 1)


def test_a_selector_may_reach_all_namespaces() -> None:
    everywhere = target(selector("spec.selector"), "pods", in_namespace=False)
    world = World(rule("r", source("services"), everywhere))
    world.take("pods/a/p", {"metadata": {"labels": {"app": "x"}}})
    world.take("services/shop/s", {"spec": {"selector": {"app": "x"}}})
    world.take("pods/b/p", {"metadata": {"labels": {"app": "x"}}})
    assert world.targets("services/shop/s") == ["pods/a/p", "pods/b/p"]
