"""The IDs of displayed traces: what is shown of which object, in which view, over how many windows.

A viewer that opens a trace sends only its ID. So the ID is that of a stored trace, the first window shown, with two of
its bytes filled in, which are 0 in stored IDs: the second tells the view (five bits) and the selection (three), the
third the number of windows. Nothing has to be remembered between a search and a click, or by one server for another.
"""

from __future__ import annotations

from typing import NamedTuple

EXACT = 128  # up to so many windows are counted one by one (64 hours)
STEP = 16  # beyond, in steps, rounded up
MOST_WINDOWS = (
    EXACT + (255 - EXACT) * STEP
)  # 45 days of half hours; a longer range is shown from its beginning on


class Displayed(NamedTuple):
    """What a displayed trace shows: the object and first window of ``stored``, and ``windows`` windows from there."""

    stored: bytes
    view: int
    selection: int
    windows: int


def displayed_id(shown: Displayed) -> bytes:
    """The 16 bytes that a viewer knows a displayed trace by."""
    return bytes(
        (shown.stored[0], shown.view << 3 | shown.selection, _count_code(shown.windows), *shown.stored[3:])
    )


def read_displayed_id(trace_id: bytes) -> Displayed | None:
    """What an ID asks for; None if it is not of a displayed trace. (A stored trace has view 0.)"""
    if len(trace_id) != 16 or trace_id[0] != 0x4B or trace_id[1] >> 3 == 0 or trace_id[2] == 0:
        return None
    stored = bytes((0x4B, 0, 0, *trace_id[3:]))
    return Displayed(stored, trace_id[1] >> 3, trace_id[1] & 7, _windows(trace_id[2]))


def _count_code(windows: int) -> int:
    wanted = min(max(windows, 1), MOST_WINDOWS)
    return wanted if wanted <= EXACT else EXACT - (EXACT - wanted) // STEP


def _windows(code: int) -> int:
    return code if code <= EXACT else EXACT + (code - EXACT) * STEP
