"""What a plan selects, and that deciding stays bounded and linear whatever comes from outside."""

import time

import pytest

from kubeweft.model import plan as plans
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Exporter, Plan, Scope, ValuePattern
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import ResourcePattern

PODS = ResourcePattern(groups=frozenset({""}), resources=frozenset({"pods"}))
APPS = ResourcePattern(groups=frozenset({"apps"}), resources=frozenset({"*"}))


def key(resource: str, namespace: str = "shop", group: str = "") -> ObjectKey:
    return ObjectKey("local", group, resource, namespace, "x")


def test_without_scopes_nothing_is_wanted() -> None:
    plan = Plan(scopes=())
    assert not plan.wants_type("", "pods")
    assert not plan.wants_object(key("pods"))
    assert not plan.wants_request(key("pods"), verb="create", user="ann")
    assert not plan.wants_event(key("pods"))
    assert not plan.wants_events
    assert not plan.wants_audit


def test_the_default_plan_wants_everything_but_reads() -> None:
    plan = Plan()
    assert plan.wants_object(key("widgets", group="example.com"))
    assert plan.wants_event(key("nodes", namespace=""))
    assert plan.wants_request(key("pods"), verb="delete", user="ann")
    assert not plan.wants_request(key("pods"), verb="list", user="ann")


@pytest.mark.parametrize(
    ("group", "resource", "wanted"),
    [
        ("", "pods", True),
        ("metrics.k8s.io", "pods", False),
        ("apps", "deployments", True),
        ("apps", "replicasets", False),
        ("", "secrets", False),
    ],
)
def test_groups_resources_and_exclusions(group: str, resource: str, *, wanted: bool) -> None:
    replica_sets = ResourcePattern(groups=frozenset({"*"}), resources=frozenset({"replicasets"}))
    plan = Plan(scopes=(Scope(policy="p", resources=(PODS, APPS), excluded=(replica_sets,)),))
    assert plan.wants_type(group, resource) is wanted
    assert plan.wants_object(key(resource, group=group)) is wanted


def test_an_exclusion_holds_for_its_own_scope_only() -> None:
    without_pods = Scope(policy="a", excluded=(PODS,))
    assert Plan(scopes=(without_pods, Scope(policy="b", resources=(PODS,)))).wants_object(key("pods"))


def test_listed_namespaces_leave_out_cluster_scoped_objects() -> None:
    plan = Plan(scopes=(Scope(policy="p", namespaces=frozenset({"shop"})),))
    assert plan.wants_object(key("pods", "shop"))
    assert not plan.wants_object(key("pods", "bank"))
    assert not plan.wants_object(key("nodes", ""))
    excluding = Plan(scopes=(Scope(policy="p", excluded_namespaces=frozenset({"bank"})),))
    assert excluding.wants_object(key("nodes", ""))
    assert not excluding.wants_object(key("pods", "bank"))


def test_sources_are_switched_by_scope() -> None:
    audit_only = Scope(policy="a", resources=(PODS,), objects=False, events=False)
    objects_only = Scope(policy="b", resources=(APPS,), audit=False, events=False)
    plan = Plan(scopes=(audit_only, objects_only))
    assert not plan.wants_type("", "pods")
    assert plan.wants_request(key("pods"), verb="create", user="ann")
    assert plan.wants_object(key("deployments", group="apps"))
    assert not plan.wants_request(key("deployments", group="apps"), verb="create", user="ann")
    assert not plan.wants_events


def test_a_user_is_omitted_only_if_every_scope_omits_it() -> None:
    without_bot = Scope(policy="a", omit_users=frozenset({"bot"}))
    with_bot_on_pods = Scope(policy="b", resources=(PODS,), omit_read_only=False)
    plan = Plan(scopes=(without_bot, with_bot_on_pods))
    assert not plan.wants_request(key("services"), verb="create", user="bot")
    assert plan.wants_request(key("pods"), verb="create", user="bot")
    assert plan.wants_request(key("pods"), verb="watch", user="ann")
    assert not plan.wants_request(key("services"), verb="watch", user="ann")


def test_an_exporter_gets_what_its_scopes_select() -> None:
    scope = Scope(policy="p", resources=(PODS,), events=False, omit_users=frozenset({"bot"}))
    exporter = Exporter(name="p/x", endpoint="h:1", scopes=(scope,))
    assert exporter.wants_span(key("pods"), "change")
    assert exporter.wants_span(key("pods"), "object")
    assert exporter.wants_span(key("pods"), "link")
    assert not exporter.wants_span(key("pods"), "event")
    assert not exporter.wants_span(key("services"), "change")
    assert exporter.wants_span(key("pods"), "request", verb="create", user="ann")
    assert not exporter.wants_span(key("pods"), "request", verb="create", user="bot")
    assert not exporter.wants_span(key("pods"), "request", verb="get", user="ann")
    assert Exporter(name="all", endpoint="h:1").wants_span(key("services"), "request", verb="get")


def test_what_is_remembered_does_not_change_equality_or_the_printed_form() -> None:
    used, fresh = (Exporter(name="x", endpoint="h:1", scopes=(Scope(policy="p"),)) for _ in range(2))
    used.wants_span(key("pods"), "change")
    assert used == fresh
    assert repr(used) == repr(fresh)


def test_headers_are_never_printed() -> None:
    exporter = Exporter(name="x", endpoint="h:1", headers=(("authorization", "canary"),))
    assert "canary" not in repr(exporter)
    assert "canary" not in repr(Plan(exporters=(exporter,)))


def test_decisions_about_namespaces_from_outside_stay_bounded() -> None:
    plan = Plan()
    exporter = Exporter(name="x", endpoint="h:1", scopes=plan.scopes)
    for number in range(plans.MOST_DECISIONS + 10):
        plan.wants_object(key("pods", f"n{number}"))
        plan.wants_request(key("pods", f"n{number}"), verb="create", user="ann")
        exporter.wants_span(key("pods", f"n{number}"), "change")
    assert len(plan._decisions) <= plans.MOST_DECISIONS
    assert len(plan._audit_decisions) <= plans.MOST_DECISIONS
    assert len(exporter._decisions) <= plans.MOST_DECISIONS


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"(?i)bearer\s+\S+", "Authorization: Bearer abc", True),
        (r"(?i)bearer\s+\S+", "the bearer", False),
        (r"^\d{3}$", "123", True),
        (r"^\d{3}$", "1234", False),
        (r"é+", "café", True),
        (r"secret", "broken \ud800 but secret é", True),
        (r"secret", "broken \ud800 é", False),
    ],
)
def test_a_pattern_is_searched_anywhere(pattern: str, text: str, *, found: bool) -> None:
    assert ValuePattern(pattern).search(text) is found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "unclosed group"),
        (r"(?=x)", "look-around"),
        (r"(a)\1", "backreferences"),
        (r"[z-a]", "invalid character class range"),
        (r"\w{1000}", "size limit"),
    ],
)
def test_a_pattern_that_is_none_or_too_big_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        ValuePattern(pattern)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"a*a*a*a*b", r"(.*)(.*)(.*)x", r"a+b"])
def test_searching_is_linear_for_patterns_that_explode_elsewhere(pattern: str) -> None:
    compiled = ValuePattern(pattern)
    started = time.process_time()
    assert not compiled.search("a" * 300_000 + "!")
    assert time.process_time() - started < 2  # backtracking would need years, or hours


def test_patterns_compare_by_their_text() -> None:
    assert ValuePattern("a") == ValuePattern("a")
    assert ValuePattern("a") != ValuePattern("b")
    assert len({ValuePattern("a"), ValuePattern("a")}) == 1
