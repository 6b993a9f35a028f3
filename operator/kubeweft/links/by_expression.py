"""Targets named by a CEL expression: text, a map, or a list of either."""

from __future__ import annotations

from kubeweft.links.cel import Expression
from kubeweft.links.naming import Find, named_by


def compile_finder(expression: Expression) -> Find:
    """What finds the names that the expression gives."""
    return lambda subject: named_by(expression.evaluate(subject.scene))
