"""Two objects field by field: each field in which they differ, by the name it has in words (``spec.containers[web].image``).

Where :mod:`kubeweft.model.changes` makes operations that can be applied, and words for one span, this is for asking about
single fields: who changed this one, and does another object have it. Nothing is left out, however much differs; the
result is empty exactly where the two are the same JSON (``true``, ``1`` and ``1.0`` are three values).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from orjson import OPT_SORT_KEYS, JSONEncodeError, dumps

from kubeweft.model.merge_keys import identify
from kubeweft.model.phrasing import ARROW, field_label, name_label, step_text, value_text

WHOLE: Final = "the whole object"
_FIRST_FIELDS: Final = ("apiVersion", "kind")
_LAST_FIELDS: Final = {"metadata": 1, "status": 2}  # what somebody wanted comes first, then what came of it
_LABEL = re.compile(r"(?:[^\s\[]|\[(?:'(?:[^'\\]|\\.)*'|[^\]])*\])+")
_PART = re.compile(r"\.?[^.\[]+|\[(?:'(?:[^'\\]|\\.)*'|[^\]])*\]")

Kind = Literal["added", "removed", "replaced", "order"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. ``old`` or ``new`` is None where the field is missing, which ``kind`` tells.

    For ``order``, which a list of named items may change without any other change, both are the names in order.
    """

    label: str
    kind: Kind
    old: Any = None
    new: Any = None
    is_item: bool = False

    def line(self) -> str:
        """In the words of :mod:`kubeweft.model.words`."""
        if self.kind == "order":
            return f"{self.label} order {', '.join(self.old)} {ARROW} {', '.join(self.new)}"
        if self.kind == "replaced":
            return f"{self.label} {step_text(self.old, self.new)}"
        if self.kind == "added":
            return f"+ {self.label}" if self.is_item else f"+ {self.label} = {value_text(self.new)}"
        return f"- {self.label}" if self.is_item else f"- {self.label} (was {value_text(self.old)})"


def field_changes(old: dict[str, Any], new: dict[str, Any]) -> list[FieldChange]:
    """All fields that differ, what is wanted (spec, data) before metadata and status."""
    try:
        return list(_maps(old, new, ""))
    except (RecursionError, JSONEncodeError):  # hundreds of levels deep
        return [FieldChange(WHOLE, "replaced", old, new)]


def labels_above(label: str) -> tuple[str, ...]:
    """The label and those of all fields around it: ``a.b[c]`` → ``a``, ``a.b``, ``a.b[c]``."""
    ends = [part.end() for part in _PART.finditer(label)]
    return tuple([label[:end] for end in ends]) or (label,)


def overlap(one: str, other: str) -> bool:
    """Whether two labels name the same field, or one lies inside the other."""
    if WHOLE in (one, other) or one == other:
        return True
    inner, outer = (one, other) if len(one) > len(other) else (other, one)
    return inner.startswith(outer) and inner[len(outer)] in ".["


def label_of_line(line: str) -> str:
    """The field that a line of words is about; empty where it is about none (``… 12 more``)."""
    if line.startswith(WHOLE):
        return WHOLE
    found = _LABEL.match(line, 2 if line[:2] in ("+ ", "- ") else 0)
    return found[0] if found and found[0] != "…" else ""


def _maps(old: dict[str, Any], new: dict[str, Any], label: str) -> Iterator[FieldChange]:
    keys = sorted({**old, **new}, key=None if label else _rank)
    for key in keys:
        below = field_label(label, key)
        if key not in new:
            yield FieldChange(below, "removed", old=old[key])
        elif key not in old:
            yield FieldChange(below, "added", new=new[key])
        else:
            yield from _values(old[key], new[key], below, key)


def _values(old: Any, new: Any, label: str, field: str) -> Iterator[FieldChange]:
    kind = type(old)
    if kind is dict and type(new) is dict:
        yield from _maps(old, new, label)
    elif kind is list and type(new) is list:
        yield from _lists(old, new, label, field)
    elif kind is not type(new) or old != new:
        yield FieldChange(label, "replaced", old, new)


def _lists(old: list[Any], new: list[Any], label: str, field: str) -> Iterator[FieldChange]:
    named = identify(field, old, new)
    if named is not None:
        before, after = _by_name(named.old, old), _by_name(named.new, new)
        if before is not None and after is not None:
            yield from _named_items(before, after, label)
            return
    texts = _texts(old), _texts(new)
    if texts[0] is not None and texts[1] is not None:
        yield from _named_items(texts[0], texts[1], label, plain=True)
    elif len(old) == len(new) and not _moved(old, new):
        for position, (before_item, after_item) in enumerate(zip(old, new, strict=True)):
            yield from _values(before_item, after_item, f"{label}[{position}]", "")
    else:
        yield FieldChange(label, "replaced", old, new)


def _moved(old: list[Any], new: list[Any]) -> bool:
    """Whether an item without a name has gone to another place: positions then do not say which item has changed."""
    before, after = ([dumps(item, option=OPT_SORT_KEYS) for item in items] for items in (old, new))
    pairs = zip(before, after, strict=True)
    return any(was != now and (was in after or now in before) for was, now in pairs)


def _named_items(
    old: dict[str, Any], new: dict[str, Any], label: str, *, plain: bool = False
) -> Iterator[FieldChange]:
    for name, item in old.items():
        if name not in new:
            yield FieldChange(f"{label}[{name}]", "removed", old=item, is_item=plain)
    for name, item in new.items():
        if name not in old:
            yield FieldChange(f"{label}[{name}]", "added", new=item, is_item=plain)
        else:
            yield from _values(old[name], item, f"{label}[{name}]", "")
    kept = [name for name in old if name in new], [name for name in new if name in old]
    if kept[0] != kept[1]:
        yield FieldChange(label, "order", tuple(kept[0]), tuple(kept[1]))


def _by_name(names: list[Hashable], items: list[Any]) -> dict[str, Any] | None:
    """Items by what their names look like; None if two look alike (long ones are shortened)."""
    labels = [name_label(name) for name in names]
    return dict(zip(labels, items, strict=True)) if len(set(labels)) == len(labels) else None


def _texts(items: list[Any]) -> dict[str, Any] | None:
    """A list of different texts, by text; None for any other list."""
    return _by_name(list(items), items) if all(type(item) is str for item in items) else None


def _rank(field: str) -> tuple[int, str]:
    return -1 if field in _FIRST_FIELDS else _LAST_FIELDS.get(field, 0), field
