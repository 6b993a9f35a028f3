"""What is said about a LinkRule: conditions as kubectl, Flux and Argo CD read them, and counts."""

from __future__ import annotations

from kubeweft.control.compiling.rules import RuleVerdict
from kubeweft.control.compiling.verdicts import Problem
from kubeweft.control.judging.conditions import Condition
from kubeweft.control.judging.rules import judge_link_rule, rule_counters
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.rules import ByLabel, LinkRule, SourceSelector, Target

RULE = LinkRule(
    name="r", source=SourceSelector(resources=()), targets=(Target(name="t", finder=ByLabel("a")),)
)
IN_FORCE = RuleVerdict(rule=RULE)
BUSY = RuleStatistics(matched=7, resolved=5, unresolved=2, over_limit=1)


def judged(verdict: RuleVerdict, health: RuleStatistics | None, *, in_force: bool) -> dict[str, Condition]:
    """Conditions by type."""
    conditions = judge_link_rule(verdict, health, in_force=in_force)
    assert len({c.type for c in conditions}) == len(conditions)
    return {c.type: c for c in conditions}


def test_a_refused_rule_is_stalled_with_all_its_problems() -> None:
    problems = (
        Problem("InvalidExpression", "spec.targets[x].cel.expression", "no"),
        Problem("InvalidExpression", "spec.cluster.expression", "neither"),
    )
    for in_force in (False, True):
        told = judged(RuleVerdict(problems=problems), BUSY, in_force=in_force)
        assert (told["Ready"].status, told["Ready"].reason) == ("False", "InvalidSpec")
        assert (told["Accepted"].status, told["Accepted"].reason) == ("False", "InvalidExpression")
        assert (told["ResolvedRefs"].status, told["Stalled"].status) == ("Unknown", "True")
        assert told["Stalled"].message == (
            "spec.targets[x].cel.expression: no; spec.cluster.expression: neither"
        )
        assert "Reconciling" not in told


def test_the_gravest_reason_is_told() -> None:
    problems = (Problem("Unsupported", "a", "b"), Problem("InvalidSpec", "c", "d"))
    assert judged(RuleVerdict(problems=problems), None, in_force=True)["Accepted"].reason == "InvalidSpec"


def test_a_rule_is_pending_until_the_data_path_works_by_it() -> None:
    told = judged(IN_FORCE, BUSY, in_force=False)
    assert (told["Ready"].status, told["Ready"].reason) == ("Unknown", "Pending")
    assert told["Reconciling"].status == "True"
    assert told["Accepted"].status == "True"
    assert "Stalled" not in told


def test_a_rule_in_force_is_ready_and_says_what_it_does() -> None:
    told = judged(IN_FORCE, BUSY, in_force=True)
    assert set(told) == {"Ready", "Accepted", "ResolvedRefs"}
    assert {c.status for c in told.values()} == {"True"}
    assert told["Ready"].reason == "Linking"
    assert told["Ready"].message == (
        "objects matched: 7, links to known objects: 5, to what is not known: 2, "
        "beyond 'maxTargets' and not linked: 1"
    )
    assert judged(IN_FORCE, None, in_force=True)["Ready"].message == "no object is matched yet"


def test_failing_expressions_leave_it_ready_with_the_first_error() -> None:
    health = RuleStatistics(matched=2, resolved=1, errors=3, first_error="targets[x]: no such key: a")
    ready = judged(IN_FORCE, health, in_force=True)["Ready"]
    assert (ready.status, ready.reason) == ("True", "EvaluationErrors")
    assert ready.message.startswith(
        "expressions that failed: 3; the first: targets[x]: no such key: a; objects"
    )


def test_a_suspended_rule_is_ready_because_it_is_as_asked() -> None:
    for in_force in (False, True):
        told = judged(RuleVerdict(suspended=True), None, in_force=in_force)
        assert (told["Ready"].status, told["Ready"].reason) == ("True", "Suspended")
        assert set(told) == {"Ready", "Accepted", "ResolvedRefs"}


def test_counters_are_those_of_the_schema() -> None:
    assert rule_counters(BUSY) == {
        "matchedObjects": 7,
        "resolvedLinks": 5,
        "unresolvedLinks": 2,
        "overLimit": 1,
        "evaluationErrors": 0,
    }
    assert set(rule_counters(None).values()) == {0}
