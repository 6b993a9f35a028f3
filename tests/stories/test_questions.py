"""What people want to know of the recorded stories, and where the views answer it.

Golden texts may be written anew in a hurry; what is said here has to hold in any wording.
"""

from __future__ import annotations

import pytest

from kubeweft.display.tree.made import GROUP_CONFLICTS, SHOWN_REPLACED, tag
from kubeweft.display.tree.trees import Fact, Node, link_target, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.windows import NANOSECONDS
from recorded_stories import CONFLICT_STORM, CROSS_CLUSTER, DELETED_NAMESPACE, FOUR_HOURS, RECREATED_POD
from story_ways import Ask, all_facts, begins_to_go, is_creation_of, node_named, ways_in

HOUR = 3600 * NANOSECONDS


async def test_who_fights_whom(ask: Ask) -> None:
    tree = await ask(CONFLICT_STORM, "tree")
    storms = [fact for fact in tree.root.facts if fact.folds == "conflicts"]
    assert [
        (f.text(v.USER), 1 + len(f.children), tag(f.label, SHOWN_REPLACED).split(" (")[0]) for f in storms
    ] == [
        ("gitops", 6, "update by queue-autoscaler"),
        ("gitops", 6, "update by queue-autoscaler"),
        ("queue-autoscaler", 9, "update by gitops"),
    ]


async def test_who_ran_into_conflicts_how_often(ask: Ask) -> None:
    tree = await ask(CONFLICT_STORM, "actors")
    counts = {fact.text(v.USER): fact.number(GROUP_CONFLICTS) for fact in tree.root.facts}
    people = ("alice", "gitops", "queue-autoscaler", "cost-labeller")
    assert {user: counts[user] for user in people} == {
        "alice": 0,
        "gitops": 10,
        "queue-autoscaler": 9,
        "cost-labeller": 2,
    }


@pytest.mark.parametrize(("pod", "verb", "user"), [("db-0", "delete", "bob"), ("db-1", "create", "alice")])
async def test_who_ended_the_first_life_and_what_followed(ask: Ask, pod: str, verb: str, user: str) -> None:
    node = node_named(await ask(RECREATED_POD, "tree"), pod)
    first, second = node.lives
    assert first.deleted is not None
    assert second.created is not None
    assert first.deleted < second.created
    asked = next(fact for fact in node.facts if any(begins_to_go(c) for c in fact.children))
    assert (asked.life, asked.text(v.VERB), asked.text(v.USER)) == (0, verb, user)
    for fact in node.facts:
        assert {child.life for child in fact.children} <= {fact.life}
    ways = ways_in(await ask(RECREATED_POD, "tracing"))
    made_again = [way for way in ways if _makes(way[-1], node) and way[-1].text(v.UID) == second.uid]
    assert [(way[0].text(v.USER), way[0].text(v.VERB)) for way in made_again] == [(user, verb)]


def _makes(fact: Fact, node: Node) -> bool:
    return fact.span.key == node.key and is_creation_of(fact, node.key.resource)


async def test_who_deleted_what(ask: Ask) -> None:
    """Of everything that went with the namespace, the first cause is who deleted the namespace."""
    ways = ways_in(await ask(DELETED_NAMESPACE, "tracing"))
    gone = [way for way in ways if way[-1].text(v.CHANGE_TYPE) == "Deleted"]
    assert {way[-1].span.key.resource for way in gone} == {"deployments", "replicasets", "pods"}
    assert len(gone) == 4
    assert {(way[0].span.key.resource, way[0].text(v.USER)) for way in gone} == {("namespaces", "bob")}
    (deleted,) = [
        fact for fact in all_facts(await ask(DELETED_NAMESPACE, "tree")) if fact.text(v.USER) == "bob"
    ]
    assert deleted.span.key.name == "team-a"


async def test_why_it_did_not_roll_out(ask: Ask) -> None:
    ways = ways_in(await ask(FOUR_HOURS, "tracing"))
    (warned,) = [way for way in ways if way[-1].text(v.EVENT_REASON) == "FailedScheduling"]
    assert warned[0].text(v.USER) == "pipeline"
    changed = [line for change in warned[0].children for line in change.text(v.WORDS).splitlines()]
    assert '+ spec.template.spec.nodeSelector = {"disk":"nvme"}' in changed
    (late,) = [way for way in ways if "→ ProgressDeadlineExceeded" in way[-1].text(v.WORDS)]
    assert late[0] == warned[0]


async def test_four_hours_are_one_object_over_many_windows(ask: Ask) -> None:
    tree = await ask(FOUR_HOURS, "tree")
    (life,) = tree.root.lives
    assert life.created is not None
    assert life.deleted is not None
    assert life.deleted - life.created > 4 * HOUR
    assert len(tree.root.windows) == 6, "those in which nothing happened are not stored"
    assert tree.root.windows[-1].start - tree.root.windows[0].start == 4 * HOUR
    assert [node.key.resource for node in nodes_of(tree.root)].count("replicasets") == 2


async def test_a_member_stands_under_what_it_comes_from(ask: Ask) -> None:
    tree = await ask(CROSS_CLUSTER, "tree")
    assert tree.root.key == CROSS_CLUSTER.key
    (member,) = tree.root.children
    assert (member.key.cluster, member.key.name) == ("east", "web")
    assert {link.text(v.LINK_RULE) for link in member.via} == {"federated-by", "federated-member"}
    to_hub = [
        link
        for node in nodes_of(tree.root)
        for link in node.links
        if link_target(link.span).cluster == "hub" and node.key.cluster == "east"
    ]
    assert to_hub == [], "annotations that a controller copied to a ReplicaSet link nothing"
