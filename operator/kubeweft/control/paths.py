"""Field paths of a policy, parsed all, with every mistake told."""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.control.verdicts import Problem
from kubeweft.model.changes import parse_field_path
from kubeweft.model.errors import BadInput


def compile_paths(field: str, paths: Iterable[str], problems: list[Problem]) -> frozenset[tuple[str, ...]]:
    """The paths that can be read; the others are added to ``problems``."""
    parsed = set()
    for path in paths:
        try:
            parsed.add(parse_field_path(path))
        except BadInput as error:
            problems.append(Problem("InvalidExpression", field, f"{path!r}: {error}"))
    return frozenset(parsed)
