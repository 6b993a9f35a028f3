"""Targets named in an annotation: names, ``namespace/name``, several of them, or JSON."""

from __future__ import annotations

from typing import Any, Final

import orjson

from kubeweft.links.cel import EvaluationFailed
from kubeweft.links.naming import Find, Named, Subject, named_by
from kubeweft.model.rules import ByAnnotation

LONGEST_ANNOTATION: Final = 65_536


def compile_finder(finder: ByAnnotation) -> Find:
    """What finds the names in the annotation; an object without it names nothing."""
    parse = {"Name": _names, "NamespacedName": _namespaced_names, "JSON": _json}[finder.format]

    def find(subject: Subject) -> list[Named]:
        text = subject.annotations.get(finder.key)
        if type(text) is not str or not text.strip():
            return []
        if len(text) > LONGEST_ANNOTATION:
            raise EvaluationFailed(f"the annotation is longer than {LONGEST_ANNOTATION} characters")
        return parse(text, finder.separator)

    return find


def _names(text: str, separator: str) -> list[Named]:
    return [Named(part.strip()) for part in text.split(separator) if part.strip()]


def _namespaced_names(text: str, separator: str) -> list[Named]:
    """A part without a slash is a name alone."""
    found = []
    for part in text.split(separator):
        namespace, _, name = part.strip().rpartition("/")
        if name or namespace:
            found.append(Named(name, namespace))
    return found


def _json(text: str, _: str) -> list[Named]:
    try:
        value: Any = orjson.loads(text)
    except ValueError:
        raise EvaluationFailed("the annotation holds no JSON") from None
    return named_by(value)
