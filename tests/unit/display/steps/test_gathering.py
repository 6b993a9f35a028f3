"""Facts in groups, by what they have in common."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.display.steps.grouping import Criterion, group
from kubeweft.display.steps.timeline import flatten
from kubeweft.display.tree.made import GROUP_BY, GROUP_OBJECTS, GROUP_VALUE
from kubeweft.display.tree.trees import Fact, Tree, facts_of
from kubeweft.display.words.headlines import headline
from kubeweft.display.words.pens import pen_of
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, event, gap, key, owner, related, request, to, uid, weave

TOP, POD, OTHER, NODE = (
    key("deployments", "top"),
    key("pods", "web-0"),
    key("pods", "web-1"),
    key("nodes", "n1"),
)
ACCOUNT = "system:serviceaccount:kube-system:deployment-controller"
MANAGER = "kube-controller-manager/v1.36.3 (linux/amd64)"


def seen() -> list[Observation]:
    """A Deployment with two Pods; a person, a controller, a kubelet and somebody unknown act."""
    owners = (owner(TOP, uid(1)),)
    return [
        request(TOP, "create", "10:00:00.000", code=201, uid=uid(1), version="1"),
        change(TOP, "Added", "10:00:00", uid=uid(1), version="1"),
        event(TOP, "ScalingReplicaSet", "10:00:01", uid=uid(1), reporter="deployment-controller"),
        request(
            POD, "create", "10:00:02.000", code=201, uid=uid(2), version="2", user=ACCOUNT, agent=MANAGER
        ),
        change(POD, "Added", "10:00:02", uid=uid(2), version="2", owners=owners),
        request(TOP, "update", "10:00:03.000", code=409, base="1", user=ACCOUNT, agent=MANAGER),
        request(TOP, "update", "10:00:03.100", code=409, base="1", user="alice", agent="kubectl/v1"),
        request(TOP, "update", "10:00:03.200", code=409, base="1", user=ACCOUNT, agent=MANAGER),
        change(OTHER, "Added", "10:00:04", uid=uid(3), version="4", owners=owners, manager="my-operator"),
        event(OTHER, "BackOff", "10:00:05", uid=uid(3), type="Warning", reporter="kubelet"),
        change(OTHER, "Deleted", "10:00:06", uid=uid(3), old="4", version="5", manager="my-operator"),
        gap(TOP, "WatchExpired", "10:00:07", "10:00:08"),
    ]


def tree() -> Tree:
    return story_of(TOP, weave(*seen()))


def outline(facts: tuple[Fact, ...]) -> list[Any]:
    """The values of groups with what is in them, the names of other facts."""
    return [
        (fact.text(GROUP_VALUE), outline(fact.children)) if fact.folds == "group" else fact.span.name
        for fact in facts
    ]


def test_by_source_groups_have_a_fixed_order_and_changes_may_stand_apart() -> None:
    together = group(tree(), by=["source"])
    assert outline(together.root.facts) == [
        ("audit", ["create", "update"]),
        ("events", ["ScalingReplicaSet"]),
        ("gaps", ["gap"]),
    ]
    apart = group(tree(), by=["source"], apart=True)
    assert [value for value, _ in outline(apart.root.facts)] == ["audit", "changes", "events", "gaps"]
    assert outline(apart.root.children[0].facts) == [("audit", ["create"]), ("changes", ["created"])]


def test_links_may_be_among_them() -> None:
    spans = weave(*seen(), related(TOP, to(NODE, "Peer", "RunsOn")))
    grouped = group(story_of(TOP, spans), by=["source"], links=True)
    assert outline(grouped.root.facts)[-2] == ("links", ["peer nodes//n1"])
    assert grouped.root.links == ()


def test_by_actor_a_reporter_is_the_account_of_its_name_and_who_deleted_is_not_known() -> None:
    grouped = group(flatten(tree()), by=["actor"])
    assert outline(grouped.root.facts) == [
        ("kubernetes-admin (kubectl)", ["create"]),
        (f"{ACCOUNT} (kube-controller-manager)", ["ScalingReplicaSet", "create", "update"]),
        ("alice (kubectl)", ["update"]),
        ("field manager my-operator", ["created"]),
        ("reporter kubelet", ["BackOff"]),
        ("not known who", ["deleted", "gap"]),
    ]


def test_a_conflict_storm_is_told_to_each_who_ran_into_it() -> None:
    grouped = group(flatten(tree()), by=["actor"])
    storms = {
        one.text(GROUP_VALUE): len(fact.children) + 1
        for one in grouped.root.facts
        for fact in one.children
        if fact.span.name == "update"
    }
    assert storms == {f"{ACCOUNT} (kube-controller-manager)": 2, "alice (kubectl)": 1}


def test_what_is_in_a_group_is_counted() -> None:
    grouped = group(flatten(tree()), by=["actor", "object"])
    pen = pen_of(grouped)
    lines = [headline(one, grouped.root, pen) for one in grouped.root.facts]
    assert lines == [
        "kubernetes-admin (kubectl)  2 facts, 1 write",
        f"{ACCOUNT} (kube-controller-manager)  5 facts of 2 objects, 1 write, 2 conflicts",
        "alice (kubectl)  1 fact, 1 conflict",
        "field manager my-operator  1 fact of pod/web-1, 1 write",
        "reporter kubelet  1 fact of pod/web-1, 1 warning",
        "not known who  2 facts of 2 objects, 1 write",
    ]


def test_below_the_first_criterion_small_groups_are_not_made() -> None:
    grouped = group(flatten(tree()), by=["actor", "object"])
    controller = grouped.root.facts[1]
    assert outline(controller.children) == [
        (str(TOP), ["ScalingReplicaSet", "update"]),
        "create",
    ]
    every = group(flatten(tree()), by=["actor", "object"], smallest=1)
    assert [value for value, _ in outline(every.root.facts[1].children)] == [str(TOP), str(POD)]


def test_whose_a_fact_is_stands_there_unless_the_group_says_it() -> None:
    grouped = group(flatten(tree()), by=["actor", "object"])
    pen, root, controller = pen_of(grouped), grouped.root, grouped.root.facts[1]
    of_top, create = controller.children
    assert headline(of_top, root, pen, under=controller) == "deployment/top  3 facts, 2 conflicts"
    assert headline(create, root, pen, under=controller) == "pod/web-0: create → 201 12ms"
    assert headline(of_top.children[1], root, pen, under=of_top).startswith("update → 409 ×2")
    assert headline(create, root, pen) == (
        f"pod/web-0: create by {ACCOUNT} (kube-controller-manager) → 201 12ms"
    )


@pytest.mark.parametrize(
    ("by", "values"),
    [
        ("user", ["kubernetes-admin", "no user", "kube-system/deployment-controller", "alice"]),
        ("agent", ["kubectl", "no user agent", "kube-controller-manager"]),
        ("verb", ["create", "event", "update", "change", "gap"]),
        ("kind", ["Deployment", "Pod"]),
        ("namespace", ["default"]),
        ("cluster", ["demo"]),
        ("object", [str(TOP), str(POD), str(OTHER)]),
        ("life", None),
    ],
)
def test_every_criterion(by: Criterion, values: list[str] | None) -> None:
    known = {("apps", "deployments"): "Deployment", ("", "pods"): "Pod"}
    flat = flatten(tree())
    flat = type(flat)(root=flat.root, kinds=known)
    grouped = group(flat, by=[by])
    if values is None:
        assert grouped == flat, "an object with one life has no groups of lives"
    else:
        assert [one.text(GROUP_VALUE) for one in grouped.root.facts] == values
        assert {one.text(GROUP_BY) for one in grouped.root.facts} == {by}


def test_objects_of_one_name_in_two_clusters_are_two_groups() -> None:
    twin = POD._replace(cluster="member-1")
    spans = weave(
        request(POD, "patch", "10:00:00.000"),
        request(twin, "patch", "10:00:01.000"),
        related(POD, to(twin, "Child", "Federates")),
    )
    grouped = group(flatten(story_of(POD, spans)), by=["object"])
    assert len({one.span.span_id for one in grouped.root.facts}) == 2
    assert [one.span.key for one in grouped.root.facts] == [POD, twin]


def test_lives_and_sources_together() -> None:
    spans = weave(
        request(POD, "create", "10:00:00.000", code=201, uid=uid(1), version="1"),
        request(POD, "delete", "10:01:00.000", uid=uid(1), version="2"),
        request(POD, "create", "10:02:00.000", code=201, uid=uid(2), version="3"),
        event(POD, "Pulled", "10:02:01", uid=uid(2)),
    )
    grouped = group(story_of(POD, spans), by=["life", "source"], smallest=1)
    assert outline(grouped.root.facts) == [
        ("life 1", [("audit", ["create", "delete"])]),
        ("life 2", [("audit", ["create"]), ("events", ["Pulled"])]),
    ]
    second = grouped.root.facts[1]
    assert headline(second, grouped.root, pen_of(grouped)).startswith(f"life 2 · uid {uid(2)}  created")


def test_groups_enclose_their_facts_and_a_second_time_changes_nothing() -> None:
    for by in (["source"], ["actor", "object"], ["object", "source"]):
        grouped = group(flatten(tree()), by=by)  # type: ignore[arg-type]
        assert group(grouped, by=by) == grouped  # type: ignore[arg-type]
        for fact in facts_of(grouped.root.facts):
            if fact.folds == "group":
                assert fact.start == min(child.start for child in fact.children)
                assert fact.end == max(child.end for child in fact.children)
                assert fact.number(GROUP_OBJECTS) >= 1


def test_each_cluster_has_controllers_of_its_own_but_people_are_the_same() -> None:
    here = key("deployments", "web")
    there = here._replace(cluster="east")
    account = "system:serviceaccount:kube-system:deployment-controller"
    spans = weave(
        related(here, to(there, "Child", "FederatedTo")),
        request(here, "patch", "10:00:00.000", uid=uid(1), user=account, agent="kube-controller-manager/v1"),
        request(there, "patch", "10:00:01.000", uid=uid(9), user=account, agent="kube-controller-manager/v1"),
        request(here, "patch", "10:00:02.000", uid=uid(1), user="alice"),
        request(there, "patch", "10:00:03.000", uid=uid(9), user="alice"),
    )
    groups = group(flatten(story_of(here, spans)), by=["actor"], smallest=1).root.facts
    told = {fact.text(GROUP_VALUE): len(fact.children) for fact in groups}
    name = f"{account} (kube-controller-manager)"
    assert told == {name: 1, f"[east] {name}": 1, "alice (kubectl)": 2}
    assert len({fact.span.span_id for fact in groups}) == 3
