"""Label selectors as people write them, checked by the rules of Kubernetes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

from kubeweft.control.compiling.verdicts import Problem
from kubeweft.control.declared import schema
from kubeweft.model.selectors import LabelSelector, Operator, Requirement

_OPERATORS: tuple[Operator, ...] = get_args(Operator)
_WITH_VALUES = ("In", "NotIn")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def compile_selector(
    field: str, selector: schema.LabelSelector | None, problems: list[Problem]
) -> LabelSelector | None:
    """A selector; None for one that selects everything. What can select nothing is added to ``problems``."""
    if selector is None:
        return None
    equal = [
        Requirement(key, "In", frozenset({value})) for key, value in sorted(selector.match_labels.items())
    ]
    for key, value in sorted(selector.match_labels.items()):
        problems.extend(_check(f"{field}.matchLabels", key, (value,)))
    terms = [
        requirement
        for number, term in enumerate(selector.match_expressions)
        for requirement in _term(f"{field}.matchExpressions[{number}]", term, problems)
    ]
    return LabelSelector((*equal, *terms)) if equal or terms else None


def _term(field: str, term: schema.SelectorTerm, problems: list[Problem]) -> Iterable[Requirement]:
    problems.extend(_check(field, term.key, term.values))
    operator = next((o for o in _OPERATORS if o == term.operator), None)
    if operator is None:
        wrong = f"{term.operator!r} is none of {', '.join(_OPERATORS)}"
        problems.append(Problem("InvalidSpec", f"{field}.operator", wrong))
        return
    if bool(term.values) is not (operator in _WITH_VALUES):
        wrong = f"must {'not be' if operator in _WITH_VALUES else 'be'} empty for {operator}"
        problems.append(Problem("InvalidSpec", f"{field}.values", wrong))
    yield Requirement(term.key, operator, frozenset(term.values))


def _check(field: str, key: str, values: Iterable[str]) -> Iterable[Problem]:
    if not _KEY.fullmatch(key):
        yield Problem("InvalidSpec", field, f"{key!r} cannot be the key of a label")
    for value in values:
        if not _VALUE.fullmatch(value):
            yield Problem("InvalidSpec", field, f"{value!r} cannot be the value of a label")
