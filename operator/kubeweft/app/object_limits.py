"""How many objects a command takes at most, and how a message that some are missing says how to see more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final

from kubeweft.display.reading.levels import DEFAULT_LIMITS, Limits
from kubeweft.display.tree.trees import Truncation

MOST_OBJECTS: Final = 20_000
SHOWN: Final = DEFAULT_LIMITS.objects
COMPARED: Final = 10_000  # of which only the steps are written
_ROUND: Final = (1, 2, 5, 10)


def limits_of(objects: int) -> Limits:
    """The usual limits, but so many objects."""
    return dataclasses.replace(DEFAULT_LIMITS, objects=objects)


def enough(objects: int, *, missing: int) -> int:
    """A round number that has room for those that were ``missing`` beside ``objects``, and for what they may own."""
    wanted = max(2 * objects, objects + missing)
    size: int = 10 ** (len(str(wanted)) - 1)
    return min(MOST_OBJECTS, next(number * size for number in _ROUND if number * size >= wanted))


def show_more(cuts: Iterable[Truncation], *, objects: int) -> tuple[Truncation, ...]:
    """What was left out of a story, with the flag that shows more before what else can be done."""
    return tuple(
        [
            dataclasses.replace(cut, hint=f"show more with {flag}, {cut.hint}") if flag else cut
            for cut, flag in _flags(cuts, objects)
        ]
    )


def count_more(cuts: Iterable[Truncation], *, objects: int) -> tuple[Truncation, ...]:
    """What was left out of a comparison, which has no other flag that would help."""
    return tuple(
        [
            dataclasses.replace(cut, hint=f"count more with {flag}" if flag else "")
            for cut, flag in _flags(cuts, objects)
        ]
    )


def _flags(cuts: Iterable[Truncation], objects: int) -> Iterator[tuple[Truncation, str]]:
    for cut in cuts:
        helps = cut.what == "objects" and objects < MOST_OBJECTS
        yield cut, f"--objects {enough(objects, missing=cut.more)}" if helps else ""
