"""How single values and names stand in a line of words: short, unambiguous, and harmless to a terminal."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Hashable
from typing import Any, Final

import orjson

from kubeweft.model.merge_keys import identify

LONGEST_VALUE: Final = 80
LONGEST_NAME: Final = 60
SHORT_OBJECT: Final = 60
MOST_NAMES: Final = 8
ARROW: Final = "→"
MORE: Final = "…"

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_PLAIN_NAME = re.compile(r"[^\s\[\]']+")
_LITERAL = re.compile(r"null|true|false|-?[0-9.]+")


def field_label(label: str, key: str) -> str:
    """``label.key``, or ``label['odd/key']``."""
    return _field_label(label, _shortened(key, 2 * LONGEST_NAME))


def name_label(key: Hashable) -> str:
    """The key of an item as it stands in brackets; the parts of a composed one are joined by slashes."""
    if type(key) is tuple:
        return "/".join(name_label(part) for part in key if part is not None)
    return _name_label(_shortened(key, LONGEST_NAME)) if type(key) is str else value_text(key)


def step_text(old: Any, new: Any) -> str:
    """``old → new``. Text is quoted where it could be taken for the other end's number or boolean."""
    if type(old) is str and type(new) is str:
        if len(old) > LONGEST_VALUE or len(new) > LONGEST_VALUE:
            old, new = _near_difference(old, new)
        return f"{_text(old)} {ARROW} {_text(new)}"
    quote = type(old) is not type(new)
    return f"{value_text(old, quote=quote)} {ARROW} {value_text(new, quote=quote)}"


def value_text(value: Any, *, quote: bool = False) -> str:
    """One value: text bare where that is clear, short objects as JSON, longer ones by their names or their size."""
    kind = type(value)
    if kind is str:
        return json.dumps(value) if quote and _LITERAL.fullmatch(value) else _text(value)
    if kind is int:
        return str(value)
    if kind is not dict and kind is not list:
        return json.dumps(value)
    if _room_left(value, SHORT_OBJECT) >= 0:
        return _compact(value)
    return _names_of(value) if kind is list else f"{{{_count(value, 'field')}}}"


@functools.lru_cache(maxsize=4096)
def _field_label(label: str, key: str) -> str:
    if _PLAIN_KEY.fullmatch(key):
        return f"{label}.{key}" if label else key
    return f"{label}[{_quoted(key)}]"


@functools.lru_cache(maxsize=4096)
def _name_label(key: str) -> str:
    return key if key.isprintable() and _PLAIN_NAME.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """In single quotes, as in a field path; what does not print is escaped."""
    inner = text if text.isprintable() else json.dumps(text)[1:-1]
    return "'" + inner.replace("'", "\\'") + "'"


def _near_difference(old: str, new: str) -> tuple[str, str]:
    """Two long texts without most of what they share at the beginning."""
    start = _shared(old, new) - LONGEST_VALUE // 4
    if start <= LONGEST_VALUE // 4:
        return old, new
    return MORE + old[start : start + LONGEST_VALUE], MORE + new[start : start + LONGEST_VALUE]


def _shared(one: str, other: str) -> int:
    """How many characters two texts share at the beginning. By halves: a character at a time takes long for a book."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _compact(value: Any) -> str:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # numbers past 64 bits, half surrogate pairs
        return json.dumps(value)
    return text if text.isprintable() else json.dumps(value)


def _names_of(items: list[Any]) -> str:
    """``[web, proxy]`` or ``[Ready=True, Initialized=True]`` if that is short, else how many there are."""
    keys = identify("", items, items) if len(items) <= MOST_NAMES else None
    if keys is not None:
        if "type" in items[0] and "status" in items[0]:
            names = [
                f"{name_label(key)}={value_text(item.get('status'))}"
                for key, item in zip(keys.old, items, strict=True)
            ]
        else:
            names = [name_label(key) for key in keys.old]
        text = f"[{', '.join(names)}]"
        if len(text) <= LONGEST_VALUE:
            return text
    return f"[{_count(items, 'item')}]"


def _count(value: dict[str, Any] | list[Any], noun: str) -> str:
    return f"{len(value)} {noun}{'' if len(value) == 1 else 's'}"


def _text(text: str) -> str:
    """Bare if that is clear, else in double quotes; shortened."""
    short = _shortened(text, LONGEST_VALUE)
    if short.isprintable() and short.strip(" ") == short != "":
        return short
    return json.dumps(short, ensure_ascii=not short.replace("\n", "").replace("\t", "").isprintable())


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + MORE


def _room_left(value: Any, room: int) -> int:
    """How much of ``room`` characters is left after the value as JSON, roughly; below zero as soon as there is none."""
    if room < 0:  # before going any deeper
        return room
    if type(value) is str:
        return room - len(value) - 3
    if type(value) is dict:
        for key, item in value.items():
            room = _room_left(item, room - len(key) - 3)
            if room < 0:
                break
        return room - 2
    if type(value) is list:
        for item in value:
            room = _room_left(item, room - 1)
            if room < 0:
                break
        return room - 2
    return room - 6
