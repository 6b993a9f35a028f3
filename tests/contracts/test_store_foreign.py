"""Spans of other systems in the embedded store: written once, found by what joins them, gone in time."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.embedded.foreign import SHARE, UNJOINED
from kubeweft.store.interfaces import Batch, ForeignPart
from kubeweft.store.sqlite import SqliteStore
from store_keeping import retain, table
from store_samples import NINE

FOR_EVER = 2**63 - 1
DAY = 86_400 * NANOSECONDS
AUDIT_ID = "audit-id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(path)) as opened:
        yield opened


def span(trace: int, number: int, *, start: int = NINE, size: int = 10) -> ForeignSpan:
    filler = random.Random(trace * 1000 + number).randbytes(size).hex()
    return ForeignSpan(
        trace.to_bytes(16, "big"),
        number.to_bytes(8, "big"),
        b"",
        "apiserver",
        f"span {number}",
        start,
        start + 5,
        2,
        {"filler": filler, "code": 201, "ratio": 0.5, "ok": True},
        {"host": "node-1"},
        "failed",
    )


def part(
    trace: int, *numbers: int, value: str = "", received: int = NINE, start: int = NINE, size: int = 10
) -> ForeignPart:
    spans = [span(trace, number, start=start, size=size) for number in numbers or (1,)]
    return ForeignPart(
        trace.to_bytes(16, "big"), spans, [(AUDIT_ID, value, start)] if value else [], received
    )


def found(
    store: SqliteStore,
    *values: str,
    since: int = 0,
    until: int = FOR_EVER,
    most_traces: int = 100,
    most_spans: int = 1000,
) -> tuple[list[ForeignSpan], int]:
    joins = [(AUDIT_ID, value) for value in values]
    answer = store.foreign_of(joins, since=since, until=until, most_traces=most_traces, most_spans=most_spans)
    return answer.spans, answer.more


def write(store: SqliteStore, parts: Sequence[ForeignPart]) -> None:
    store.write(Batch(foreign=parts))


def test_a_trace_is_read_as_it_was_written_whatever_joined_it(store: SqliteStore, path: Path) -> None:
    write(store, [part(1, 1, 2, value="a"), part(2, 1, value="b")])
    write(store, [part(1, 3)])  # later, and without the value
    assert found(store, "a") == ([span(1, 1), span(1, 2), span(1, 3)], 0)
    assert found(store, "b", "a", "x")[0] == [span(2, 1), span(1, 1), span(1, 2), span(1, 3)]
    with SqliteStore.open_reader(path) as reader:
        assert reader.foreign_of(
            [(AUDIT_ID, "b")], since=0, until=FOR_EVER, most_traces=9, most_spans=9
        ).spans


def test_the_same_again_changes_nothing(store: SqliteStore, path: Path) -> None:
    for _ in range(3):
        write(store, [part(1, 1, 2, value="a")])
    write(store, [part(1, 2)])  # part of it, in another export
    assert found(store, "a") == ([span(1, 1), span(1, 2)], 0)
    assert table(path, "SELECT count(*) FROM foreign_joins") == [(1,)]


def test_time_and_limits_are_heeded_and_what_is_left_out_is_counted(store: SqliteStore) -> None:
    write(store, [part(n, 1, value="a", start=NINE + n) for n in (3, 1, 2)])
    assert [one.start - NINE for one in found(store, "a")[0]] == [1, 2, 3]
    assert [one.start - NINE for one in found(store, "a", since=NINE + 2, until=NINE + 2)[0]] == [2]
    spans, more = found(store, "a", most_traces=2)
    assert ([one.start - NINE for one in spans], more) == ([1, 2], 1)
    assert found(store, "a", most_spans=1) == ([span(1, 1, start=NINE + 1)], 2)


def test_one_that_is_told_of_all_day_leaves_others_their_room(store: SqliteStore) -> None:
    write(store, [*[part(n, 1, value="busy", start=NINE + n) for n in range(1, 50)], part(60, value="quiet")])
    spans, more = found(store, "busy", "quiet", most_traces=3)
    assert [int.from_bytes(one.trace_id, "big") for one in spans] == [1, 60, 2]
    assert more >= 1


def test_what_is_too_old_goes_by_when_it_came(store: SqliteStore, path: Path) -> None:
    write(
        store,
        [part(1, value="a", received=NINE, start=NINE + 50 * DAY), part(2, value="b", received=NINE + DAY)],
    )
    write(store, [part(3, value="c", received=NINE), part(3, 2, received=NINE + DAY)])
    retain(store, now=NINE + DAY + 1, max_age=DAY)
    assert (found(store, "a")[0], len(found(store, "b")[0]), len(found(store, "c")[0])) == ([], 1, 2)
    retain(store, now=NINE + 3 * DAY, max_age=DAY)
    for name in ("traces", "parts", "joins"):
        assert table(path, f"SELECT count(*) FROM foreign_{name}") == [(0,)]
    assert table(path, "SELECT value FROM meta WHERE name = 'foreign_bytes'") == [(0,)]


def test_what_nobody_can_ask_for_goes_soon(store: SqliteStore, path: Path) -> None:
    write(store, [part(1), part(2, value="b"), part(3)])
    write(store, [part(3, 2, value="c")])
    retain(store, now=NINE + UNJOINED + 1)
    assert table(path, "SELECT count(*) FROM foreign_traces") == [(2,)]
    assert len(found(store, "c")[0]) == 2


def test_others_get_a_share_of_the_store_and_the_oldest_go(store: SqliteStore, path: Path) -> None:
    parts = [part(n, *range(1, 6), value=f"v{n}", received=NINE + n, size=2_000) for n in range(1, 101)]
    write(store, parts)
    [(before,)] = table(path, "SELECT value FROM meta WHERE name = 'foreign_bytes'")
    [(sizes,)] = table(path, "SELECT sum(length(content)) FROM foreign_parts")
    assert before == sizes
    assert isinstance(before, int)
    limit = int(before / 2 / SHARE)
    retain(store, now=NINE + 200, max_bytes=limit)
    [(after,)] = table(path, "SELECT value FROM meta WHERE name = 'foreign_bytes'")
    assert isinstance(after, int)
    assert limit * SHARE * 0.9 < after <= limit * SHARE
    kept = [n for n in range(1, 101) if found(store, f"v{n}")[0]]
    assert kept == list(range(kept[0], 101))


def test_a_large_trace_goes_in_portions(store: SqliteStore) -> None:
    for number in range(40):
        write(store, [part(1, number + 1, value="a")])
    retain(store, now=NINE + 2 * DAY, max_age=DAY, pieces=1)
    assert 0 < len(found(store, "a")[0]) < 40
    retain(store, now=NINE + 2 * DAY, max_age=DAY)
    assert found(store, "a") == ([], 0)


def test_an_older_file_has_none_and_gets_the_tables_from_a_writer(path: Path) -> None:
    SqliteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TABLE foreign_traces; DROP TABLE foreign_parts; DROP TABLE foreign_joins;"
            "DELETE FROM meta WHERE name = 'foreign_bytes'; PRAGMA user_version = 2;"
        )
    with SqliteStore.open_reader(path) as reader:
        assert reader.foreign_of([(AUDIT_ID, "a")], since=0, until=9, most_traces=9, most_spans=9).spans == []
    with contextlib.closing(SqliteStore(path)) as store:
        write(store, [part(1, value="a")])
        assert len(found(store, "a")[0]) == 1


def test_a_value_is_found_without_reading_others(store: SqliteStore, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT trace FROM foreign_joins WHERE name = 'n' AND value = 'v' AND start BETWEEN 1 AND 2 "
            "ORDER BY start, trace LIMIT 3"
        ).fetchall()
    told = " ".join(str(row[-1]) for row in plan)
    assert "COVERING INDEX" in told
    assert "TEMP B-TREE" not in told
