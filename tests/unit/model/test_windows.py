"""Borders of windows: half-open, aligned to the epoch, counted with both ends."""

from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model.timestamps import parse_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS, window_start, windows_between


def at(text: str) -> int:
    return parse_timestamp(f"2026-11-21T{text}Z")


def test_a_border_belongs_to_the_window_that_begins_there() -> None:
    assert window_start(at("10:29:59.999"), DEFAULT_WINDOW) == at("10:00:00")
    assert window_start(at("10:30:00"), DEFAULT_WINDOW) == at("10:30:00")


def test_61_minutes_touch_up_to_four_windows() -> None:
    assert len(windows_between(at("10:29:30"), at("11:30:30"), DEFAULT_WINDOW)) == 4
    assert len(windows_between(at("10:10:00"), at("11:10:00"), DEFAULT_WINDOW)) == 3
    assert len(windows_between(at("10:10:00"), at("10:10:00"), DEFAULT_WINDOW)) == 1


@given(st.integers(0, 2**62), st.integers(1, 10**6), st.integers(60, 86_400))
def test_every_time_in_a_range_is_in_one_of_its_windows(since: int, more: int, seconds: int) -> None:
    length = seconds * NANOSECONDS
    until = since + more * NANOSECONDS // 7
    found = windows_between(since, until, length)
    for time in (since, (since + until) // 2, until):
        assert window_start(time, length) in found
