"""Paths to fields of objects, as users write them in policies, and what is done at the end of one.

A path is a tuple of keys; ``*`` stands for every item of a list and every value of a map, digits for a position in a
list. The written form is that of the CRDs: JavaScript without a leading dot.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, Final

from kubeweft.model.errors import BadInput

FieldPath = tuple[str, ...]
Place = tuple[dict[str, Any] | list[Any], Any]

LONGEST_PATH: Final = 512
_FIRST = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_NEXT = re.compile(
    r"\.(?P<key>[A-Za-z_$][A-Za-z0-9_$-]*)|\[(?P<index>[0-9]{1,5})\]|\[(?P<all>\*)\]|\['(?P<quoted>[^'\]]{1,253})'\]"
)


def parse_field_path(text: str) -> FieldPath:
    """``spec.volumes[*].secret``, ``metadata.annotations['a.b/c']`` or ``args[0]`` as a tuple of keys.

    Raises ``BadInput`` with the position of the first character that does not fit.
    """
    if len(text) > LONGEST_PATH:
        raise BadInput(f"a field path has at most {LONGEST_PATH} characters")
    first = _FIRST.match(text)
    if first is None:
        raise BadInput("a field path starts with the name of a field, without a dot before it")
    path, end = [first[0]], first.end()
    while end < len(text):
        part = _NEXT.match(text, end)
        if part is None:
            raise BadInput(
                f"character {end + 1} does not fit: after a field comes .name, [0], [*] or ['odd/name']"
            )
        path.append(
            str(int(part["index"])) if part["index"] else part["key"] or part["all"] or part["quoted"]
        )
        end = part.end()
    return tuple(path)


def find(obj: Any, path: FieldPath) -> Iterator[Place]:
    """Every place the path leads to, as the map or list that holds it and the key in there. Missing ones are none."""
    key, *rest = path
    for here in _keys(obj, key):
        if rest:
            yield from find(obj[here], tuple(rest))
        else:
            yield obj, here


def drop_paths(obj: dict[str, Any], paths: frozenset[FieldPath]) -> None:
    """Take the fields out of the object, in place. Positions in lists are those before anything was taken out."""
    plain, starred = _sorted_out(paths)
    for parents, last in plain:
        node: Any = obj
        for key in parents:
            node = node.get(key) if type(node) is dict else None
        if type(node) is dict:
            node.pop(last, None)
    if starred:
        _drop_found([place for path in starred for place in find(obj, path)])


def _drop_found(places: list[Place]) -> None:
    positions: dict[int, tuple[list[Any], set[int]]] = {}
    for holder, key in places:
        if type(holder) is dict:
            holder.pop(key, None)
        elif type(holder) is list:
            positions.setdefault(id(holder), (holder, set()))[1].add(key)
    for items, gone in positions.values():
        items[:] = [item for position, item in enumerate(items) if position not in gone]


def _keys(obj: Any, key: str) -> list[Any]:
    if type(obj) is dict:
        return list(obj) if key == "*" else [key] if key in obj else []
    if type(obj) is list:
        if key == "*":
            return list(range(len(obj)))
        return [int(key)] if key.isdecimal() and int(key) < len(obj) else []
    return []


@functools.lru_cache(maxsize=64)
def _sorted_out(paths: frozenset[FieldPath]) -> tuple[list[tuple[FieldPath, str]], list[FieldPath]]:
    """The paths that are walked through maps only, and those that can lead to several places or into lists."""
    starred = sorted(path for path in paths if any(key == "*" or key.isdecimal() for key in path))
    plain = [(path[:-1], path[-1]) for path in sorted(paths.difference(starred))]
    return plain, starred
