"""When spans arrived in the spool, which itself knows positions but no times.

Somebody notes now and then how far the spool has grown; spans then arrived between two notes. Two stages live on it:
links have to be known before the place of a trace is decided, so spans wait until they are a little old; and a cap on
spans per second counts them when they arrive, not when they are sent, or a receiver that was down for a while would
lose most of what waited for it.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable
from operator import attrgetter
from typing import Final, NamedTuple

GRAIN: Final = 0.1  # seconds: how exactly arrivals are told apart
MOST_KEPT: Final = 4096  # while a receiver is down for long, neighbours are merged


class Arrival(NamedTuple):
    """The spans up to ``position``, from the one after the arrival before, came between ``begun`` and ``ended``.

    Times are seconds of a clock that only grows.
    """

    position: int
    begun: float
    ended: float


class Arrivals:
    """May be used from any thread."""

    def __init__(self, start: int, *, backlog: int, now: Callable[[], float]) -> None:
        """Of what lies after ``start``, all up to ``backlog`` has been there before: nobody knows how long."""
        self.backlog = max(start, backlog)
        self._now = now
        self._lock = threading.Lock()
        self._newest = start
        self._looked = now()
        self._kept: list[Arrival] = []
        self.note(backlog)

    @property
    def newest(self) -> int:
        """The last position that was noted."""
        return self._newest

    def note(self, position: int) -> None:
        """The spool has come to ``position`` by now."""
        with self._lock:
            begun, self._looked = self._looked, self._now()
            if position <= self._newest:
                return
            self._newest = position
            if self._kept and self._looked - self._kept[-1].begun < GRAIN:
                begun = self._kept.pop().begun
            self._kept.append(Arrival(position, begun, self._looked))
            if len(self._kept) > MOST_KEPT:
                self._kept = [
                    Arrival(late.position, early.begun, late.ended)
                    for early, late in zip(self._kept[::2], self._kept[1::2], strict=False)
                ] + self._kept[len(self._kept) & ~1 :]

    def settled(self, age: float, after: int) -> int:
        """The greatest position of which all up to it are at least ``age`` seconds old; ``after`` if none beyond is."""
        with self._lock:
            count = bisect.bisect_right(self._kept, self._now() - age, key=attrgetter("ended"))
            return max(self._kept[count - 1].position, after) if count else after

    def until_settled(self, age: float, after: int) -> float | None:
        """Seconds until a position beyond ``after`` is ``age`` seconds old; None if there is none."""
        arrival = self.of(after + 1)
        return None if arrival is None else max(arrival.ended + age - self._now(), 0.0)

    def of(self, position: int) -> Arrival | None:
        """The arrival that a position belongs to; None beyond what was noted."""
        with self._lock:
            index = bisect.bisect_left(self._kept, position, key=attrgetter("position"))
            return self._kept[index] if index < len(self._kept) else None

    def forget(self, position: int) -> None:
        """Nobody will ask for what lies up to ``position`` again."""
        with self._lock:
            del self._kept[: bisect.bisect_right(self._kept, position, key=attrgetter("position"))]
