"""Data made fit for the CEL evaluator, and measured on the way.

The evaluator recurses over data and has no end to that: 10,000 levels end the process. It also takes no integer
beyond 64 bits and no half surrogates. Nothing is changed in place; only what has to change is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEEPEST: Final = 64
LONGEST_STRING: Final = 65_536
MOST_VALUES: Final = 500_000
_SMALLEST_INT: Final = -(1 << 63)
_LARGEST_INT: Final = (1 << 63) - 1


class Unfit(Exception):
    """The data cannot be given to the evaluator; the message says why."""


class Size:
    """How large data is: the longest string, the largest list or map, and all of it, in characters and values."""

    __slots__ = ("largest", "longest", "total", "values")

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.longest = 0
        self.largest = 0
        self.total = 0
        self.values = 0


def fitted(value: Mapping[str, Any] | None, size: Size, *, fields: frozenset[str] | None = None) -> Any:
    """The data without ``managedFields``, long strings cut, every value of a kind that the evaluator knows.

    Only these top-level ``fields`` are looked at, None being all. ``size`` grows by them. Raises ``Unfit`` for data
    that is nested too deep or has too many values.
    """
    if value is None:
        return None
    if fields is not None:
        value = {name: value[name] for name in sorted(fields) if name in value}
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping) and "managedFields" in metadata:
        slim = {key: item for key, item in metadata.items() if key != "managedFields"}
        value = {**value, "metadata": slim}
    return _fit(value, size, DEEPEST)


def is_fit_text(text: str) -> bool:
    """Whether the evaluator reads all of the text: it ends at NUL and fails at half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or _encodes(text))


def _fit(value: Any, size: Size, depth: int) -> Any:
    kind = type(value)
    size.values += 1
    if kind is str:
        return _fit_text(value, size)
    if kind is dict:
        return _fit_map(value, size, depth)
    if kind is list:
        _enter(len(value), size, depth)
        items = [_fit(item, size, depth - 1) for item in value]
        return value if all(map(_same, items, value)) else items
    if kind is int:
        return value if _SMALLEST_INT <= value <= _LARGEST_INT else float(value)
    if value is None or kind is bool or kind is float:
        return value
    return _fit_other(value, size, depth)


def _fit_map(value: dict[Any, Any], size: Size, depth: int) -> dict[str, Any]:
    _enter(len(value), size, depth)
    changed = {}
    for key, item in value.items():
        name = _fit_text(key if type(key) is str else str(key), size)
        fit = _fit(item, size, depth - 1)
        if fit is not item or name is not key:
            changed[key] = (name, fit)
    if not changed:
        return value
    pairs = [changed.get(key, (key, item)) for key, item in value.items()]
    return dict(pairs)


def _fit_text(text: str, size: Size) -> str:
    if len(text) > LONGEST_STRING:
        text = text[:LONGEST_STRING]
    size.total += len(text)
    if len(text) > size.longest:
        size.longest = len(text)
    if text.isascii():
        return text if "\0" not in text else text.replace("\0", "\ufffd")
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _fit_other(value: Any, size: Size, depth: int) -> Any:
    """Not from JSON: mappings of other kinds, tuples, and the dates that YAML makes out of text."""
    if isinstance(value, Mapping):
        return _fit_map(dict(value), size, depth)
    if isinstance(value, tuple | set | frozenset):
        return _fit(list(value), size, depth)
    return _fit_text(str(value), size)


def _enter(count: int, size: Size, depth: int) -> None:
    if depth <= 0:
        raise Unfit(f"the object is nested deeper than {DEEPEST} levels")
    if count > size.largest:
        size.largest = count
    if size.values + count > MOST_VALUES:
        raise Unfit(f"the object has more than {MOST_VALUES} values")


def _same(one: Any, other: Any) -> bool:
    return one is other


def _encodes(text: str) -> bool:
    return all(not 0xD800 <= ord(character) <= 0xDFFF for character in text)
