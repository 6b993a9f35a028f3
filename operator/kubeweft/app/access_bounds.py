"""How much is asked of API servers, and of whom, before somebody has to wait or is sent away; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kubeweft.model.errors import NotNow


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is asked, and how long it is believed. Times are seconds.

    ``reviews`` is how many questions about rights one answer may cost; ``deadline`` holds for all that are asked at once,
    and for the wait of a token. ``at_once`` and ``at_once_each`` are questions about rights at a time, in all and of one
    caller. ``tokens_at_once`` are questions about tokens at a time, of strangers and as many again of those known of late
    (within ``keep_acquaintance``); ``waiting_strangers`` and ``waiting_each`` (of one caller) are how many may wait.
    ``wrong_tokens`` may come at once, and then ``wrong_tokens_per_second``.
    """

    keep: float = 10.0
    keep_failure: float = 3.0
    keep_acquaintance: float = 3600.0
    reviews: int = 500
    at_once: int = 16
    at_once_each: int = 8
    tokens_at_once: int = 4
    waiting_strangers: int = 64
    waiting_each: int = 128
    wrong_tokens: int = 40
    wrong_tokens_per_second: float = 20.0
    deadline: float = 10.0
    entries: int = 50_000


class Allowance:
    """So many at once, and then so many a second."""

    def __init__(self, *, most: int, per_second: float, clock: Callable[[], float]) -> None:
        """It is full at the beginning; ``clock`` gives seconds and never goes back."""
        self._most, self._per_second, self._clock = most, per_second, clock
        self._left, self._at = float(most), clock()

    def take(self) -> bool:
        """Take one; False where none is left."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """What was taken was not used."""
        self._left = min(self._most, self._left + 1)


def busy() -> NotNow:
    """What somebody is told who would have to wait for too many others."""
    return NotNow("too many ask who they are at a time: try again", delay=1.0)
