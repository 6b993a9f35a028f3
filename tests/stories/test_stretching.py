"""Lengthening the quiet times of a recording moves every time in it, and nothing else."""

from __future__ import annotations

import pytest

from other_clocks import with_clock
from replay import Arrival
from stretching import SECOND, Quiet, later, stretched

AT = 1795259160  # 2026-11-21T11:06:00Z
QUIETS = [Quiet(AT, 3600), Quiet(AT + 10, 60)]


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ('"2026-11-21T11:05:59Z"', '"2026-11-21T11:05:59Z"'),
        ('"2026-11-21T11:05:59.999999Z"', '"2026-11-21T11:05:59.999999Z"'),
        ('"2026-11-21T11:06:00Z"', '"2026-11-21T12:06:00Z"'),
        ('"2026-11-21T11:06:09.5Z"', '"2026-11-21T12:06:09.5Z"'),
        ('"2026-11-21T11:06:10Z"', '"2026-11-21T12:07:10Z"'),
        ('"2026-11-21T23:59:59Z"', '"2026-11-22T01:00:59Z"'),
        ("as of 2026-11-21T11:06:01Z, and 2026-11-21", "as of 2026-11-21T12:06:01Z, and 2026-11-21"),
        ('"nginx:1.27", "resourceVersion":"1795259161"', '"nginx:1.27", "resourceVersion":"1795259161"'),
    ],
)
def test_every_timestamp_moves(text: str, moved: str) -> None:
    assert stretched(text, QUIETS) == moved


def test_the_time_in_the_name_of_an_event_moves() -> None:
    made = AT * SECOND + 123
    assert stretched(f'"web.{made:016x}"', QUIETS) == f'"web.{made + 3600 * SECOND:016x}"'


def test_times_keep_their_order() -> None:
    times = [AT * SECOND + offset * SECOND // 4 for offset in range(-8, 60)]
    moved = [later(time, QUIETS) for time in times]
    assert moved == sorted(moved)
    assert (moved[0], moved[-1]) == (times[0], times[-1] + 3660 * SECOND)


def test_without_quiet_times_nothing_moves() -> None:
    assert stretched('"2026-11-21T11:06:00Z"', []) == '"2026-11-21T11:06:00Z"'


def test_a_clock_that_is_behind_writes_earlier_times_and_nothing_arrives_otherwise() -> None:
    made = AT * SECOND + 123
    body = f'{{"a":"2026-11-21T11:06:01.25Z","name":"web.{made:016x}","n":1795259161}}'
    written = Arrival(made, "events", "ADDED", body.encode(), "7", "east")
    moved = with_clock(written, -3)
    assert moved.body.decode() == body.replace("06:01", "05:58").replace(
        f"{made:016x}", f"{made - 3 * SECOND:016x}"
    )
    assert (moved.at, moved.version) == (written.at, written.version)
    assert with_clock(written, 0) == written
