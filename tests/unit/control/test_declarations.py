"""What is declared, in whatever order it is told: the newest version counts, and only a new spec makes a new plan."""

from typing import Any

import pytest

from fake_control_api import FakeControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.declared.secrets import SecretBook
from kubeweft.model.plan import Plan


def body(
    name: str = "a", *, version: int = 1, generation: int = 1, uid: str = "u", **spec: Any
) -> dict[str, Any]:
    metadata = {"name": name, "uid": uid, "generation": generation, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": spec, "status": {"observedGeneration": generation - 1}}


class Told:
    """What the application was told."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.rediscoveries = 0

    def rediscover(self) -> None:
        self.rediscoveries += 1

    @property
    def policies(self) -> list[str]:
        return [scope.policy for scope in self.plans[-1].scopes]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def declarations(told: Told) -> Declarations:
    return Declarations(Installation(), on_plan=told.plans.append, on_types_changed=told.rediscover)


async def test_the_first_policy_takes_the_place_of_the_default(
    declarations: Declarations, told: Told
) -> None:
    assert [s.policy for s in declarations.plan.scopes] == [""]
    declarations.policy_seen("a", body())
    assert told.policies == ["a"]
    declarations.policy_seen("a", None)
    assert told.policies == [""]


async def test_a_status_write_makes_no_new_plan_but_is_kept(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("a", body(version=1))
    declarations.policy_seen("a", body(version=2))
    assert len(told.plans) == 1
    assert declarations.objects(POLICIES)["a"].version == "2"


async def test_an_older_version_is_ignored(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("a", body(version=10, generation=2, suspend=True))
    declarations.policy_seen("a", body(version=9, generation=1))
    assert declarations.objects(POLICIES)["a"].generation == 2
    assert told.policies == []


async def test_a_policy_deleted_and_made_again_is_another_one(declarations: Declarations) -> None:
    declarations.policy_seen("a", body(version=10, uid="old"))
    declarations.policy_seen("a", body(version=11, uid="new", suspend=True))
    assert declarations.objects(POLICIES)["a"].uid == "new"


async def test_equal_plans_are_not_told_twice(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("a", body(version=1))
    declarations.policy_seen("b", body("b", version=2, suspend=True))
    assert len(told.plans) == 1


async def test_link_rules_are_kept_apart(declarations: Declarations, told: Told) -> None:
    declarations.link_rule_seen("a", body())
    assert not told.plans
    assert not declarations.compiled.rule_verdicts["a"].accepted
    assert list(declarations.objects(LINK_RULES)) == ["a"]
    declarations.policy_seen("a", None)
    assert list(declarations.objects(LINK_RULES)) == ["a"]


async def test_a_list_finds_what_was_deleted_and_what_is_new(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("gone", body("gone"))
    before = declarations.objects(POLICIES)
    declarations.listed(POLICIES, [body("new", version=5)], before=before)
    assert told.policies == ["new"]


async def test_a_list_does_not_undo_what_was_seen_after_it_was_asked_for(
    declarations: Declarations, told: Told
) -> None:
    declarations.policy_seen("changed", body("changed", version=1))
    before = declarations.objects(POLICIES)
    declarations.policy_seen("created", body("created", version=7))
    declarations.policy_seen("changed", body("changed", version=8, generation=2, suspend=True))
    declarations.listed(POLICIES, [body("changed", version=1)], before=before)
    assert told.policies == ["created"]
    assert declarations.objects(POLICIES)["changed"].version == "8"


async def test_everything_seen_is_news_for_the_reporter(declarations: Declarations) -> None:
    declarations.policy_seen("a", body())
    assert declarations.news.is_set()
    declarations.news.clear()
    declarations.policy_seen("a", body())
    assert not declarations.news.is_set()
    declarations.policy_seen("a", None)
    assert declarations.news.is_set()


async def test_a_start_of_kopf_asks_for_a_sweep(declarations: Declarations, told: Told) -> None:
    declarations.failed("why")
    assert declarations.operator_failure == "why"
    assert declarations.sweep_wanted.is_set()
    declarations.sweep_wanted.clear()
    declarations.ready()
    assert declarations.operator_failure == ""
    assert declarations.sweep_wanted.is_set()
    declarations.types_changed()
    assert told.rediscoveries == 1


async def test_objects_of_a_strange_form_do_no_harm(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("a", {"metadata": None, "spec": None, "status": None})
    declarations.policy_seen("b", {})
    assert [s.policy for s in declarations.plan.scopes] == [""]


# ---------------------------------------------------------------------------------------------- Secrets and rules

EXPORTING: dict[str, Any] = {
    "exporters": [{"name": "x", "otlp": {"endpoint": "h:1", "headersSecretRef": {"name": "s"}}}]
}
RULE: dict[str, Any] = {
    "source": {"resources": [{"apiGroups": [""], "resources": ["pods"]}]},
    "targets": [{"name": "o", "type": "Owner", "owner": {}}],
}


def headers(told: Told) -> list[tuple[tuple[str, str], ...]]:
    return [exporter.headers for exporter in told.plans[-1].exporters]


async def test_a_secret_that_changes_makes_a_new_plan(told: Told, api: FakeControlApi) -> None:
    book = SecretBook(api.read_secret)
    declarations = Declarations(Installation(), on_plan=told.plans.append, secrets=book)
    declarations.policy_seen("a", body(**EXPORTING))
    assert headers(told) == []
    api.secrets["s"] = {"authorization": b"1"}
    declarations.news.clear()
    await book.refresh()
    assert headers(told) == [(("authorization", "1"),)]
    assert declarations.news.is_set()
    api.secrets["s"] = {"authorization": b"2"}
    await book.refresh()
    assert headers(told) == [(("authorization", "2"),)]
    plans = len(told.plans)
    await book.refresh()
    assert len(told.plans) == plans


async def test_secrets_are_read_for_as_long_as_somebody_names_them(told: Told, api: FakeControlApi) -> None:
    book = SecretBook(api.read_secret)
    declarations = Declarations(Installation(), on_plan=told.plans.append, secrets=book)
    declarations.policy_seen("a", body(version=1, **EXPORTING))
    await book.refresh()
    declarations.policy_seen("a", body(version=2, generation=2, suspend=True, **EXPORTING))
    await book.refresh()
    declarations.policy_seen("a", body(version=3, generation=3, **EXPORTING))
    await book.refresh()
    declarations.policy_seen("a", None)
    await book.refresh()
    assert api.secrets_read == ["s", "s"]


async def test_without_a_book_what_needs_a_secret_is_left_out(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("a", body(**EXPORTING))
    assert told.plans[-1].exporters == ()
    assert [u.reason for u in declarations.compiled.verdicts["a"].unresolved] == ["Pending"]


async def test_a_rule_makes_a_new_plan_and_takes_it_back(declarations: Declarations, told: Told) -> None:
    declarations.link_rule_seen("r", body("r", version=1, **RULE))
    assert [rule.name for rule in told.plans[-1].rules] == ["r"]
    declarations.link_rule_seen("r", body("r", version=2, **RULE))
    assert len(told.plans) == 1
    declarations.link_rule_seen("r", body("r", version=3, generation=2, **RULE, suspend=True))
    assert told.plans[-1].rules == ()
    declarations.link_rule_seen("r", body("r", version=4, generation=3, **RULE))
    declarations.link_rule_seen("r", None)
    assert told.plans[-1].rules == ()
    assert declarations.compiled.rule_verdicts == {}


async def test_a_refused_rule_leaves_the_others_in_force(declarations: Declarations, told: Told) -> None:
    declarations.link_rule_seen("r", body("r", version=1, **RULE))
    declarations.link_rule_seen("bad", body("bad", version=2, source={}))
    assert [rule.name for rule in declarations.plan.rules] == ["r"]
    assert not declarations.compiled.rule_verdicts["bad"].accepted


async def test_a_list_makes_one_plan(declarations: Declarations, told: Told) -> None:
    declarations.listed(POLICIES, [body(f"p{n}", version=n) for n in range(1, 30)], before={})
    declarations.listed(LINK_RULES, [body(f"r{n}", version=n, **RULE) for n in range(1, 30)], before={})
    assert len(told.plans) == 2
    assert len(told.plans[-1].rules) == 29


async def test_labels_of_the_local_cluster_are_news(declarations: Declarations, told: Told) -> None:
    declarations.policy_seen("a", body(version=1))
    labelled = [{"name": "local", "labels": {"env": "dev"}}]
    declarations.policy_seen("a", body(version=2, generation=2, clusters=labelled))
    assert len(told.plans) == 2
    assert declarations.plan.labels == (("env", "dev"),)
