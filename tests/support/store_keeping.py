"""Retention in one call, and a look into a store's file, for tests."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from kubeweft.store.sqlite import SqliteStore


def retain(
    store: SqliteStore, *, now: int, max_age: int = 0, max_bytes: int = 0, pieces: int = 10**6
) -> tuple[int, int, int]:
    """One run, or its first pieces; how many windows and spans it has removed, and how many windows it held."""
    housekeeping = store.housekeeping()
    run = housekeeping.pieces(now=now, max_age=max_age, max_bytes=max_bytes)
    for _ in range(pieces):
        if next(run, run) is run:
            break
    run.close()
    housekeeping.close()
    return housekeeping.done.windows, housekeeping.done.spans, housekeeping.done.held


def table(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()
