"""Mistakes in what somebody wrote by hand, in words: where it is, what stands there, and what may stand there.

Places are told by the names that people gave (``view mine: step group``), not by their number. What ``msgspec`` finds is
taken from it; nothing is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

PLACE: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")
FIELD: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`")
LONGEST_SHOWN: Final = 60  # characters of a wrong value
LISTS: Final = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
PLAIN: Final[Mapping[type[inspect.Type], str]] = {
    inspect.BoolType: "true or false",
    inspect.StrType: "text",
    inspect.FloatType: "a number",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.DictType: "names with a value each",
    inspect.StructType: "names with a value each",
    inspect.NoneType: "null",
}
NOWHERE: Final = object()


def mistake_in(error: msgspec.ValidationError, *, wanted: Any, value: Any) -> str:
    """What is wrong with a ``value`` that should be of the type ``wanted``: ``view mine: number: it is 99, but …``."""
    told, _, path = str(error).partition(" - at ")
    info, places = inspect.type_info(wanted), list[str]()
    for field, number, _ in PLACE.findall(path.strip("`").removeprefix("$")):
        info, value = _below(info, field), _item(value, field, number)
        if field:
            places.append(field)
        elif number and places:
            name = value.get("name") if isinstance(value, dict) else ""
            places[-1] = (
                f"{places[-1].removesuffix('s')} {name}"
                if isinstance(name, str) and name
                else f"{places[-1]}[{number}]"
            )
    return ": ".join([*places, _said(told, info, value)])


def choice_of(wanted: Any) -> str:
    """What a value of a type may be: ``one of uid, audit-id``, ``a whole number from 1 to 31``."""
    return _choice(inspect.type_info(wanted))


def _said(told: str, info: inspect.Type, value: Any) -> str:
    whole = _plain(info)
    if (field := FIELD.fullmatch(told)) and isinstance(whole, inspect.StructType):
        known = {one.encode_name: one.type for one in whole.fields}
        if field[2] in known:
            return f"it needs '{field[2]}': {_choice(known[field[2]])}"
        return f"there is no '{field[2]}' here: it takes {', '.join(known)}"
    if not told.startswith(("Expected", "Invalid enum value")):
        return told  # words of our own
    is_now = "something in it is wrong, it" if value is NOWHERE else f"it is {_shown(value)}, but"
    return f"{is_now} has to be {_choice(info)}"


def _below(info: inspect.Type, field: str) -> inspect.Type:
    """What is wanted one level down."""
    info = _plain(info)
    if isinstance(info, inspect.StructType):
        return next((one.type for one in info.fields if one.encode_name == field), inspect.AnyType())
    if isinstance(info, inspect.DictType):
        return info.value_type
    if isinstance(info, LISTS):
        return info.item_type
    return inspect.AnyType()


def _item(value: Any, field: str, number: str) -> Any:
    if field and isinstance(value, dict):
        return value.get(field, NOWHERE)
    if number and isinstance(value, list | tuple) and int(number) < len(value):
        return value[int(number)]
    return NOWHERE


def _plain(info: inspect.Type) -> inspect.Type:
    """A type without what is told about it, and without that it may be missing."""
    if isinstance(info, inspect.Metadata):
        return _plain(info.type)
    if isinstance(info, inspect.UnionType):
        kinds = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        return _plain(kinds[0]) if len(kinds) == 1 else info
    return info


def _choice(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata) and (
        described := (info.extra_json_schema or {}).get("description")
    ):
        return str(described)
    info = _plain(info)
    if isinstance(info, LISTS) and isinstance(_plain(info.item_type), inspect.LiteralType | inspect.EnumType):
        return f"a list of {_choice(info.item_type).removeprefix('one of ')}"
    if isinstance(info, inspect.LiteralType):
        return f"one of {', '.join(map(str, info.values))}"
    if isinstance(info, inspect.EnumType):
        return f"one of {', '.join(str(one.value) for one in info.cls)}"
    if isinstance(info, inspect.IntType):
        return f"a whole number{_bounds(info)}"
    if isinstance(info, inspect.UnionType):
        return " or ".join(dict.fromkeys(map(_choice, info.types)))
    return PLAIN.get(type(info), "something else")


def _bounds(info: inspect.IntType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    return ""


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "names with values"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
