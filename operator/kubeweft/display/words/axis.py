"""How times look: clocks and dates for a person, durations, and a bar on the time axis of the whole tree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from kubeweft.display.words.times import in_zone
from kubeweft.model.windows import NANOSECONDS

MILLISECOND = 1_000_000
CLOCK_WIDTH = len("10:32:05.123")


def clock(time: int, zone: tzinfo, *, whole_seconds: bool = False) -> str:
    """``HH:MM:SS.mmm``, without the fraction where no more than the second is known."""
    text = f"{in_zone(time, zone):%H:%M:%S}"
    return text if whole_seconds else f"{text}.{time % NANOSECONDS // MILLISECOND:03d}"


def day(time: int, zone: tzinfo) -> str:
    """``YYYY-MM-DD``."""
    return in_zone(time, zone).date().isoformat()


def moment(time: int, zone: tzinfo, *, near: int) -> str:
    """A clock time, with its date where that is not the day of ``near``."""
    text = clock(time, zone, whole_seconds=time % NANOSECONDS == 0)
    return text if day(time, zone) == day(near, zone) else f"{day(time, zone)} {text}"


def zone_name(time: int, zone: tzinfo) -> str:
    """What the zone is called at that time."""
    return in_zone(time, zone).tzname() or "local time"


def duration(nanoseconds: int) -> str:
    """Two units at most: ``12ms``, ``1.2s``, ``3m05s``, ``2h03m``, ``4d05h``."""
    milliseconds, seconds = nanoseconds // MILLISECOND, nanoseconds // NANOSECONDS
    if milliseconds < 1:
        return "<1ms"
    if seconds < 1:
        return f"{milliseconds}ms"
    if seconds < 60:
        return f"{milliseconds // 100 / 10}s"
    minutes, hours = seconds // 60, seconds // 3600
    if hours < 1:
        return f"{minutes}m{seconds % 60:02d}s"
    if hours < 24:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


@dataclass(frozen=True, slots=True)
class Axis:
    """The time of the whole tree on ``width`` columns."""

    start: int
    end: int
    width: int

    def column(self, time: int) -> int:
        """Where a moment lies, from 0 to ``width`` - 1."""
        if self.end <= self.start:
            return 0
        inside = min(max(time, self.start), self.end) - self.start
        return inside * (self.width - 1) // (self.end - self.start)

    def bar(self, start: int, end: int, *, dot: str, line: str) -> str:
        """A dot for what is shorter than a column, else a line from start to end."""
        first, last = self.column(start), self.column(end)
        mark = dot if first == last else line * (last - first + 1)
        return " " * first + mark

    def scale(self, left: str, right: str) -> str:
        """The two ends of the axis, written above it."""
        return f"{left}{right.rjust(self.width - len(left))}"
