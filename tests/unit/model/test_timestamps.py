"""All forms of time that Kubernetes writes, and what it must not break on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model.timestamps import format_timestamp, parse_timestamp

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01T00:00:01.5Z", SECOND * 3 // 2),
        ("1970-01-01T00:00:01.000001Z", SECOND + 1000),
        ("1970-01-01T00:00:01.000000001Z", SECOND + 1),
        ("1970-01-01T01:00:01+01:00", SECOND),
        ("1970-01-01T01:00:01.25+01:00", SECOND * 5 // 4),
    ],
)
def test_valid_forms(text: str, nanoseconds: int) -> None:
    assert parse_timestamp(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "Z", "yesterday", "2026-13-01T00:00:00Z", "2026-11-21", "1970-01-01T00:00:01"]
)
def test_anything_else_is_no_time(text: str) -> None:
    assert parse_timestamp(text) == 0


@given(st.integers(0, 4_000_000_000 * SECOND))
def test_round_trip(time: int) -> None:
    assert parse_timestamp(format_timestamp(time)) == time


def test_times_beyond_the_calendar_stay_readable() -> None:
    assert format_timestamp(2**63 * 1000).startswith("9999-12-31")


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(parse_timestamp(text), int)
