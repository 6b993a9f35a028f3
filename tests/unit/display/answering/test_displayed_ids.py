"""IDs of displayed traces: they tell at least what was asked for, and nothing of what is stored is one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.answering.displayed_ids import (
    EXACT,
    LATER_STEP,
    MOST_LATER,
    MOST_WINDOWS,
    STEP,
    Displayed,
    displayed_id,
    read_displayed_id,
)

STORED = b"\x4b\0\0" + bytes(range(13))


def read(windows: int, later: int) -> Displayed:
    """What is read of an ID for so many windows."""
    trace_id = displayed_id(Displayed(STORED, 31, 7, windows, later))
    found = read_displayed_id(trace_id)
    assert trace_id[0] != 0
    assert found is not None
    return found


@given(st.integers(1, MOST_WINDOWS), st.integers(0, MOST_LATER))
def test_an_id_tells_no_fewer_windows_than_asked_for_and_hardly_more(windows: int, later: int) -> None:
    shown = read(windows, later)
    assert (shown.stored, shown.view, shown.selection) == (STORED, 31, 7)
    assert 0 <= shown.windows - windows < STEP
    assert 0 <= shown.later - later < LATER_STEP
    assert read(shown.windows, shown.later) == shown
    if max(windows, later) <= EXACT:
        assert (shown.windows, shown.later) == (windows, later)


def test_more_than_an_id_can_tell_is_as_much_as_it_can() -> None:
    assert read(10**9, 10**9)[3:] == (MOST_WINDOWS, MOST_LATER)
    assert read(-5, -5)[3:] == (1, 0)


def test_stored_and_foreign_ids_are_no_displayed_ones() -> None:
    for trace_id in (STORED, b"", STORED[:15], bytes(16), b"\x4a\x08\x01" + bytes(13)):
        assert read_displayed_id(trace_id) is None
