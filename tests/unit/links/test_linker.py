"""The linker over time: objects, rules, kinds and namespaces come, change and go."""

from __future__ import annotations

import itertools
import sys

from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ResourceType
from kubeweft.model.rules import ByExpression, ByOwner, LinkRule, SourceSelector, Target, TargetCluster
from kubeweft.model.selectors import LabelSelector, Requirement
from link_worlds import World, field, key, pattern, rule, selector, source, target

NODE = rule("node", source("pods"), target(field("spec.nodeName"), "nodes"))
SERVICE = rule("service", source("services"), target(selector("spec.selector"), "pods"), role="Child")
LABELS = {"app": "web"}
WEB = {"metadata": {"labels": LABELS}, "spec": {"nodeName": "n1"}}
SELECTS_WEB = {"spec": {"selector": {"app": "web"}}}


def test_nothing_is_read_without_rules() -> None:
    world = World()
    assert world.again == frozenset()
    assert not world.linker.reads("", "pods")
    assert not world.linker.is_touched("", "pods", frozenset({"spec"}))
    assert world.linker.take(key("pods/shop/web"), b"{}", time=1) == []
    assert world.linker.statistics() == {}


def test_a_change_is_told_once_and_what_is_told_anew_again() -> None:
    world = World(NODE)
    assert world.take("pods/shop/a", WEB, time=5) == ["pods/shop/a"]
    assert world.times[key("pods/shop/a")] == 5
    assert world.change("pods/shop/a", WEB, {**WEB, "data": {}}, time=6) == []
    assert world.take("pods/shop/a", WEB, time=6) == ["pods/shop/a"], "it may have been lost the first time"
    assert world.take("pods/shop/a", {"spec": {}}, time=7) == ["pods/shop/a"]
    assert world.targets("pods/shop/a") == []


def test_targets_become_known_and_unknown() -> None:
    world = World(NODE)
    world.take("pods/shop/a", WEB)
    world.take("pods/shop/b", WEB)
    assert world.counts("node")[:3] == (2, 0, 2)
    assert world.take("nodes/n1") == []
    assert world.counts("node")[:3] == (2, 2, 0)
    world.gone("nodes/n1")
    assert world.counts("node")[:3] == (2, 0, 2)
    world.gone("pods/shop/a")
    assert world.counts("node")[:3] == (1, 0, 1)


def test_a_source_that_is_gone_keeps_its_own_links() -> None:
    world = World(NODE, SERVICE)
    world.take("services/shop/s", SELECTS_WEB)
    world.take("pods/shop/a", WEB)
    assert world.gone("pods/shop/a", time=20) == ["services/shop/s"]
    assert world.times[key("services/shop/s")] == 20


def test_an_object_that_comes_back_without_links_says_so() -> None:
    world = World(NODE)
    world.take("pods/shop/a", WEB)
    world.gone("pods/shop/a")
    assert world.take("pods/shop/a", {"spec": {}}) == ["pods/shop/a"]
    assert world.take("pods/shop/a", {"spec": {}}) == []


def test_the_limit_takes_the_first_by_name_and_counts_the_rest() -> None:
    limited = rule("r", source("pods"), target(field("spec.names[*]"), "secrets", max_targets=2))
    world = World(limited)
    world.take("pods/shop/a", {"spec": {"names": ["d", "b", "c", "a", "b"]}})
    assert world.targets("pods/shop/a") == ["secrets/shop/a", "secrets/shop/b"]
    assert world.counts("r") == (1, 0, 2, 2, 0)


def test_the_limit_of_a_selector_lets_others_move_up() -> None:
    limited = rule("r", source("services"), target(selector("spec.selector"), "pods", max_targets=2))
    world = World(limited)
    world.take("services/shop/s", SELECTS_WEB)
    for name in ("d", "b", "c", "a"):
        world.take(f"pods/shop/{name}", WEB)
    assert world.targets("services/shop/s") == ["pods/shop/a", "pods/shop/b"]
    assert world.counts("r") == (1, 2, 0, 2, 0)
    world.gone("pods/shop/a")
    assert world.targets("services/shop/s") == ["pods/shop/b", "pods/shop/c"]
    world.take("pods/shop/b", {"metadata": {"labels": {"app": "other"}}})
    assert world.targets("services/shop/s") == ["pods/shop/c", "pods/shop/d"]
    assert world.counts("r") == (1, 2, 0, 0, 0)


def test_the_time_of_a_selection_is_that_of_what_came_last() -> None:
    world = World(SERVICE)
    world.take("pods/shop/a", WEB, time=20)
    world.take("services/shop/s", SELECTS_WEB, time=10)
    assert world.times[key("services/shop/s")] == 20
    world.take("pods/shop/b", WEB, time=5)
    assert world.times[key("services/shop/s")] == 20


def test_changes_of_other_fields_do_not_matter() -> None:
    world = World(NODE, SERVICE)
    touched = world.linker.is_touched
    assert touched("", "pods", frozenset({"spec"}))
    assert touched("", "pods", frozenset({"metadata", "status"}))
    assert not touched("", "pods", frozenset({"status"}))
    assert not touched("", "services", frozenset({"metadata"}))
    assert not touched("", "nodes", frozenset({"spec", "metadata"}))
    world = World(rule("all", source("pods"), target(ByExpression("object['spec'].x"), "nodes")))
    assert world.linker.is_touched("", "pods", frozenset({"status"}))


def test_rules_come_change_and_go() -> None:
    world = World(NODE)
    world.take("pods/shop/a", WEB)
    world.take("nodes/n1")
    assert world.linker.use([NODE]) == frozenset()
    assert world.linker.use([NODE, SERVICE]) == {("", "services"), ("", "pods")}
    world.take("services/shop/s", SELECTS_WEB)
    world.take("pods/shop/a", WEB)
    assert world.targets("services/shop/s") == ["pods/shop/a"]
    assert world.counts("node")[:3] == (1, 1, 0)

    changed = rule("node", source("pods"), target(field("spec.other"), "nodes"))
    assert world.linker.use([changed, SERVICE]) == {("", "pods")}
    assert world.take("pods/shop/a", WEB) == ["pods/shop/a"]
    assert world.targets("pods/shop/a") == []

    assert world.linker.use([changed]) == {("", "services")}
    assert world.linker.reads("", "services")
    assert world.take("services/shop/s", SELECTS_WEB) == ["services/shop/s"]
    assert world.targets("services/shop/s") == []
    assert not world.linker.reads("", "services")
    assert set(world.linker.statistics()) == {"node"}


def test_a_rule_that_comes_back_has_right_numbers() -> None:
    world = World(NODE, SERVICE)
    for _ in range(3):
        world.linker.use([])
        assert world.linker.use([NODE, SERVICE]) >= {("", "services"), ("", "pods")}
        world.take("nodes/n1")
        world.take("services/shop/s", SELECTS_WEB)
        world.take("pods/shop/a", WEB)
    assert world.counts("node") == (1, 1, 0, 0, 0)
    assert world.counts("service") == (1, 1, 0, 0, 0)
    world.gone("pods/shop/a")
    world.gone("services/shop/s")
    assert world.counts("node") == world.counts("service") == (0, 0, 0, 0, 0)


def test_what_is_not_read_any_more_is_not_taken_for_known() -> None:
    world = World(NODE)
    world.take("nodes/n1")
    world.linker.use([])
    world.linker.use([NODE])
    world.take("pods/shop/a", WEB)
    assert world.counts("node")[:3] == (1, 0, 1)


def test_a_rule_that_does_not_compile_says_so_and_stops_nothing() -> None:
    broken = rule("broken", source("pods"), target(ByExpression("object."), "nodes"))
    world = World(broken, NODE)
    world.take("pods/shop/a", WEB)
    assert world.targets("pods/shop/a") == ["nodes/n1"]
    assert "Syntax error" in world.linker.statistics()["broken"].first_error


def test_statistics_are_a_copy() -> None:
    world = World(NODE)
    before = world.linker.statistics()["node"]
    world.take("pods/shop/a", WEB)
    assert before == RuleStatistics()


def test_cluster_labels_matter_only_to_rules_that_read_them() -> None:
    reading = rule("r", source("services"), target(ByExpression("cluster.labels.?node"), "nodes"))
    world = World(NODE, reading)
    world.take("services/shop/s")
    assert world.linker.use([NODE, reading], clusters={"local": {"node": "n9"}}) == {("", "services")}
    world.take("services/shop/s")
    assert world.targets("services/shop/s") == ["nodes/n9"]


def test_an_unknown_type_is_unresolved_until_it_is_known() -> None:
    kinds = Kinds()
    widget = Target(name="w", finder=field("spec.widget"), group="acme.io", resource="widgets")
    world = World(rule("r", source("pods"), widget), kinds=kinds)
    world.take("pods/shop/a", {"spec": {"widget": "w1"}})
    assert world.counts("r") == (1, 0, 1, 0, 0)
    assert world.targets("pods/shop/a") == []
    assert world.linker.kinds_grown() == frozenset()
    kinds.learn(ResourceType("acme.io", "v1", "widgets", "Widget", False))
    assert world.linker.kinds_grown() == {("", "pods")}
    assert world.linker.kinds_grown() == frozenset()
    world.take("pods/shop/a", {"spec": {"widget": "w1"}})
    assert world.targets("pods/shop/a") == ["widgets/w1"]
    assert world.counts("r") == (1, 0, 1, 0, 0)


def test_an_owner_of_an_unknown_kind_waits_for_it() -> None:
    kinds = Kinds()
    world = World(rule("r", source("pods"), target(ByOwner())), kinds=kinds)
    owner = {"apiVersion": "acme.io/v1", "kind": "Widget", "name": "w", "uid": "1", "controller": True}
    world.take("pods/shop/a", {"metadata": {"ownerReferences": [owner]}})
    assert world.counts("r")[:3] == (1, 0, 1)
    kinds.learn(ResourceType("acme.io", "v1", "widgets", "Widget", True))
    assert world.linker.kinds_grown() == {("", "pods")}


def owned(kind: str, name: str) -> dict[str, object]:
    """An object with one controller."""
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}
    return {"metadata": {"ownerReferences": [reference]}}


def test_the_root_owner_follows_the_owners_between() -> None:
    root = rule("root", source("pods"), target(ByOwner(recursive=True)), role="Parent", link_class="Root")
    steps = [("pods/shop/p", owned("ReplicaSet", "rs")), ("replicasets/shop/rs", owned("Deployment", "d")),
             ("deployments/shop/d", {})]  # fmt: skip
    for order in itertools.permutations(steps):
        world = World(root)
        for name, obj in order:
            world.take(name, obj)
        assert world.targets("pods/shop/p") == ["deployments/shop/d"]
        assert world.counts("root")[:3] == (1, 1, 0)
        assert world.gone("replicasets/shop/rs") == ["pods/shop/p"]
        assert world.targets("pods/shop/p") == ["replicasets/shop/rs"]
        world.gone("pods/shop/p")
        assert world.counts("root")[:3] == (0, 0, 0)


def test_owners_in_a_circle_end() -> None:
    world = World(rule("root", source("pods"), target(ByOwner(recursive=True))))
    world.take("pods/shop/p", owned("ReplicaSet", "a"))
    world.take("replicasets/shop/a", owned("ReplicaSet", "b"))
    world.take("replicasets/shop/b", owned("ReplicaSet", "a"))
    assert world.targets("pods/shop/p") == ["replicasets/shop/b"]


def test_namespace_labels_choose_sources_whenever_they_come() -> None:
    gold = source("pods", namespace_selector=LabelSelector((Requirement("tier", "In", frozenset({"gold"})),)))
    world = World(rule("r", gold, target(field("spec.nodeName"), "nodes")))
    assert world.linker.reads("", "namespaces")
    assert world.take("pods/shop/a", WEB, time=5) == []
    assert world.take("namespaces/shop", {"metadata": {"labels": {"tier": "gold"}}}, time=7) == [
        "pods/shop/a"
    ]
    assert world.times[key("pods/shop/a")] == 7
    assert world.take("namespaces/shop", {"metadata": {"labels": {"tier": "gold"}, "uid": "x"}}) == []
    assert world.take("pods/other/a", WEB) == []
    assert world.take("namespaces/shop", {"metadata": {"labels": {"tier": "tin"}}}, time=9) == ["pods/shop/a"]
    assert world.targets("pods/shop/a") == []
    assert world.counts("r")[0] == 0


def test_a_namespace_object_is_seen_by_expressions() -> None:
    world = World(
        rule(
            "r",
            source("pods"),
            target(ByExpression("namespaceObject == null ? '' : namespaceObject.spec.node"), "nodes"),
        )
    )
    world.take("pods/shop/a", WEB)
    assert world.counts("r")[4] == 0
    assert world.take("namespaces/shop", {"spec": {"node": "n7"}}) == ["pods/shop/a"]
    assert world.targets("pods/shop/a") == ["nodes/n7"]
    assert world.gone("namespaces/shop") == []
    world.gone("pods/shop/a")
    assert world.take("pods/shop/b", WEB) == []


def test_rules_stop_to_ask_for_namespaces() -> None:
    gold = source("pods", namespace_selector=LabelSelector((Requirement("tier", "Exists"),)))
    asking = rule("r", gold, target(field("spec.nodeName"), "nodes"))
    world = World(asking)
    world.take("pods/shop/a", WEB)
    world.linker.use([NODE])
    assert world.take("pods/shop/a", WEB) == ["pods/shop/a"]
    world.linker.use([NODE, asking])
    assert world.take("namespaces/shop", {"metadata": {"labels": {"tier": "x"}}}) == []
    world.take("pods/shop/a", WEB)
    assert world.targets("pods/shop/a") == ["nodes/n1", "nodes/n1"]


def test_of_several_parents_only_the_first_takes_the_object_into_its_trace() -> None:
    def parent(name: str, path: str, priority: int) -> LinkRule:
        return rule(
            name,
            source("pods"),
            target(field(path), "nodes"),
            role="Parent",
            same_trace=True,
            priority=priority,
        )

    world = World(
        parent("b", "spec.list[*]", 5), parent("a", "spec.nodeName", 5), parent("c", "spec.nodeName", 9)
    )
    world.take("pods/shop/p", {"spec": {"list": ["x", "y"]}})
    assert [each.same_trace for each in world.told[key("pods/shop/p")]] == [True, False]
    world.take("pods/shop/p", {"spec": {"list": ["x", "y"], "nodeName": "n"}})
    assert [(each.rule, each.same_trace) for each in world.told[key("pods/shop/p")]] == [
        ("c", True), ("a", False), ("b", False), ("b", False),
    ]  # fmt: skip
    world.gone("pods/shop/p")
    assert world.counts("a")[:3] == world.counts("b")[:3] == (0, 0, 0)


def test_children_all_go_into_the_trace_of_the_source() -> None:
    grouped = rule(
        "s", source("services"), target(selector("spec.selector"), "pods"), role="Child", same_trace=True
    )
    world = World(grouped)
    world.take("pods/shop/a", WEB)
    world.take("pods/shop/b", WEB)
    world.take("services/shop/s", SELECTS_WEB)
    assert [each.same_trace for each in world.told[key("services/shop/s")]] == [True, True]


def test_an_object_is_no_target_of_itself() -> None:
    world = World(
        rule("a", source("pods"), target(selector("spec.of"), "pods")),
        rule("b", source("pods"), target(field("spec.me"), "pods")),
    )
    world.take("pods/shop/p", {"metadata": {"labels": {"x": "y"}}, "spec": {"of": {"x": "y"}, "me": "p"}})
    assert world.targets("pods/shop/p") == []


def test_two_targets_of_one_rule_name_the_same_object_once() -> None:
    world = World(
        rule(
            "r",
            source("pods"),
            target(field("spec.a"), "nodes", name="a"),
            target(field("spec.b"), "nodes", name="b"),
        )
    )
    world.take("pods/shop/p", {"spec": {"a": "n", "b": "n"}})
    assert world.targets("pods/shop/p") == ["nodes/n"]
    assert world.counts("r")[:3] == (1, 0, 1)


def test_links_lead_into_another_cluster_and_back() -> None:
    there = rule("r", source("pods"), target(field("spec.nodeName"), "nodes"),
                 cluster=TargetCluster(mode="Named", name="west"))  # fmt: skip
    world = World(there)
    world.take("pods/shop/a", WEB)
    world.take("nodes/n1")
    assert world.counts("r")[:3] == (1, 0, 1)
    world.take("nodes/n1", cluster="west")
    assert world.counts("r")[:3] == (1, 1, 0)


def test_odd_bodies_name_nothing() -> None:
    world = World(NODE, SERVICE, rule("o", SourceSelector(resources=(pattern("*"),)), target(ByOwner())))
    for body in (b"", b"[]", b"{", b"7", b'{"metadata": 7, "spec": []}', b"[" * 5000):
        assert world.linker.take(key("pods/shop/a"), body, time=1) == []
        assert world.linker.take(key("services/shop/a"), body, time=1) == []


def test_a_cluster_that_is_left_takes_its_links_and_targets_along() -> None:
    abroad = rule("abroad", source("services"), target(selector("spec.selector"), "pods"), role="Child",
                  cluster=TargetCluster(mode="Named", name="west"))  # fmt: skip
    owner = rule("owner", source("pods"), target(ByOwner(recursive=True)))
    world = World(NODE, SERVICE, abroad, owner)
    owned = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    for place in ("local", "west"):
        world.take("namespaces/shop", cluster=place)
        world.take("nodes/n1", cluster=place)
        world.take("services/shop/s", SELECTS_WEB, cluster=place)
        for name in ("a", "b"):
            meta = {"labels": LABELS, "ownerReferences": [owned]}
            world.take(f"pods/shop/{name}", WEB | {"metadata": meta}, cluster=place)
    world.take("services/shop/unrelated", {"spec": {"selector": {"app": "db"}}})
    told = world.linker.forget_cluster("west", time=50)
    assert [(each.key, each.time) for each in told] == [(key("services/shop/s"), 50)]
    assert [(r.target.cluster, r.rule) for r in told[0].relations] == [("local", "service")] * 2
    assert world.linker.forget_cluster("west", time=51) == []
    only_local = World(NODE, SERVICE, abroad, owner)
    only_local.take("namespaces/shop")
    only_local.take("nodes/n1")
    only_local.take("services/shop/s", SELECTS_WEB)
    only_local.take("services/shop/unrelated", {"spec": {"selector": {"app": "db"}}})
    for name in ("a", "b"):
        only_local.take(
            f"pods/shop/{name}", WEB | {"metadata": {"labels": LABELS, "ownerReferences": [owned]}}
        )
    assert world.linker.statistics() == only_local.linker.statistics()
    assert world.take("pods/shop/again", WEB, cluster="west", time=60)[-1] == "services/shop/s"


def test_leaving_a_cluster_takes_time_by_its_size() -> None:
    """Each choice was made anew with each object that went: 40,000 objects were half an hour."""
    everything = rule("all", source("networkpolicies"), target(selector("spec.podSelector"), "pods"))
    world = World(NODE, SERVICE, everything)
    for number in range(4_000):
        pod = {"metadata": {"labels": {"app": "web", "n": str(number % 40)}}, "spec": {"nodeName": "n1"}}
        world.take(f"pods/shop/p{number}", pod, cluster="west")
    for number in range(40):
        world.take(f"services/shop/s{number}", SELECTS_WEB, cluster="west")
        world.take(f"networkpolicies/shop/n{number}", {"spec": {"podSelector": {}}}, cluster="west")
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        assert world.linker.forget_cluster("west", time=9) == []
    finally:
        sys.setprofile(None)
    assert calls < 4_000 * 100
