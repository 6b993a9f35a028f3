"""What changed between two versions of an object: the difference as RFC 6902, and how to apply it.

An own differ, because ``jsonpatch.make_patch`` compares lists by position (one inserted container changes all that
follow) and takes 20 to 40 times as long. ``jsonpatch`` applies. Whatever the objects are, ``apply(diff(a, b), a)`` is
``b``, where JSON's ``true``, ``1`` and ``1.0`` are three values. The same two objects make the same operations, in
whatever order their keys arrive. What to leave out of a comparison is decided before: see :func:`drop_paths`.
"""

from __future__ import annotations

from typing import Any, Final

import jsonpatch
import msgspec
from orjson import OPT_SORT_KEYS, JSONDecodeError, dumps, loads

from kubeweft.model.alignment import Alignment, align, by_content
from kubeweft.model.errors import BadInput
from kubeweft.model.field_paths import drop_paths, parse_field_path
from kubeweft.model.merge_keys import identify, is_same_item
from kubeweft.model.words import describe

__all__ = [
    "JsonObject",
    "Operation",
    "apply",
    "describe",
    "diff",
    "differing_fields",
    "drop_paths",
    "parse_field_path",
]

JsonObject = dict[str, Any]
Operation = dict[str, Any]

_ABSENT: Final = object()
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LAST_FIELDS: Final = {"metadata": 1, "status": 2}  # what somebody wanted comes first, then what came of it


def diff(old: JsonObject, new: JsonObject) -> list[Operation]:
    """The RFC 6902 operations (add, remove, replace, move) that make ``new`` of ``old``; they share values with ``new``.

    Objects nested too deeply to be walked (hundreds of levels) are replaced as a whole.
    """
    try:
        comparison = _Comparison()
        comparison.objects(old, new, "")
        if not comparison.is_exact():
            comparison = _Comparison(careful=True)
            comparison.objects(old, new, "")
    except RecursionError:
        return [{"op": "replace", "path": "", "value": new}]
    return comparison.operations


def differing_fields(old: bytes, new: bytes) -> tuple[JsonObject, JsonObject]:
    """Two versions in JSON, decoded as far as they differ: the top-level fields that are not the same bytes.

    The difference of the two is that of the whole objects, for much less work where a status or a spec stayed as it
    was. Both are best written by the same encoder. Raises ``BadInput`` if one is no JSON object.
    """
    try:
        before, after = _FIELDS.decode(old), _FIELDS.decode(new)
        same = {key for key, value in before.items() if after.get(key) == value}
        return (
            {key: loads(bytes(value)) for key, value in before.items() if key not in same},
            {key: loads(bytes(value)) for key, value in after.items() if key not in same},
        )
    except (msgspec.DecodeError, JSONDecodeError, RecursionError):
        raise BadInput("a version to compare is no JSON object") from None


def apply(operations: list[Operation], document: JsonObject) -> JsonObject:
    """The document after the operations. The one given stays as it is."""
    result: JsonObject = jsonpatch.JsonPatch(operations).apply(document, in_place=False)
    return result


class _Comparison:
    """One walk through two versions.

    What Python holds equal is passed over at C speed, and noted: Python's ``True == 1 == 1.0``, so whether all of
    it is the same JSON is asked at the end, once. If it is not, a careful walk looks into everything.
    """

    __slots__ = ("careful", "operations", "passed_new", "passed_old")

    def __init__(self, *, careful: bool = False) -> None:
        self.operations: list[Operation] = []
        self.careful = careful
        self.passed_old: list[Any] = []
        self.passed_new: list[Any] = []

    def is_exact(self) -> bool:
        """Whether everything passed over is the same JSON; False also where that cannot be told."""
        try:
            return dumps(self.passed_old) == dumps(self.passed_new) or (
                dumps(self.passed_old, option=OPT_SORT_KEYS) == dumps(self.passed_new, option=OPT_SORT_KEYS)
            )
        except TypeError:  # what orjson cannot write: numbers past 64 bits, half surrogate pairs, 255 levels
            return False

    def objects(self, old: JsonObject, new: JsonObject, path: str) -> None:
        """All fields of two maps."""
        changed = self._changed(old, new)
        if len(changed) > 1:
            changed.sort(key=None if path else _rank)  # keys differ, so values are never compared
        for key, before, after in changed:
            pointer = f"{path}/{_escape(key)}" if "~" in key or "/" in key else f"{path}/{key}"
            if after is _ABSENT:
                self.operations.append({"op": "remove", "path": pointer})
            elif before is _ABSENT:
                self.operations.append({"op": "add", "path": pointer, "value": after})
            else:
                self._values(before, after, pointer, key)

    def _changed(self, old: JsonObject, new: JsonObject) -> list[tuple[str, Any, Any]]:
        changed, gone = [], 0
        for key, before in old.items():
            after = new.get(key, _ABSENT)
            if before is after:
                continue
            if before == after:
                kind = type(before)
                if kind is str or self._passes(kind, before, after):
                    continue
            elif after is _ABSENT:
                gone += 1
            changed.append((key, before, after))
        if len(new) + gone != len(old):
            changed += [(key, _ABSENT, after) for key, after in new.items() if key not in old]
        return changed

    def _passes(self, kind: type, before: Any, after: Any) -> bool:
        """Whether two values that Python holds equal need no closer look, for now."""
        if kind is not dict and kind is not list:
            return kind is type(after)
        if self.careful:
            return False
        self.passed_old.append(before)
        self.passed_new.append(after)
        return True

    def _values(self, before: Any, after: Any, path: str, field: str) -> None:
        kind = type(before)
        if kind is dict and type(after) is dict:
            self.objects(before, after, path)
        elif kind is list and type(after) is list:
            self._lists(before, after, path, field)
        elif before != after or kind is not type(after):
            self.operations.append({"op": "replace", "path": path, "value": after})

    def _lists(self, old: list[Any], new: list[Any], path: str, field: str) -> None:
        """First the steps that put every item in its place, then the changes inside items, at their final positions."""
        if not old or not new:
            if old or new:
                self.operations.append({"op": "replace", "path": path, "value": new})
            return
        if len(old) == len(new) and not self.careful:
            changed = self._in_place(old, new, field)
            if changed is not None:
                for position in changed:
                    self.objects(old[position], new[position], f"{path}/{position}")
                return
        alignment = align(identify(field, old, new) or by_content(old, new))
        if alignment is None:
            self.operations.append({"op": "replace", "path": path, "value": new})
            return
        self._steps(alignment, new, path)
        origins = alignment.origins
        self._items([_ABSENT if origin is None else old[origin] for origin in origins], new, path)

    def _in_place(self, old: list[Any], new: list[Any], field: str) -> list[int] | None:
        """The positions of changed objects, if every item is still where it was: the usual case, told quickly."""
        changed = []
        for position, before in enumerate(old):
            after = new[position]
            if before == after:
                self.passed_old.append(before)
                self.passed_new.append(after)
            elif is_same_item(field, before, after):
                changed.append(position)
            else:
                return None
        return changed

    def _steps(self, alignment: Alignment, new: list[Any], path: str) -> None:
        append = self.operations.append
        for position in alignment.removed:
            append({"op": "remove", "path": f"{path}/{position}"})
        for start, end in alignment.moved:
            append({"op": "move", "from": f"{path}/{start}", "path": f"{path}/{end}"})
        for position in alignment.added:
            append({"op": "add", "path": f"{path}/{position}", "value": new[position]})

    def _items(self, old: list[Any], new: list[Any], path: str) -> None:
        for position, before in enumerate(old):
            after = new[position]
            if before is after or before is _ABSENT:
                continue
            if before != after or not self._passes(type(before), before, after):
                self._values(before, after, f"{path}/{position}", "")


def _rank(field: tuple[str, Any, Any]) -> tuple[int, str]:
    return _LAST_FIELDS.get(field[0], 0), field[0]


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
