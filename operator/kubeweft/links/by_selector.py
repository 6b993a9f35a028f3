"""Label selectors as objects write them: ``matchLabels`` and ``matchExpressions``, or a plain map as in Services.

This only reads a selector out of an object; what it selects is kept up to date by :mod:`kubeweft.links.pool`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kubeweft.links.by_field_path import values_at
from kubeweft.links.cel import EvaluationFailed
from kubeweft.links.naming import Subject
from kubeweft.model.rules import BySelector
from kubeweft.model.selectors import LabelSelector, Operator, Requirement

MOST_REQUIREMENTS: Final = 256
_OPERATORS: Final[dict[str, Operator]] = {
    "In": "In", "NotIn": "NotIn", "Exists": "Exists", "DoesNotExist": "DoesNotExist",
}  # fmt: skip
Read = Callable[[Subject], list[LabelSelector]]


def compile_reader(finder: BySelector) -> Read:
    """What reads the selectors at the path; a missing one or null selects nothing, an empty one everything."""
    values = values_at(finder.path)
    return lambda subject: [
        read_selector(value) for value in values(subject.body, subject.walked) if value is not None
    ]


def read_selector(value: Any) -> LabelSelector:
    """The selector that a map writes down. Raises ``EvaluationFailed`` where it is none."""
    if type(value) is not dict:
        raise EvaluationFailed("the field holds no label selector")
    if isinstance(value.get("matchLabels"), dict) or isinstance(value.get("matchExpressions"), list):
        requirements = _equalities(value.get("matchLabels") or {})
        requirements += [_requirement(each) for each in value.get("matchExpressions") or ()]
    else:
        requirements = _equalities(value)
    if len(requirements) > MOST_REQUIREMENTS:
        raise EvaluationFailed(f"the label selector has more than {MOST_REQUIREMENTS} requirements")
    return LabelSelector(tuple(sorted(requirements, key=_order)))


def _equalities(labels: Any) -> list[Requirement]:
    if type(labels) is not dict or not all(type(value) is str for value in labels.values()):
        raise EvaluationFailed("the labels of a selector must be text")
    return [Requirement(key, "In", frozenset((value,))) for key, value in labels.items()]


def _requirement(value: Any) -> Requirement:
    if type(value) is not dict or type(value.get("key")) is not str:
        raise EvaluationFailed("an expression of the label selector has no key")
    operator = _OPERATORS.get(str(value.get("operator")))
    if operator is None:
        raise EvaluationFailed("an expression of the label selector has an unknown operator")
    values = value.get("values") or []
    if type(values) is not list or not all(type(each) is str for each in values):
        raise EvaluationFailed("the values in a label selector must be a list of text")
    if operator in ("In", "NotIn") and not values:
        raise EvaluationFailed(f"the operator {operator} of a label selector needs values")
    return Requirement(
        value["key"], operator, frozenset(values) if operator in ("In", "NotIn") else frozenset()
    )


def _order(requirement: Requirement) -> tuple[str, str, tuple[str, ...]]:
    return requirement.key, requirement.operator, tuple(sorted(requirement.values))
