"""Retention: what is too old or too much goes, whole windows and the oldest first; everything else stays as it is."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import NotNow
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.embedded import tidying
from kubeweft.store.embedded.removing import PORTION
from kubeweft.store.interfaces import AuditVersion, Batch, Checkpoint, ObjectQuery, StoredVersion
from kubeweft.store.sqlite import SqliteStore
from store_benches import BENCHES, Bench
from store_keeping import retain, table
from store_samples import LENGTH, MINUTE, NINE, fact, key_of, object_span, trace_of

FOR_EVER = 2**63 - 1
HOUR = 2 * LENGTH


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    one: Bench = request.param(tmp_path / "store.db")
    yield one
    one.close()


def window_of(key: ObjectKey, number: int, *, facts: int = 3) -> list[Span]:
    """The spans of an object in the window of a number."""
    start = NINE + number * LENGTH
    return [object_span(key, start), *(fact(key, n, start=start + n) for n in range(facts))]


def starts(bench: Bench, key: ObjectKey) -> list[int]:
    windows = bench.store.windows_of(key, since=0, until=FOR_EVER)
    return [(window.start - NINE) // LENGTH for window in windows]


# --------------------------------------------------------------------------------------------------------------- by age


def test_windows_go_once_they_have_been_over_for_so_long(bench: Bench) -> None:
    old, web = key_of("old"), key_of("web")
    bench.write(*window_of(old, 0), *window_of(web, 0), *window_of(web, 1), *window_of(web, 2))
    assert retain(bench.store, now=NINE + 2 * LENGTH - 1, max_age=LENGTH) == (0, 0, 0)
    assert bench.store.oldest_kept() == 0

    assert retain(bench.store, now=NINE + 2 * LENGTH, max_age=LENGTH) == (2, 8, 0)
    assert starts(bench, web) == [1, 2]
    assert bench.store.spans_of([trace_of(old)]) == []
    assert bench.names() == ["web"]
    assert bench.everything() == [*window_of(web, 1), *window_of(web, 2)]
    assert bench.store.oldest_kept() == bench.store.statistics().oldest_kept == NINE + LENGTH
    assert (bench.store.statistics().spans, bench.store.statistics().windows) == (8, 2)


def test_a_long_request_keeps_its_window_as_long_as_itself(bench: Bench) -> None:
    key = key_of()
    bench.write(object_span(key), fact(key, 1, lasts=4 * LENGTH), *window_of(key, 1))
    retain(bench.store, now=NINE + 3 * LENGTH, max_age=LENGTH)
    assert starts(bench, key) == [0]
    retain(bench.store, now=NINE + 6 * LENGTH, max_age=LENGTH)
    assert starts(bench, key) == []


def test_spans_without_an_object_span_go_by_their_own_times(bench: Bench) -> None:
    bench.write(
        fact(key_of("timed"), 1, lasts=MINUTE),
        fact(key_of("linked"), 1, source="link", start=NINE),
        fact(key_of("young"), 1, start=NINE + HOUR),
    )
    retain(bench.store, now=NINE + 2 * MINUTE + HOUR, max_age=HOUR)
    assert [span.key.name for span in bench.everything()] == ["timed", "young"]
    retain(bench.store, now=NINE + 3 * MINUTE + HOUR, max_age=HOUR)
    assert [span.key.name for span in bench.everything()] == ["young"]


def test_a_position_is_never_used_twice_even_when_all_spans_are_gone(bench: Bench) -> None:
    bench.write(*window_of(key_of(), 0))
    newest = bench.store.newest_position()
    retain(bench.store, now=NINE + HOUR, max_age=1)
    assert bench.everything() == []
    assert bench.store.newest_position() == newest
    assert bench.store.statistics().spans == 0

    bench.write(*window_of(key_of("new"), 9))
    assert [at for at, _ in bench.store.spans_after(0, limit=9)] == list(range(newest + 1, newest + 5))
    retain(bench.store, now=NINE + HOUR, max_age=1)
    assert bench.everything() == window_of(key_of("new"), 9)
    assert (bench.store.statistics().spans, bench.store.statistics().windows) == (4, 1)


def test_what_has_been_removed_may_come_again(bench: Bench) -> None:
    key = key_of()
    spans = window_of(key, 0)
    for _ in range(2):
        assert bench.write(*spans) == 4
        assert bench.everything() == spans
        assert retain(bench.store, now=NINE + HOUR, max_age=1)[:2] == (1, 4)


def test_many_spans_of_one_window_go_in_portions_and_are_invisible_at_once(bench: Bench) -> None:
    key, count = key_of(), 3 * PORTION + 5
    bench.write(*window_of(key, 0, facts=count), *window_of(key_of("late"), 9))
    retain(bench.store, now=NINE + HOUR, max_age=1, pieces=1)
    assert table(bench.path, "SELECT count(*) FROM spans")[0][0] > count // 2  # type: ignore[operator]
    assert bench.store.spans_of([trace_of(key)]) == []
    assert bench.names() == ["late"]
    assert bench.everything() == window_of(key_of("late"), 9)
    assert [one.key.name for _, one in bench.store.spans_after(0, limit=2)] == ["late", "late"]
    bench.write(fact(key, 1), object_span(key))  # the same window, anew

    retain(bench.store, now=NINE, max_age=1)  # whoever comes next takes it up, with nothing else to do
    assert table(bench.path, "SELECT count(*) FROM spans") == [(6,)]
    assert bench.store.spans_of([trace_of(key)]) == [fact(key, 1), object_span(key)]
    assert bench.store.statistics().spans == 6


# -------------------------------------------------------------------------------------------------------------- by size


def fill(store: SqliteStore, *, windows: int, number: int = 0) -> None:
    """Windows of about 100 kB each."""
    for window in range(number, number + windows):
        start = NINE + window * LENGTH
        spans = [
            fact(key_of(), n, start=start + n, attributes={"x": f"{window}-{n}" * 100}) for n in range(150)
        ]
        store.write(Batch(spans=[object_span(key_of(), start), *spans]))


def fill_up(store: SqliteStore) -> int:
    """Write until the store refuses; how many windows it has taken."""
    for number in range(1_000):
        try:
            fill(store, windows=1, number=number)
        except NotNow:
            return number
    raise AssertionError("the store has no limit")


def test_of_too_much_the_oldest_goes_and_the_rest_stays(bench: Bench) -> None:
    fill(bench.store, windows=30)
    before = bench.store.statistics().bytes
    limit = before // 2
    retain(bench.store, now=NINE + 30 * LENGTH, max_bytes=limit)
    left = starts(bench, key_of())
    assert left == list(range(30 - len(left), 30))
    assert 10 < len(left) < 16
    assert limit * 0.8 < bench.store.statistics().bytes <= limit
    assert retain(bench.store, now=NINE + 30 * LENGTH, max_bytes=limit) == (0, 0, 0)


def test_windows_that_are_not_over_stay_whatever_the_size(bench: Bench) -> None:
    fill(bench.store, windows=4)
    retain(bench.store, now=NINE + 3 * LENGTH - 1, max_bytes=1)
    assert starts(bench, key_of()) == [2, 3]


def test_a_full_store_takes_writes_again_once_retention_has_made_room(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", max_bytes=2_000_000) as store:
        written = fill_up(store)
        assert store.statistics().full
        now = NINE + written * LENGTH
        for number in range(written, written + 60):
            retain(store, now=now, max_bytes=10**9)  # the file's own limit counts, being less
            fill(store, windows=1, number=number)
            now += LENGTH
        statistics = store.statistics()
        assert not statistics.full
        assert statistics.file_bytes <= 2_000_000
        assert 10 < statistics.windows < 30


def test_the_file_becomes_smaller_when_much_of_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        fill(store, windows=300)
        before = store.statistics()
        assert before.bytes == before.file_bytes > 20_000_000
        retain(store, now=NINE + 290 * LENGTH + 1, max_age=1)
        after = store.statistics()
        assert after.bytes < before.bytes / 20
        assert after.file_bytes < before.file_bytes / 10
        assert len(store.spans_after(0, limit=10**6)) == 10 * 151
    assert path.stat().st_size == after.file_bytes


# ------------------------------------------------------------------------------------------------- what exporters need


def test_what_an_active_exporter_has_not_sent_stays(bench: Bench) -> None:
    bench.write(*window_of(key_of("a"), 0), *window_of(key_of("b"), 0))
    assert bench.store.export_position("otlp") == 0
    assert retain(bench.store, now=NINE + HOUR, max_age=1, max_bytes=1) == (
        0,
        0,
        4,
    )  # nobody has said: it counts

    store = bench.store
    store.activate_exporters(["otlp"])
    store.save_export_position("otlp", 5)
    retain(store, now=NINE + HOUR, max_age=1)
    assert [span.key.name for span in bench.everything()] == ["b"] * 4
    store = bench.store
    store.activate_exporters([])
    retain(store, now=NINE + HOUR, max_age=1)
    assert bench.everything() == []


# ---------------------------------------------------------------------------------------------- what is cleared away


def audit_version(version: int, *, name: str = "web", time: int = NINE) -> AuditVersion:
    return AuditVersion(
        "prod",
        "apps",
        "deployments",
        "shop",
        name,
        f"uid-{name}",
        str(version),
        time,
        False,
        False,
        "Deployment",
        "apps/v1",
        b'{"a":1}',
    )


def test_windows_do_not_go_for_the_room_that_audit_bodies_take(bench: Bench) -> None:
    """They become free with their objects."""
    noise = random.Random(1)
    for n in range(1_200):
        key = key_of(f"web-{n}")
        body = noise.randbytes(3_000).hex().encode()
        version = audit_version(1, name=f"web-{n}", time=NINE + n)._replace(body=b'"' + body + b'"')
        bench.store.write(
            Batch(spans=[object_span(key, NINE), fact(key, n, start=NINE + n)], audit_versions=[version])
        )
    limit = int(bench.store.statistics().bytes * 0.6)
    windows, _, _ = retain(bench.store, now=NINE + 10 * LENGTH, max_bytes=limit)
    assert bench.store.statistics().bytes <= limit
    assert 300 < windows < 900


def test_what_nothing_refers_to_is_cleared_away_and_the_memory_of_watches_is_not(bench: Bench) -> None:
    gone, kept = key_of("gone", cluster="edge", resource="things"), key_of("web")
    watched = StoredVersion("shop", "p", "u", "1", NINE, 0, b"body", b"")
    bodies = [fact(gone, n + 10, source="change", body=b'{"a":%d}' % n) for n in range(9)]
    bench.write(*window_of(gone, 0), *bodies, *window_of(kept, 0), *window_of(kept, 5))
    bench.store.write(
        Batch(
            checkpoints=(Checkpoint("edge", "", "pods", "7", 7, (watched,), (), ((1, b"dict"),)),),
            audit_versions=[
                *(audit_version(n, time=NINE + n) for n in range(3)),
                audit_version(9, time=NINE + 5 * LENGTH),
                audit_version(1, name="never-seen"),
            ],
            bookmarks=(("log", b"here"),),
        )
    )
    retain(bench.store, now=NINE + 2 * LENGTH, max_age=LENGTH)

    assert table(bench.path, "SELECT resource FROM types ORDER BY 1") == [("deployments",), ("pods",)]
    assert table(bench.path, "SELECT count(*) FROM body_dictionaries") == [(0,)]
    assert table(bench.path, "SELECT name FROM objects") == [("web",)]
    assert table(bench.path, "SELECT name FROM clusters ORDER BY 1") == [("edge",), ("prod",)]
    assert bench.store.clusters() == ["prod"]
    assert [one.version for one in bench.store.audit_versions("prod", "uid-web")] == ["2", "9"]
    assert bench.store.audit_versions("prod", "uid-never-seen") == []
    resume = bench.store.resume("edge", "", "pods")
    assert resume is not None
    assert (list(resume.versions), list(resume.dictionaries)) == ([watched], [(1, b"dict")])
    assert bench.store.bookmark("log") == b"here"


def test_numbers_that_became_free_mean_something_else_to_nobody(tmp_path: Path) -> None:
    """Two writers and a reader that remember numbers, over types and texts that come and go."""
    path = tmp_path / "store.db"
    with SqliteStore(path) as one, SqliteStore(path) as two, SqliteStore.open_reader(path) as reader:
        for number in range(12):
            now = NINE + 2 * number * LENGTH
            key = key_of(f"o{number}", resource=f"type{number}", cluster=f"c{number % 3}")
            spans = [
                object_span(key, now),
                *(
                    fact(
                        key,
                        n,
                        start=now + n,
                        source="change",
                        body=b'{"type":%d,"n":%d}' % (number, n) * 20,
                        attributes={v.USER: f"user-{number}-{n // 16}", f"name-{number}": n},
                    )
                    for n in range(40)
                ),
            ]
            for begin in range(0, len(spans), 10):
                (one, two)[begin % 20 // 10].write(Batch(spans=spans[begin : begin + 10]))
            for each in (reader, one, two):
                assert each.spans_of([spans[0].trace_id]) == spans
                assert [span for _, span in each.spans_after(0, limit=1000)] == spans
            housekeeping = one.housekeeping(many_texts=1)
            for _ in housekeeping.pieces(now=now + LENGTH + 1, max_age=1, max_bytes=0):
                assert reader.spans_of([spans[0].trace_id]) in ([], spans)
            housekeeping.close()
            assert table(path, "SELECT count(*) FROM types") == [(0,)]
            assert table(path, "SELECT count(*) FROM texts") == [(0,)]


def test_texts_in_use_stay_and_so_do_those_of_spans_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "SCANNED", 20)
    path = tmp_path / "store.db"

    def spans(number: int, users: int) -> list[Span]:
        key = key_of(f"o{number}")
        start = NINE + number * LENGTH
        facts = [
            fact(key, n, start=start, attributes={v.USER: f"user-{number}-{n // 16}"})
            for n in range(16 * users - 8)
        ]
        return [*facts, object_span(key, start)]  # of the first, the user becomes a text

    with SqliteStore(path) as store:
        for number in range(5):
            store.write(Batch(spans=spans(number, 4)))
        housekeeping = store.housekeeping(many_texts=1)
        late = iter(range(20, 90))
        for _ in housekeeping.pieces(now=NINE + 4 * LENGTH + 1, max_age=1, max_bytes=0):
            store.write(Batch(spans=spans(next(late), 1)))
        housekeeping.close()
        users = {str(text) for (text,) in table(path, "SELECT text FROM texts WHERE text LIKE 'user-%'")}
        assert users & {f"user-{number}-0" for number in range(5)} == {"user-4-0"}
        expected = [
            span for number in (4, *range(20, next(late))) for span in spans(number, 4 if number == 4 else 1)
        ]
        assert [span for _, span in store.spans_after(0, limit=10**6)] == expected


# -------------------------------------------------------------------------------------------------- files and processes


def older_file(path: Path) -> None:
    """A file as the first schema had it: nothing of what retention needs, and no vacuum."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TABLE doomed; DROP TABLE bookmarks; DROP INDEX audit_versions_of_object; "
            "DROP TABLE foreign_traces; DROP TABLE foreign_parts; DROP TABLE foreign_joins; "
            "DELETE FROM meta WHERE name NOT IN ('install_key', 'uid', 'reach', 'removed'); "
            "PRAGMA user_version = 1; PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM; "
        )


def test_an_older_file_is_read_as_it_is_and_brought_up_to_date_by_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        fill(store, windows=60)
    older_file(path)
    with SqliteStore.open_reader(path) as reader:
        before = reader.spans_after(0, limit=10**6)
        assert len(before) == 60 * 151
        assert reader.oldest_kept() == 0
        assert reader.bookmark("log") is None
    with SqliteStore(path) as store:
        assert store.spans_after(0, limit=10**6) == before
        size = store.statistics().file_bytes
        retain(store, now=NINE + 50 * LENGTH + 1, max_age=1)
        statistics = store.statistics()
        assert (statistics.windows, statistics.spans) == (10, 1510)
        assert statistics.file_bytes == size  # not given back, but used again
        fill(store, windows=40, number=100)
        assert store.statistics().file_bytes == size


def test_a_reader_sees_whole_windows_or_none_while_others_vanish(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store, SqliteStore.open_reader(path) as reader:
        for number in range(40):
            store.write(Batch(spans=window_of(key_of(f"o{number % 3}"), number, facts=30)))
        housekeeping = store.housekeeping()
        traces = [trace_of(key_of(f"o{number % 3}"), NINE + number * LENGTH) for number in range(40)]
        for _ in housekeeping.pieces(now=NINE + 35 * LENGTH + 1, max_age=1, max_bytes=0):
            for trace in traces:
                assert len(reader.spans_of([trace])) in (0, 31)
            for found in reader.find_objects(ObjectQuery()):
                windows = reader.windows_of(found.key, since=0, until=FOR_EVER)
                assert len(windows) <= found.windows
        housekeeping.close()
        assert len(reader.spans_after(0, limit=10**6)) == 5 * 31
