"""What policies say about the inside of objects decides, once a watch has told of it."""

import asyncio

import orjson

from kubeweft.model.plan import Plan, Scope
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import LabelSelector, MatchCondition, Requirement, ResourcePattern
from kubeweft.sources.objects.choosing import Chooser

POD = ObjectKey("local", "", "pods", "shop", "web")
NODE = ObjectKey("local", "", "nodes", "", "n1")
SHOP = ObjectKey("local", "", "namespaces", "", "shop")
TEAM_A = LabelSelector((Requirement("team", "In", frozenset({"a"})),))


def body(labels: dict[str, str] | None = None, **fields: object) -> bytes:
    return orjson.dumps({"metadata": {"name": "x", **({"labels": labels} if labels else {})}, **fields})


def chooser(*scopes: Scope) -> Chooser:
    return Chooser("local", Plan(scopes=scopes))


def test_without_such_policies_the_plan_decides() -> None:
    plain = chooser(Scope(policy="all", excluded_namespaces=frozenset({"shop"})))
    assert not plain.judges("", "pods")
    assert plain.wants_object(NODE)
    assert not plain.wants_object(POD)
    assert not plain.wants_event(POD)
    assert not plain.wants_request(POD, verb="update", user="me")


def test_labels_decide_for_changes_events_and_requests_alike() -> None:
    chosen = chooser(Scope(policy="a", object_selector=TEAM_A))
    assert chosen.judges("", "pods")
    chosen.judge(POD, body({"team": "a"}))
    assert chosen.wants_object(POD)
    assert chosen.wants_event(POD)
    assert chosen.wants_request(POD, verb="update", user="me")
    chosen.judge(POD, body({"team": "b"}))
    assert not chosen.wants_object(POD)
    assert not chosen.wants_event(POD)
    assert not chosen.wants_request(POD, verb="update", user="me")


def test_what_no_watch_told_of_is_kept() -> None:
    assert chooser(Scope(policy="a", object_selector=TEAM_A)).wants_request(POD, verb="create", user="me")


def test_a_deleted_object_stays_decided_for_what_comes_late() -> None:
    chosen = chooser(Scope(policy="a", object_selector=TEAM_A))
    chosen.judge(POD, body())
    chosen.gone(POD)
    assert not chosen.wants_event(POD)


def test_conditions_see_the_object_its_namespace_and_its_cluster() -> None:
    expressions = (
        "object.spec.replicas > 1",
        "namespaceObject.metadata.labels.env == 'prod'",
        "cluster.name == 'local'",
    )
    conditions = tuple(MatchCondition(f"c{n}", e) for n, e in enumerate(expressions))
    chosen = chooser(Scope(policy="a", conditions=conditions))
    chosen.judge(SHOP, body({"env": "prod"}))
    chosen.judge(POD, body(spec={"replicas": 2}))
    assert chosen.wants_object(POD)
    chosen.judge(POD, body(spec={"replicas": 1}))
    assert not chosen.wants_object(POD)


def test_a_condition_that_fails_does_not_select() -> None:
    chosen = chooser(Scope(policy="a", conditions=(MatchCondition("c", "object.spec.replicas > 1"),)))
    chosen.judge(POD, body())
    assert not chosen.wants_object(POD)


def test_namespaces_are_selected_by_their_labels_at_any_moment() -> None:
    chosen = chooser(Scope(policy="a", namespace_selector=TEAM_A))
    assert not chosen.wants_object(POD), "its namespace is not known"
    chosen.judge(SHOP, body({"team": "a"}))
    assert chosen.wants_object(POD)
    assert chosen.wants_object(SHOP), "a Namespace by its own labels"
    assert chosen.wants_object(NODE), "as in admission, cluster-scoped objects are not left out"
    chosen.judge(SHOP, body({"team": "b"}))
    assert not chosen.wants_object(POD)


def test_one_policy_that_selects_is_enough() -> None:
    chosen = chooser(
        Scope(policy="a", object_selector=TEAM_A),
        Scope(
            policy="pods", resources=(ResourcePattern(frozenset({""}), frozenset({"pods"})),), events=False
        ),
    )
    chosen.judge(POD, body())
    assert chosen.wants_object(POD)
    assert not chosen.wants_event(POD)


def test_exporters_ask_for_their_own_policy() -> None:
    selective, plain = Scope(policy="a", object_selector=TEAM_A), Scope(policy="b")
    chosen = chooser(selective, plain)
    chosen.judge(POD, body())
    assert not chosen.is_chosen(selective, POD)
    assert chosen.is_chosen(plain, POD)


def test_another_plan_knows_the_namespaces_but_judges_anew() -> None:
    before = chooser(Scope(policy="a", namespace_selector=TEAM_A, object_selector=TEAM_A))
    before.judge(SHOP, body({"team": "a"}))
    before.judge(POD, body())
    assert not before.wants_object(POD)
    other = Scope(policy="b", namespace_selector=TEAM_A, object_selector=TEAM_A)
    assert Chooser.after(before, Plan(scopes=(other,))).wants_object(POD), "it has not been told again"
    assert not Chooser.after(before, before.plan).wants_object(POD), "the same is asked as before"


async def test_nobody_waits_for_namespaces_that_do_not_matter() -> None:
    await chooser(Scope(policy="a")).wait_for_namespaces()


async def test_watches_wait_until_the_namespaces_are_told() -> None:
    chosen = chooser(Scope(policy="a", namespace_selector=TEAM_A))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(chosen.wait_for_namespaces())
        await asyncio.sleep(0)
        assert not waiting.done()
        chosen.namespaces_are_told()
