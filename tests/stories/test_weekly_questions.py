"""What those who run platforms want to know of the stories that they meet every week, in whatever words views tell it."""

from __future__ import annotations

from collections import Counter

from kubeweft.display.tree.made import GROUP_AGENT, SHOWN_SKEW, tag
from kubeweft.display.tree.trees import Fact, facts_of, nodes_of
from kubeweft.model import vocabulary as v
from recorded_stories import (
    ACCOUNT_BY_HAND,
    CROSS_CLUSTER,
    DEAD_NODE,
    EMPTIED_NAMESPACE,
    OTHER_CLOCKS,
    SCALED_BACK,
)
from story_ways import Ask, Way, all_facts, begins_to_go, is_creation_of, node_named, ways_in

CI = "system:serviceaccount:shop:ci"
KUBE_SYSTEM = "system:serviceaccount:kube-system:"


def who(fact: Fact) -> str:
    return fact.text(v.USER).removeprefix(KUBE_SYSTEM)


def of_pods(ways: list[Way]) -> list[Way]:
    return [way for way in ways if way[-1].span.key.resource == "pods"]


async def test_who_ended_pods_and_who_made_the_next_ones(ask: Ask) -> None:
    """Scaled down by one and up by another, while the first Pods are still there."""
    ways = of_pods(ways_in(await ask(SCALED_BACK, "tracing")))
    deletions = [way for way in ways if way[-1].text(v.VERB) == "delete"]
    assert Counter((way[0].text(v.USER), who(way[-1])) for way in deletions if who(way[-1]) != "kwok") == {
        ("bob", "replicaset-controller"): 2
    }
    assert {way[0].text(v.USER) for way in deletions} == {"bob"}, "the kubelet only ends what was asked for"
    made = [way for way in ways if is_creation_of(way[-1], "pods")]
    assert Counter((way[0].text(v.USER), way[0].text(v.VERB)) for way in made) == {
        ("alice", "create"): 3,
        ("alice", "patch"): 2,
    }


async def test_an_account_in_the_hand_of_a_person_is_no_controller(ask: Ask) -> None:
    ways = ways_in(await ask(ACCOUNT_BY_HAND, "tracing"))
    assert [(way[0].text(v.VERB), len(way)) for way in ways if way[-1].text(v.USER) == CI] == [
        ("create", 1),
        ("patch", 1),
        ("delete", 1),
    ], "nothing made it do what it did"
    made = Counter(way[0].text(v.VERB) for way in of_pods(ways) if is_creation_of(way[-1], "pods"))
    assert made == {"create": 2, "delete": 1, "patch": 2}
    assert {way[0].text(v.USER) for way in of_pods(ways) if is_creation_of(way[-1], "pods")} == {CI}


async def test_what_an_account_did_stands_under_its_name(ask: Ask) -> None:
    tree = await ask(ACCOUNT_BY_HAND, "actors")
    (own,) = [fact for fact in tree.root.facts if fact.text(v.USER) == CI]
    assert own.text(GROUP_AGENT) == "kubectl"
    requests = [fact for fact in facts_of(own.children) if fact.span.source == "request"]
    assert Counter(fact.text(v.VERB) for fact in requests) == {"create": 1, "patch": 1, "delete": 1}


async def test_a_pod_of_a_dead_node_is_replaced_because_it_was_evicted(ask: Ask) -> None:
    ways = of_pods(ways_in(await ask(DEAD_NODE, "tracing")))
    made = [way for way in ways if is_creation_of(way[-1], "pods")]
    assert [[who(fact) for fact in way] for way in made if "node-controller" in map(who, way)] == [
        ["node-controller", "replicaset-controller"]
    ]


async def test_no_scheduler_and_no_person_is_why_a_node_died(ask: Ask) -> None:
    """What those do who see to Nodes does not follow from the last thing that somebody wanted of a Pod."""
    ways = of_pods(ways_in(await ask(DEAD_NODE, "tracing")))
    seen_to = {"node-controller", "pod-garbage-collector"}
    above = {who(fact) for way in ways if who(way[-1]) in seen_to for fact in way[:-1]}
    assert above <= seen_to
    (warned,) = [way for way in ways if way[-1].text(v.EVENT_REASON) == "NodeNotReady"]
    assert {who(fact) for fact in warned[:-1]} <= seen_to


async def test_what_became_of_the_node_is_told_beside(ask: Ask) -> None:
    tree = await ask(DEAD_NODE, "tree")
    assert "node-2" not in [node.key.name for node in nodes_of(tree.root)]
    (node,) = [linked for linked in tree.linked if linked.key.name == "node-2"]
    words = [change.text(v.WORDS) for fact in node.facts for change in (fact, *fact.children)]
    assert any("conditions[Ready].status True → Unknown" in text for text in words)
    assert any("node.kubernetes.io/unreachable" in text for text in words)
    assert [fact.text(v.VERB) for fact in node.facts if fact.text(v.USER) == "alice"] == ["delete"]


async def test_a_deleted_namespace_is_the_cause_of_every_end_in_it(ask: Ask) -> None:
    """All its collections are emptied within one second, and the kubelet is quick."""
    ways = ways_in(await ask(EMPTIED_NAMESPACE, "tracing"))
    gone = [way for way in ways if begins_to_go(way[-1]) or way[-1].text(v.CHANGE_TYPE) == "Deleted"]
    assert {way[-1].span.key.resource for way in gone} == {"deployments", "replicasets", "pods"}
    assert {(way[0].span.key.resource, way[0].text(v.USER)) for way in gone} == {("namespaces", "bob")}


async def test_each_end_stands_under_the_emptying_of_its_own_collection(ask: Ask) -> None:
    ways = ways_in(await ask(EMPTIED_NAMESPACE, "tracing"))
    emptied = [
        (way[-1].span.key.resource, above.span.key.resource)
        for way in ways
        if way[-1].text(v.CHANGE_TYPE) == "Deleted"
        for above in way[:-1]
        if above.text(v.VERB) == "deletecollection"
    ]
    assert sorted(emptied) == [(one, one) for one in ("deployments", "pods", "replicasets")]


async def test_causes_are_the_same_whatever_the_clocks(ask: Ask) -> None:
    right, other = await ask(CROSS_CLUSTER, "tracing"), await ask(OTHER_CLOCKS, "tracing")
    assert Counter(map(names, ways_in(right))) == Counter(map(names, ways_in(other)))
    assert node_named(other, "web").start == node_named(right, "web").start


def names(way: Way) -> tuple[str, ...]:
    """What tells facts apart but not when they were."""
    told = (v.AUDIT_ID, v.EVENT_UID, v.RESOURCE_VERSION, v.CHANGE_TYPE)
    return tuple([" ".join(fact.text(name) for name in told) for fact in way])


async def test_only_what_another_cluster_was_asked_for_is_said_to_have_a_wrong_clock(ask: Ask) -> None:
    facts = [fact for fact in all_facts(await ask(OTHER_CLOCKS, "tracing")) if tag(fact.label, SHOWN_SKEW)]
    assert [(fact.text(v.USER), fact.text(v.VERB)) for fact in facts] == [
        ("spreader", "create"),
        ("spreader", "patch"),
    ]
