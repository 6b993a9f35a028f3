"""What to say about one LinkRule: its verdict and what it has done so far, as conditions and counts. Pure."""

from __future__ import annotations

from typing import Final

from kubeweft.control.compiling.rules import RuleVerdict
from kubeweft.control.judging.conditions import Condition
from kubeweft.links.statistics import RuleStatistics

NOTHING_YET: Final = RuleStatistics()
_UNDERSTOOD = Condition("Accepted", "True", "Accepted", "the rule is understood")
_RESOLVED = Condition("ResolvedRefs", "True", "ResolvedRefs", "the rule refers to nothing that is missing")


def judge_link_rule(
    verdict: RuleVerdict, health: RuleStatistics | None, *, in_force: bool
) -> list[Condition]:
    """All conditions of one rule.

    ``in_force`` says that the data path works by the plan this verdict belongs to; ``health`` is None while the rule
    has told nothing. A rule whose expressions fail for some objects stays ready, because it links the others.
    """
    if not verdict.accepted:
        return _refused(verdict)
    if verdict.suspended or verdict.rule is None:
        message = "suspended: nothing is linked by this rule"
        return [Condition("Ready", "True", "Suspended", message), _UNDERSTOOD, _RESOLVED]
    if not in_force:
        message = "the rule is about to take effect"
        return [
            Condition("Ready", "Unknown", "Pending", message),
            _UNDERSTOOD,
            _RESOLVED,
            Condition("Reconciling", "True", "Pending", message),
        ]
    return [_ready(health or NOTHING_YET), _UNDERSTOOD, _RESOLVED]


def rule_counters(health: RuleStatistics | None) -> dict[str, int]:
    """The numbers in a rule's status: all 0 while it has told nothing."""
    known = health or NOTHING_YET
    return {
        "matchedObjects": known.matched,
        "resolvedLinks": known.resolved,
        "unresolvedLinks": known.unresolved,
        "overLimit": known.over_limit,
        "evaluationErrors": known.errors,
    }


def _refused(verdict: RuleVerdict) -> list[Condition]:
    reason = verdict.refusal
    summary = "InvalidSpec" if reason == "InvalidExpression" else reason
    not_judged = f"the rule is not accepted: {reason}"
    return [
        Condition("Ready", "False", summary, verdict.message),
        Condition("Accepted", "False", reason, verdict.message),
        Condition("ResolvedRefs", "Unknown", summary, not_judged),
        Condition("Stalled", "True", summary, verdict.message),
    ]


def _ready(health: RuleStatistics) -> Condition:
    if health.errors:
        message = f"expressions that failed: {health.errors}; the first: {health.first_error}"
        return Condition("Ready", "True", "EvaluationErrors", f"{message}; {_done(health)}")
    return Condition("Ready", "True", "Linking", _done(health))


def _done(health: RuleStatistics) -> str:
    if not health.matched:
        return "no object is matched yet"
    text = f"objects matched: {health.matched}, links to known objects: {health.resolved}"
    if health.unresolved:
        text += f", to what is not known: {health.unresolved}"
    if health.over_limit:
        text += f", beyond 'maxTargets' and not linked: {health.over_limit}"
    return text
