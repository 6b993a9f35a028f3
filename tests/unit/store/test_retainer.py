"""Retention while the process runs: it takes turns with writers, follows the plan, and can be stopped at any time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeweft.model.plan import Retention
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.interfaces import Batch
from kubeweft.store.retention import Retainer
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from store_samples import LENGTH, NINE, fact, key_of, object_span

WINDOW_SECONDS = LENGTH / NANOSECONDS
OLD = Retention(max_age=WINDOW_SECONDS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.db", busy_seconds=0.01) as one:
        yield one


def write_windows(store: SqliteStore, *numbers: int, facts: int = 9) -> None:
    for number in numbers:
        key, start = key_of(f"o{number}"), NINE + number * LENGTH
        facts_of = (fact(key, n, start=start + n) for n in range(facts))
        store.write(Batch(spans=[object_span(key, start), *facts_of]))


async def test_it_follows_the_plan_and_the_clock(store: SqliteStore) -> None:
    write_windows(store, *range(8))
    now, retention = [NINE + 4 * LENGTH], [Retention()]
    retainer = Retainer(store, lambda: retention[0], now=lambda: now[0])
    await retainer.run_once()
    assert retainer.statistics().windows == 0

    retention[0] = OLD
    await retainer.run_once()
    assert (retainer.statistics().windows, retainer.statistics().spans) == (3, 30)
    now[0] += 2 * LENGTH
    await retainer.run_once()
    assert (retainer.statistics().windows, retainer.statistics().spans) == (5, 50)
    assert store.statistics().windows == 3
    retention[0] = Retention(max_bytes=1)
    await retainer.run_once()
    assert store.statistics().windows == 2  # which are not over
    assert retainer.statistics().runs == 4


async def test_it_runs_again_and_again_until_it_is_cancelled(store: SqliteStore) -> None:
    write_windows(store, 0)
    retainer = Retainer(store, lambda: OLD, now=lambda: NINE + 5 * LENGTH, every=0.001)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(retainer.run())
        async with asyncio.timeout(5):
            for number in (1, 2, 3):
                await asyncio.to_thread(write_windows, store, number)
                while store.statistics().windows:
                    await asyncio.sleep(0.001)
        running.cancel()
    assert retainer.statistics().windows == 4


async def test_writers_get_their_turn_while_much_is_removed(store: SqliteStore) -> None:
    write_windows(store, *range(300), facts=60)
    retainer = Retainer(store, lambda: OLD, now=lambda: NINE + 400 * LENGTH)
    left: list[int] = []
    async with Writer(store) as writer, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(retainer.run_once())
        while not running.done():
            key = key_of("new")
            await writer.write(Batch(spans=[fact(key, len(left), start=NINE + 500 * LENGTH)]))
            left.append(store.statistics().windows)
    assert any(1 < windows < 300 for windows in left)
    assert store.statistics().windows == 1
    assert store.statistics().spans == len(left)


async def test_a_run_that_is_cancelled_leaves_a_store_that_goes_on(store: SqliteStore) -> None:
    write_windows(store, *range(40), facts=600)
    retainer = Retainer(store, lambda: OLD, now=lambda: NINE + 100 * LENGTH)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(retainer.run_once())
        async with asyncio.timeout(5):
            while not retainer.statistics().windows:
                await asyncio.sleep(0.001)
        running.cancel()
    assert 0 < store.statistics().windows < 40
    await retainer.run_once()
    assert store.statistics().spans == store.statistics().windows == 0


async def test_where_another_process_writes_for_too_long_the_rest_is_left_to_the_next_run(
    store: SqliteStore, tmp_path: Path
) -> None:
    write_windows(store, 0)
    retainer = Retainer(store, lambda: OLD, now=lambda: NINE + 5 * LENGTH)
    with SqliteStore(tmp_path / "store.db") as other:
        other._connection.execute("BEGIN IMMEDIATE")
        await retainer.run_once()
        other._connection.execute("ROLLBACK")
    assert (retainer.statistics().refused, store.statistics().windows) == (1, 1)
    await retainer.run_once()
    assert (retainer.statistics().refused, store.statistics().windows) == (1, 0)


async def test_what_is_kept_for_an_exporter_is_told_once(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.activate_exporters(["otlp"])
    write_windows(store, 0, 1)
    retainer = Retainer(store, lambda: OLD, now=lambda: NINE + 5 * LENGTH)
    with caplog.at_level(logging.WARNING):
        await retainer.run_once()
        await retainer.run_once()
    assert retainer.statistics().held_windows == 2
    assert len(caplog.records) == 1
    store.save_export_position("otlp", store.newest_position())
    await retainer.run_once()
    assert (retainer.statistics().held_windows, store.statistics().windows) == (0, 0)
