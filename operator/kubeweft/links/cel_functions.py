"""The string functions of CEL, each with a limit on what it may make.

The functions are those of CEL's ``strings`` extension, carried out by it; only before each call it is counted how
much text the call reads and can make. ``'aaaaaaaaaa'.replace('a', 'aaaaaaaaaa')`` nine times over is a gigabyte, and
the evaluator has no limit of its own on that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

MOST_TEXT: Final = 4_000_000
_NUMBER_TEXT: Final = 1_100  # what one number can become in format(): the evaluator allows 1000 digits


class _Meter(threading.local):
    """Text read and made by the functions of one evaluation, in characters. Each thread has its own."""

    def __init__(self) -> None:
        self.left = MOST_TEXT

    def reset(self) -> None:
        self.left = MOST_TEXT

    def charge(self, characters: int) -> None:
        self.left -= characters
        if self.left < 0:
            raise ValueError(f"the functions on strings would handle more than {MOST_TEXT} characters")


METER: Final = _Meter()

_TYPES: Final = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "strings": cel.Type.List(cel.Type.STRING),
    "list": cel.Type.List(cel.Type.DYN),
}
_LETTERS: Final = "abcd"


def _plain_cost(text: str, *_: Any) -> int:
    return len(text)


def _search_cost(text: str, part: str, *_: Any) -> int:
    """A search is naive: of each position the part may be compared in full."""
    return len(text) + min(len(text) * len(part) // 64, MOST_TEXT)


def _split_cost(text: str, part: str, *_: Any) -> int:
    """Each piece is a value of its own, of about 40 characters' worth of memory."""
    pieces = len(text) if not part else text.count(part) + 1
    return len(text) + 40 * pieces


def _replace_cost(text: str, old: str, new: str, *_: Any) -> int:
    times = len(text) + 1 if not old else text.count(old)
    return len(text) + times * len(new)


def _join_cost(items: list[Any], separator: str = "") -> int:
    return sum(len(item) for item in items if isinstance(item, str)) + len(items) * (len(separator) + 1)


def _format_cost(text: str, items: list[Any]) -> int:
    """A clause can show a whole list or map, a number with all its digits."""
    return len(text) * 2 + sum(_shown(item, 4) for item in items)


def _shown(item: Any, depth: int) -> int:
    if isinstance(item, str | bytes | bytearray):
        return 8 * len(item)  # %b and %x write up to eight digits for a byte
    if isinstance(item, list) and depth:
        return sum(_shown(each, depth - 1) + 2 for each in item)
    if isinstance(item, dict) and depth:
        return sum(_shown(str(key), 0) + _shown(each, depth - 1) + 4 for key, each in item.items())
    return MOST_TEXT if isinstance(item, list | dict) else _NUMBER_TEXT


# name, whether a method, types of the arguments, type of the result, cost
_FUNCTIONS: Final[tuple[tuple[str, tuple[str, ...], str, Callable[..., int]], ...]] = (
    ("charAt", ("string", "int"), "string", _plain_cost),
    ("format", ("string", "list"), "string", _format_cost),
    ("indexOf", ("string", "string"), "int", _search_cost),
    ("indexOf", ("string", "string", "int"), "int", _search_cost),
    ("join", ("strings",), "string", _join_cost),
    ("join", ("strings", "string"), "string", _join_cost),
    ("lastIndexOf", ("string", "string"), "int", _search_cost),
    ("lastIndexOf", ("string", "string", "int"), "int", _search_cost),
    ("lowerAscii", ("string",), "string", _plain_cost),
    ("replace", ("string", "string", "string"), "string", _replace_cost),
    ("replace", ("string", "string", "string", "int"), "string", _replace_cost),
    ("reverse", ("string",), "string", _plain_cost),
    ("split", ("string", "string"), "strings", _split_cost),
    ("split", ("string", "string", "int"), "strings", _split_cost),
    ("substring", ("string", "int"), "string", _plain_cost),
    ("substring", ("string", "int", "int"), "string", _plain_cost),
    ("trim", ("string",), "string", _plain_cost),
    ("upperAscii", ("string",), "string", _plain_cost),
)

METERED_NAMES: Final = frozenset(row[0] for row in _FUNCTIONS)


def _function(name: str, takes: tuple[str, ...], cost: Callable[..., int]) -> Callable[..., Any]:
    """A function for the evaluator that charges the meter and then lets the extension do the work."""
    letters = _LETTERS[: len(takes)]
    environment = cel.NewEnv(
        variables={letter: _TYPES[type_] for letter, type_ in zip(letters, takes, strict=True)},
        extensions=[ext_strings.ExtStrings()],
    )
    compiled = environment.compile(f"a.{name}({', '.join(letters[1:])})")

    def call(*values: Any) -> Any:
        METER.charge(cost(*values))
        result = compiled.eval(data=dict(zip(letters, values, strict=True)))
        if result.type() == cel.Type.ERROR:
            raise ValueError(result.value())
        return result.plain_value()

    return call


def _declarations() -> list[cel.FunctionDecl]:
    overloads: dict[str, list[cel.Overload]] = {}
    for name, takes, gives, cost in _FUNCTIONS:
        overloads.setdefault(name, []).append(
            cel.Overload(
                f"kubeweft_{name}_{'_'.join(takes)}",
                return_type=_TYPES[gives],
                parameters=[_TYPES[type_] for type_ in takes],
                is_member=True,
                impl=_function(name, takes, cost),
            )
        )
    return [cel.FunctionDecl(name, group) for name, group in overloads.items()]


METERED: Final = cel.CelExtension("kubeweft.strings", _declarations())
