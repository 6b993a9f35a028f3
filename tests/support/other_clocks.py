"""Recordings as they would be if a cluster had another clock: every timestamp that it wrote moves, nothing else.

When a line arrived is told by the clock of who received it, which stays.
"""

from __future__ import annotations

import dataclasses

from replay import Arrival
from stretching import Quiet, stretched


def with_clock(arrival: Arrival, seconds: int) -> Arrival:
    """What arrived, written by a clock that is so many seconds ahead of the one it was written by."""
    body = stretched(arrival.body.decode(), [Quiet(at=0, seconds=seconds)] if seconds else [])
    return dataclasses.replace(arrival, body=body.encode())
