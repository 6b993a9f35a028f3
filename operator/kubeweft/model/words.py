"""A change in words for people: one line for each field, ``spec.replicas 2 → 4``.

Items of lists go by their merge key (``containers[web]``), long values are shortened where they differ, and what
changes with every write (generations, times of conditions) stands last. Values come from anybody: whatever does not
print is escaped, so that no line can play tricks on a terminal.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

from kubeweft.model.merge_keys import identify
from kubeweft.model.phrasing import ARROW, MORE, field_label, name_label, step_text, value_text

MOST_LINES: Final = 24

_NOISE: Final = frozenset(
    {"observedGeneration", "lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime"}
)
_NOISY_PATHS: Final = frozenset({"/metadata/generation", "/metadata/resourceVersion"})


def describe(old: dict[str, Any], new: dict[str, Any], operations: list[dict[str, Any]]) -> tuple[str, ...]:
    """The operations of ``diff(old, new)`` in words, a line each, at most ``MOST_LINES`` and how many more there are."""
    places = {"": _Place("", "", old, new)}
    lines: list[str] = []
    noise: list[str] = []
    left_out = 0
    for operation in operations:
        path = operation["path"]
        if len(lines) >= MOST_LINES:
            left_out += 1
            continue
        parent, _, token = path.rpartition("/")
        noisy = token in _NOISE or path in _NOISY_PATHS or operation["op"] == "move"
        (noise if noisy else lines).append(_line(operation, token, _place(places, parent), whole=not path))
    shown = (lines + noise)[:MOST_LINES]
    left_out += len(lines) + len(noise) - len(shown)
    return (*shown, f"{MORE} {left_out} more") if left_out else tuple(shown)


@dataclass(slots=True)
class _Place:
    """A map or list at both ends of the change; a list remembers where its present items come from."""

    label: str
    field: str
    old: Any
    new: Any
    origins: list[int | None] | None = None
    names: tuple[list[Hashable], list[Hashable]] | None = None
    is_named: bool | None = None

    def order(self) -> list[int | None]:
        """The old position of each item that is in the list by now; None for an added one."""
        if self.origins is None:
            self.origins = list(range(len(self.old)))
        return self.origins

    def item_label(self, position: int, *, old: bool = False) -> str:
        """``label[name]``, or ``label[3]`` where items have no names."""
        if self.is_named is None:
            both = type(self.old) is list and type(self.new) is list
            self.names = identify(self.field, self.old, self.new) if both else None
            self.is_named = self.names is not None
        if self.names is None:
            return f"{self.label}[{position}]"
        return f"{self.label}[{name_label(self.names[not old][position])}]"


def _place(places: dict[str, _Place], pointer: str) -> _Place:
    """The map or list at a pointer into the new object, found from the nearest one that is known already."""
    known = places.get(pointer)
    if known is not None:
        return known
    above, _, token = pointer.rpartition("/")
    parent = _place(places, above)
    if type(parent.new) is list:
        position = int(token)
        origin = parent.origins[position] if parent.origins is not None else position
        before = parent.old[origin] if origin is not None else None
        made = _Place(parent.item_label(position), "", before, parent.new[position])
    else:
        key = _unescape(token)
        made = _Place(field_label(parent.label, key), key, parent.old.get(key), parent.new.get(key))
    places[pointer] = made
    return made


def _line(operation: dict[str, Any], token: str, place: _Place, *, whole: bool) -> str:
    if whole:
        return f"the whole object {step_text(place.old, place.new)}"
    if type(place.new) is list:
        return _list_line(operation, int(token), place)
    key = _unescape(token)
    label = field_label(place.label, key)
    kind = operation["op"]
    if kind == "replace":
        return f"{label} {step_text(place.old[key], operation['value'])}"
    if kind == "add":
        return f"+ {label} = {value_text(operation['value'])}"
    return f"- {label} (was {value_text(place.old[key])})"


def _list_line(operation: dict[str, Any], position: int, place: _Place) -> str:
    kind, order = operation["op"], place.order()
    if kind == "replace":
        origin = order[position]
        before = place.old[origin] if origin is not None else None
        return f"{place.item_label(position)} {step_text(before, operation['value'])}"
    if kind == "add":
        order.insert(position, None)
        value = operation["value"]
        if _is_scalar(value):
            return f"+ {place.label}[{name_label(value)}]"
        return f"+ {place.item_label(position)} = {value_text(value)}"
    if kind == "move":
        start = int(operation["from"].rpartition("/")[2])
        origin = order.pop(start)
        order.insert(position, origin)
        return f"{_old_item(place, origin)[0]} moved {start} {ARROW} {position}"
    label, value = _old_item(place, order.pop(position))
    return f"- {label}" if _is_scalar(value) else f"- {label} (was {value_text(value)})"


def _old_item(place: _Place, origin: int | None) -> tuple[str, Any]:
    """How an item of the old list is called, and the item. Removals and moves come before any addition."""
    assert origin is not None
    item = place.old[origin]
    return (
        f"{place.label}[{name_label(item)}]" if _is_scalar(item) else place.item_label(origin, old=True)
    ), item


def _is_scalar(value: Any) -> bool:
    return type(value) is not dict and type(value) is not list


def _unescape(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~") if "~" in token else token
