"""What a source of foreign spans has to offer, whichever system it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kubeweft.model.errors import KubeweftError
from kubeweft.model.foreign import ForeignSpan


class SourceFailed(KubeweftError):
    """A source gave no answer; the message says why, and never quotes what it said but for a short line."""


class ForeignJoin(NamedTuple):
    """An attribute with the value that spans are to have, and between which times (nanoseconds) they are looked for."""

    attribute: str
    value: str
    since: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignQuestion:
    """Which traces are wanted: those with a span that has one of the ``joins``.

    ``until_when`` is a moment of the monotonic clock at which nobody waits any longer.
    """

    joins: Sequence[ForeignJoin]
    most_traces: int
    most_spans: int
    until_when: float

    def left(self) -> float:
        """How many seconds are left; raises ``SourceFailed`` where there are none."""
        left = self.until_when - time.monotonic()
        if left <= 0:
            raise SourceFailed("it took too long to answer")
        return left

    def is_over(self) -> bool:
        """Whether nobody waits any longer: what was found until now is the answer."""
        return time.monotonic() >= self.until_when


class ForeignAnswer(NamedTuple):
    """Whole traces, as far as the source has them.

    ``more`` traces (at least) had no room in the answer, and for ``unasked`` of the joins there was no time to look.
    ``before``: what lies before this time (nanoseconds) was not looked for, 0 where all was.
    """

    spans: list[ForeignSpan]
    more: int = 0
    unasked: int = 0
    before: int = 0


class ForeignSource(Protocol):
    """One place where spans of other systems are found. Called from any thread."""

    @property
    def name(self) -> str:
        """As a tree names it."""

    @property
    def is_empty(self) -> bool:
        """Whether it is known, without asking far away, that there is nothing to be found."""

    def find(self, question: ForeignQuestion) -> ForeignAnswer:
        """The traces that are wanted; raises ``SourceFailed``."""
