"""Lengthens the quiet times of a recording: what happened after one happens so much later, in every timestamp.

A recording of minutes thus tells a story of hours, over many windows, and nothing else in it is changed: no version, no
order, no fraction of a second. The names of Events end in the nanosecond of their making, which moves too. Quiet times begin at whole seconds in which nothing happens, so that timestamps that tell
only the second move with those that tell more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SECOND = 1_000_000_000
TIMESTAMP = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?=(?:\.\d+)?Z)")
EVENT_NAME = re.compile(r"(?<=\.)[0-9a-f]{16}(?=\")")


@dataclass(frozen=True)
class Quiet:
    """From ``at`` on (seconds since the epoch) everything is ``seconds`` later."""

    at: int
    seconds: int


def later(time: int, quiets: Sequence[Quiet]) -> int:
    """A time in nanoseconds, moved by all quiet times that were before it."""
    return time + SECOND * sum(quiet.seconds for quiet in quiets if time >= quiet.at * SECOND)


def stretched(text: str, quiets: Sequence[Quiet]) -> str:
    """A text in which every RFC 3339 timestamp has been moved, and the time in every name of an Event."""
    if not quiets:
        return text
    text = TIMESTAMP.sub(lambda found: _moved(found[1], quiets), text)
    return EVENT_NAME.sub(lambda found: f"{later(int(found[0], 16), quiets):016x}", text)


def _moved(text: str, quiets: Sequence[Quiet]) -> str:
    time = datetime.fromisoformat(f"{text}+00:00")
    added = sum(quiet.seconds for quiet in quiets if time.timestamp() >= quiet.at)
    return (time + timedelta(seconds=added)).strftime("%Y-%m-%dT%H:%M:%S")
