"""Targets named in fields of the source: ``spec.nodeName``, ``spec.volumes[*].secret.secretName``.

A second path may give the namespace. Where both run through the same list, each name takes the namespace of its own
item.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kubeweft.links.cel import EvaluationFailed
from kubeweft.links.naming import Find, Named, Subject
from kubeweft.model.field_paths import FieldPath
from kubeweft.model.rules import ByFieldPath


class _Step:
    """The last step of a path. Paths that begin alike share their first steps, and so what those lead to."""

    __slots__ = ("before", "key", "position")

    def __init__(self, before: _Step | None, key: str) -> None:
        self.before = before
        self.key = key
        self.position = int(key) if key.isdecimal() else -1

    def values(self, obj: Any, walked: Walked) -> list[Any]:
        """What this step leads to from the object; ``walked`` keeps it for the other paths that come by."""
        found = walked.get(self)
        if found is None:
            before = self.before.values(obj, walked) if self.before else [obj]
            found = walked[self] = self._onward(before) if before else before
        return found

    def _onward(self, values: list[Any]) -> list[Any]:
        key = self.key
        if key == "*":
            return [item for value in values for item in _items(value)]
        found = [value[key] for value in values if type(value) is dict and key in value]
        if self.position >= 0:
            lists = [value for value in values if type(value) is list]
            found += [value[self.position] for value in lists if self.position < len(value)]
        return found


Walked = dict[Any, list[Any]]
Values = Callable[[Any, Walked], list[Any]]


def compile_finder(finder: ByFieldPath) -> Find:
    """What finds the names at the path."""
    if finder.namespace is None:
        values = values_at(finder.name)

        def find(subject: Subject) -> list[Named]:
            found = values(subject.body, subject.walked)
            return [Named(name) for name in dict.fromkeys(names_in(found))] if found else []

        return find
    return _with_namespaces(finder.name, finder.namespace)


def values_at(path: FieldPath) -> Values:
    """What gives every value the path leads to; a missing field is none. The list is not to be changed."""
    return _step(path).values if path else lambda obj, _: [obj]


def names_in(values: list[Any]) -> Iterator[str]:
    """The texts among values, also those in lists. Raises ``EvaluationFailed`` for a value of another kind."""
    for value in values:
        if type(value) is str:
            if value:
                yield value
        elif type(value) is list:
            yield from names_in(value)
        elif value is not None:
            raise EvaluationFailed("the field holds no text")


@functools.lru_cache(maxsize=4096)
def _step(path: FieldPath) -> _Step:
    return _Step(_step(path[:-1]) if len(path) > 1 else None, path[-1])


def _items(value: Any) -> Iterable[Any]:
    if type(value) is list:
        return value
    return value.values() if type(value) is dict else ()


def _with_namespaces(name: FieldPath, namespace: FieldPath) -> Find:
    shared = _shared(name, namespace)
    items, names, namespaces = (
        values_at(name[:shared]),
        values_at(name[shared:]),
        values_at(namespace[shared:]),
    )

    def find(subject: Subject) -> list[Named]:
        found = []
        for item in items(subject.body, subject.walked):
            place = next(names_in(namespaces(item, {})), "")
            found += [Named(each, place) for each in names_in(names(item, {}))]
        return found

    return find


def _shared(name: FieldPath, namespace: FieldPath) -> int:
    """How many keys lead to the items in which both paths go on: up to the last star that they have in common."""
    length = 0
    for place, (one, other) in enumerate(zip(name, namespace, strict=False)):
        if one != other:
            break
        if one == "*":
            length = place + 1
    return length
