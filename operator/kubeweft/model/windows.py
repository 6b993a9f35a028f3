"""Windows of time: one object in one window is one stored trace.

The length is one install-wide setting, because it is part of every trace ID. A time on a border belongs to the
window that begins there.
"""

from __future__ import annotations

NANOSECONDS = 1_000_000_000
DEFAULT_WINDOW_SECONDS = 30 * 60
DEFAULT_WINDOW = DEFAULT_WINDOW_SECONDS * NANOSECONDS


def window_start(time: int, length: int) -> int:
    """The beginning of the window that holds ``time``, both in nanoseconds since the epoch."""
    return time - time % length


def windows_between(since: int, until: int, length: int) -> range:
    """The beginnings of all windows that overlap ``since`` to ``until``, both ends included.

    A range of 61 minutes can touch four windows of 30: counting ``range / length`` loses the first or the last.
    """
    return range(window_start(since, length), window_start(until, length) + 1, length)
