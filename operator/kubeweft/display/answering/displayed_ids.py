"""The IDs of displayed traces: what is shown of which object, in which view, over how many windows.

A viewer that opens a trace sends only its ID. So the ID is that of a stored trace, the object's last window at that
time, with three of its bytes filled in, which are the same in all stored IDs: the first tells how many windows are
shown after it, the second the view (five bits) and the selection (three), the third how many windows are shown up to
it. The last window is the one that retention removes last. Nothing has to be remembered between a search and a click,
or by one server for another.
"""

from __future__ import annotations

from typing import NamedTuple

FIRST_BYTE = 0x4B  # of stored IDs; in displayed ones it grows with the windows shown later, so it is never 0
EXACT = 128  # up to so many windows are counted one by one (64 hours)
STEP = 16  # beyond, in steps, rounded up
LATER_STEP = 40  # the same for the windows after the stored one: the first byte has fewer values left
MOST_WINDOWS = EXACT + (0xFF - EXACT) * STEP  # 45 days of half hours; of a longer range the end is shown
MOST_LATER = EXACT + (0xFF - FIRST_BYTE - EXACT) * LATER_STEP  # 46 days


class Displayed(NamedTuple):
    """What a displayed trace shows of the object of ``stored``: ``windows`` that end with this one, and ``later`` ones."""

    stored: bytes
    view: int
    selection: int
    windows: int
    later: int


def displayed_id(shown: Displayed) -> bytes:
    """The 16 bytes that a viewer knows a displayed trace by."""
    windows = min(max(shown.windows, 1), MOST_WINDOWS)
    later = min(max(shown.later, 0), MOST_LATER)
    return bytes(
        (
            FIRST_BYTE + _code(later, LATER_STEP),
            shown.view << 3 | shown.selection,
            _code(windows, STEP),
            *shown.stored[3:],
        )
    )


def read_displayed_id(trace_id: bytes) -> Displayed | None:
    """What an ID asks for; None if it is not of a displayed trace. (A stored trace has view 0.)"""
    if len(trace_id) != 16 or trace_id[0] < FIRST_BYTE or trace_id[1] >> 3 == 0 or trace_id[2] == 0:
        return None
    stored = bytes((FIRST_BYTE, 0, 0, *trace_id[3:]))
    later = _count(trace_id[0] - FIRST_BYTE, LATER_STEP)
    return Displayed(stored, trace_id[1] >> 3, trace_id[1] & 7, _count(trace_id[2], STEP), later)


def _code(count: int, step: int) -> int:
    return count if count <= EXACT else EXACT - (EXACT - count) // step


def _count(code: int, step: int) -> int:
    return code if code <= EXACT else EXACT + (code - EXACT) * step
