"""Kills, power losses, and many at once: what a writer acknowledged is there, and the file is sound.

The writer is a process of its own that prints a number after each batch that ``write`` has returned for.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kubeweft.store.interfaces import Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from store_samples import fact, key_of, object_span

PER_BATCH = 40
SUPPORT = Path(__file__).parents[1] / "support"
SOURCE = Path(__file__).parents[2] / "operator"
WRITER = f"""
import sys
sys.path[:0] = [{str(SOURCE)!r}, {str(SUPPORT)!r}, {str(Path(__file__).parent)!r}]
from test_store_survival import batch_of
from kubeweft.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
for number in range(int(sys.argv[2]), 1_000_000):
    store.write(batch_of(number))
    print(number, flush=True)
"""


def batch_of(number: int) -> Batch:
    """The batch that a writer writes as its ``number``-th; it may be written again after a crash."""
    key = key_of(f"o{number % 17}")
    body = b'{"spec":{"replicas":%d}}' % number if number % 5 == 0 else b""
    spans = [
        fact(key, number * PER_BATCH + one, name=f"n{number}", body=body) for one in range(PER_BATCH - 1)
    ]
    return Batch(spans=[object_span(key), *spans], export_positions=(("otlp", number),))


def kill_after(path: Path, *, first: int, acknowledged: int) -> int:
    """Run a writer from batch ``first`` until it has acknowledged some, kill it; the last batch acknowledged."""
    command = [sys.executable, "-c", WRITER, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(acknowledged):
            assert process.stdout.readline(), "the writer has died by itself"
        process.kill()
        rest = process.stdout.read().split()  # what it had said before the signal came
    assert process.returncode == -signal.SIGKILL
    return int(rest[-1]) if rest else first + acknowledged - 1


def test_what_was_acknowledged_survives_kill_minus_nine_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    last = -1
    for acknowledged in (1, 30, 7, 120):
        last = kill_after(path, first=last + 1, acknowledged=acknowledged)
        with SqliteStore.open_reader(path) as reader:  # before any writer has put it in order
            written = {span.span_id: span for _, span in reader.spans_after(0, limit=10**6)}
            expected = {span.span_id: span for number in range(last + 1) for span in batch_of(number).spans}
            assert expected.keys() <= written.keys()
            assert all(written[span_id] == span for span_id, span in expected.items())
            beyond = len(written) - len(expected)
            # At most one batch was committed and not yet acknowledged: whole, or not at all.
            assert beyond in (0, PER_BATCH - 1, PER_BATCH)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    with SqliteStore(path) as store:
        assert store.export_position("otlp") in (last, last + 1)
        assert store.write(batch_of(last)).added == 0


def test_after_a_power_loss_the_log_ends_with_a_whole_batch(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    ends: list[int] = []  # how long the log was once a batch was durable
    log = Path(f"{path}-wal")
    with SqliteStore(path) as store:
        for number in range(12):
            store.write(batch_of(number))
            ends.append(log.stat().st_size)
        content, whole = path.read_bytes(), log.read_bytes()

    assert ends == sorted(set(ends))
    for cut in range(ends[3] - 9000, len(whole) + 1, 5_003):
        copy.write_bytes(content)
        Path(f"{copy}-wal").write_bytes(
            whole[:cut] + b"\xff" * 700
        )  # and what lies behind on the disk is anything
        with SqliteStore(copy) as store:
            spans = [span for _, span in store.spans_after(0, limit=10**6)]
            complete = sum(end <= cut for end in ends)
            assert len(spans) == spans_in(complete)
            assert spans[-1].name == f"n{complete - 1}"
            assert store.write(batch_of(complete)).added >= PER_BATCH - 1


def spans_in(batches: int) -> int:
    """How many spans the first batches make."""
    spans = [span for number in range(batches) for span in batch_of(number).spans]
    return len({(span.trace_id, span.span_id) for span in spans})


def test_a_reader_sees_whole_batches_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path):
        pass
    command = [sys.executable, "-c", WRITER, str(path), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            with SqliteStore.open_reader(path) as reader:
                for _ in range(25):
                    said = int(process.stdout.readline())
                    counts = [0] * 2_000
                    for _, span in reader.spans_after(0, limit=10**6):
                        if span.source == "request":
                            counts[int.from_bytes(span.span_id, "big") // PER_BATCH] += 1
                    assert set(counts) <= {0, PER_BATCH - 1}
                    assert counts[said] == PER_BATCH - 1
        finally:
            process.kill()


def test_two_processes_write_into_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    command = [sys.executable, "-c", WRITER, str(path), "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, SqliteStore(path) as store:
        assert process.stdout is not None
        try:
            for number in range(60):
                store.write(batch_of(number))
                process.stdout.readline()
        finally:
            process.kill()
            process.wait()
        written = {span.span_id: span for _, span in store.spans_after(0, limit=10**6)}
    expected = [span for number in (*range(60), *range(1000, 1060)) for span in batch_of(number).spans]
    assert [span for span in expected if written.get(span.span_id) != span] == []


def test_a_writer_that_waits_too_long_for_another_is_told_to_try_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path, busy_seconds=0.05) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="another process") as refused:
            store.write(batch_of(1))
        assert getattr(refused.value, "delay", None) == 1
        other.execute("ROLLBACK")
        other.close()
        assert store.write(batch_of(1)).added == PER_BATCH


def test_many_threads_may_read_while_one_writes(tmp_path: Path) -> None:
    failed: list[BaseException] = []
    done = threading.Event()

    def read(store: SqliteStore) -> None:
        try:
            while not done.is_set():
                spans = store.spans_after(0, limit=10**6)
                assert len(spans) % 10 == 0
                store.find_objects(ObjectQuery(text="name"))
                store.statistics()
        except BaseException as error:  # noqa: BLE001  (told by the test below)
            failed.append(error)

    with SqliteStore(tmp_path / "store.db") as store:
        readers = [threading.Thread(target=read, args=(store,)) for _ in range(6)]
        for reader in readers:
            reader.start()
        for number in range(0, 600, 10):
            store.write(
                Batch(
                    spans=[fact(key_of(f"o{n % 5}"), n, name=f"name {n}") for n in range(number, number + 10)]
                )
            )
        done.set()
        for reader in readers:
            reader.join()
        assert failed == []
        assert store.statistics().spans == 600
