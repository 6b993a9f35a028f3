"""Field paths of a policy, parsed all, with every mistake told."""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.control.compiling.verdicts import Problem
from kubeweft.model.changes import parse_field_path
from kubeweft.model.errors import BadInput

_KNOWN_BY = frozenset({"name", "namespace", "uid", "*"})


def compile_paths(field: str, paths: Iterable[str], problems: list[Problem]) -> frozenset[tuple[str, ...]]:
    """The paths that can be read; the others are added to ``problems``."""
    parsed = set()
    for path in paths:
        try:
            parsed.add(parse_field_path(path))
        except BadInput as error:
            problems.append(Problem("InvalidExpression", field, f"{path!r}: {error}"))
    return frozenset(parsed)


def compile_ignored(paths: Iterable[str], problems: list[Problem]) -> frozenset[tuple[str, ...]]:
    """What diffs leave out. Not what an object is known by: without it two objects would look like one."""
    field = "spec.diff.ignorePaths"
    ignored = compile_paths(field, paths, problems)
    for path in sorted(ignored):
        if path[0] in ("apiVersion", "kind") or (
            path[0] == "metadata" and (len(path) == 1 or path[1] in _KNOWN_BY)
        ):
            message = f"{'.'.join(path)!r} holds what an object is known by: it cannot be left out"
            problems.append(Problem("InvalidSpec", field, message))
    return ignored
