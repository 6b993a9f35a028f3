"""Times as people write and read them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.tree.trees import FOREVER
from kubeweft.display.words.axis import Axis, clock, day, duration, moment
from kubeweft.display.words.times import parse_duration, parse_range, parse_time
from kubeweft.model.errors import UserError
from kubeweft.model.timestamps import format_timestamp
from span_builders import at

NOW = at("12:00:00")
EAST = timezone(timedelta(hours=2), "EAST")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("10m", at("11:50:00")),
        ("2h30m", at("09:30:00")),
        ("1d", at("12:00:00", day="2026-11-20")),
        ("1w", at("12:00:00", day="2026-11-14")),
        ("1.5h", at("10:30:00")),
        ("250ms", at("11:59:59.75")),
        ("10m ago", at("11:50:00")),
        ("-10m", at("11:50:00")),
        ("now", NOW),
        ("10:32", at("10:32:00")),
        ("9:05", at("09:05:00")),
        ("10:32:05.123", at("10:32:05.123")),
        ("12:00", NOW),
        ("12:01", at("12:01:00", day="2026-11-20")),
        ("2026-11-20", at("00:00:00", day="2026-11-20")),
        ("2026-11-20 10:32", at("10:32:00", day="2026-11-20")),
        ("2026-11-20T10:32:05", at("10:32:05", day="2026-11-20")),
        ("2026-11-20T10:32:05.123456789Z", at("10:32:05.123456789", day="2026-11-20")),
        ("2026-11-20T12:32:05+02:00", at("10:32:05", day="2026-11-20")),
        ("2026-11-20t10:32:05z", at("10:32:05", day="2026-11-20")),
        ("9999999d", 0),  # as long ago as anything can be stored
        ("1931-05-01", 0),
        ("9999-12-31", FOREVER),
    ],
)
def test_what_people_write(text: str, time: int) -> None:
    assert parse_time(text, now=NOW) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten",
        "10",
        "10:60",
        "25:00",
        "2026-13-01",
        "2026-11-31",
        "10m5",
        "m",
        "2026-11-20T",
        "2026-11-20Z",
        "1e3s",
    ],
)
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(UserError, match="is no time: write it like 10m, 2h30m"):
        parse_time(text, now=NOW)


def test_a_zone_counts_where_none_is_written() -> None:
    assert parse_time("10:32", now=NOW, zone=EAST) == at("08:32:00")
    assert parse_time("2026-11-21", now=NOW, zone=EAST) == at("22:00:00", day="2026-11-20")
    assert parse_time("2026-11-20T10:32:05Z", now=NOW, zone=EAST) == at("10:32:05", day="2026-11-20")


def test_the_day_of_a_time_of_day_is_that_of_the_zone() -> None:
    """Just after midnight in the east it is still yesterday in UTC."""
    now = at("22:30:00")
    assert parse_time("00:15", now=now, zone=EAST) == at("22:15:00")


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_what_is_shown_can_be_typed(time: int) -> None:
    assert parse_time(format_timestamp(time), now=NOW) == time


def test_a_range_is_open_where_nothing_is_said() -> None:
    assert parse_range("", "", now=NOW) == (0, FOREVER)
    assert parse_range("1h", "10m", now=NOW) == (at("11:00:00"), at("11:50:00"))


def test_a_range_may_end_later_today() -> None:
    assert parse_range("11:55", "12:20", now=NOW) == (at("11:55:00"), at("12:20:00"))
    with pytest.raises(UserError, match="--since 11:55 lies after --until 11:50"):
        parse_range("11:55", "11:50", now=NOW)


def test_a_range_has_its_beginning_first() -> None:
    with pytest.raises(UserError, match="--since 10m lies after --until 1h"):
        parse_range("10m", "1h", now=NOW)


def test_durations() -> None:
    assert parse_duration("1h1s") == 3_601_000_000_000
    with pytest.raises(UserError, match="is no duration"):
        parse_duration("soon")
    with pytest.raises(UserError, match="'99999999999999999999…' is too long a duration"):
        parse_duration(f"{'9' * 400}d")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "<1ms"),
        (999_999, "<1ms"),
        (12_000_000, "12ms"),
        (999_000_000, "999ms"),
        (1_250_000_000, "1.2s"),
        (59_999_000_000, "59.9s"),
        (60_000_000_000, "1m00s"),
        (3_599_000_000_000, "59m59s"),
        (7_380_000_000_000, "2h03m"),
        (363_600_000_000_000, "4d05h"),
    ],
)
def test_durations_in_words(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_clocks() -> None:
    time = at("10:32:05.123")
    assert clock(time, UTC) == "10:32:05.123"
    assert clock(time, EAST) == "12:32:05.123"
    assert clock(time, UTC, whole_seconds=True) == "10:32:05"
    assert moment(time, UTC, near=NOW) == "10:32:05.123"
    assert moment(at("10:00:00", day="2026-11-01"), UTC, near=NOW) == "2026-11-01 10:00:00"
    assert clock(FOREVER, UTC).startswith("23:47:16"), "the year 2262 is still a time"


def test_times_beyond_the_calendar_are_shown_as_its_ends() -> None:
    assert day(10**30, UTC) == "9999-12-31"
    assert day(-(10**30), UTC) == "0001-01-01"


def test_bars_stay_on_the_axis() -> None:
    axis = Axis(start=100, end=200, width=11)
    assert axis.bar(100, 100, dot="o", line="=") == "o"
    assert axis.bar(200, 200, dot="o", line="=") == " " * 10 + "o"
    assert axis.bar(100, 200, dot="o", line="=") == "=" * 11
    assert axis.bar(150, FOREVER, dot="o", line="=") == " " * 5 + "=" * 6
    assert axis.bar(0, 300, dot="o", line="=") == "=" * 11
    assert Axis(start=5, end=5, width=11).bar(5, 5, dot="o", line="=") == "o"
