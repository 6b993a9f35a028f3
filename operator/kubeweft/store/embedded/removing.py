"""Removing whole windows, inside a transaction of a writing connection.

A window is gone at once, and with it the object that has no other. Its spans may be many: then they follow in portions,
and the window's number waits in the table ``doomed`` until all are gone. The row of the newest span is emptied and
stays, so that no position is ever used twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubeweft.store.embedded.places import HIGHEST_WINDOW, Places

PORTION = 256  # spans
_EMPTY = "UPDATE spans SET window = NULL, span = NULL, payload = x'', body = 0"
_NEWEST = "(SELECT max(position) FROM spans)"


@dataclass(slots=True)
class Removed:
    """What one transaction has removed. ``seen`` counts the windows looked at, ``held`` those that were not sent yet."""

    windows: int = 0
    spans: int = 0
    seen: int = 0
    held: int = 0


class Remover:
    """Works on the store's writing connection."""

    def __init__(self, connection: sqlite3.Connection, places: Places) -> None:
        """``places`` are told which windows are gone."""
        self._connection = connection
        self._places = places
        self._newest = 0  # the position of the newest span, in this transaction
        self._is_doomed = False  # whether the spans of a window are to follow

    def remove(
        self, windows: Iterable[int], *, ended_by: int, sent: int, is_over: Callable[[], bool]
    ) -> Removed:
        """Remove windows by their numbers, in their order, at least one, until it is over or the spans of one are left.

        Those stay that hold a span beyond the position ``sent``, or (also by a late span) had not ended by a time.
        """
        removed = Removed()
        self._connection.execute(f"UPDATE meta SET value = ({HIGHEST_WINDOW}) WHERE name = 'last_window'")
        self._newest = self._connection.execute(f"SELECT coalesce({_NEWEST}, 0)").fetchone()[0]
        self._is_doomed = False
        traces: list[bytes] = []
        objects: set[int] = set()
        oldest_kept = 0
        for window in windows:
            if removed.seen and (self._is_doomed or is_over()):
                break
            removed.seen += 1
            row = self._connection.execute(
                "SELECT trace, object, coalesce(start + length, last), last FROM windows WHERE id = ?",
                (window,),
            ).fetchone()
            if row is None or max(row[2], row[3]) > ended_by:
                continue
            if not self._remove_one(window, sent, removed):
                continue
            traces.append(row[0])
            objects.add(row[1])
            oldest_kept = max(oldest_kept, row[2])
        self._remove_objects(objects)
        self._places.forget_windows(traces)
        self._count(removed, oldest_kept)
        return removed

    def sweep(self) -> Removed:
        """Remove a portion of the spans whose windows are gone, and of the empty rows."""
        removed = Removed()
        doomed = self._connection.execute("SELECT window FROM doomed LIMIT 1").fetchone()
        if doomed is not None:
            removed.seen = 1
            removed.spans = self._remove_spans(doomed[0], most=PORTION)
            if removed.spans < PORTION:
                self._connection.execute("DELETE FROM doomed WHERE window = ?", doomed)
            self._count(removed, 0)
            return removed
        removed.seen = self._connection.execute(
            f"DELETE FROM spans WHERE position IN "
            f"(SELECT position FROM spans WHERE window IS NULL AND position < {_NEWEST} LIMIT ?)",
            (PORTION,),
        ).rowcount
        return removed

    def _remove_one(self, window: int, sent: int, removed: Removed) -> bool:
        connection = self._connection
        count, newest = connection.execute(
            "SELECT count(*), coalesce(max(position), 0) FROM spans WHERE window = ?", (window,)
        ).fetchone()
        if newest > sent:
            removed.held += 1
            return False
        connection.execute("DELETE FROM windows WHERE id = ?", (window,))
        removed.windows += 1
        if count <= PORTION and newest < self._newest:
            removed.spans += connection.execute("DELETE FROM spans WHERE window = ?", (window,)).rowcount
            return True
        removed.spans += self._remove_spans(window, most=PORTION)
        if count > PORTION:
            connection.execute("INSERT INTO doomed(window) VALUES(?)", (window,))
            self._is_doomed = True
        return True

    def _remove_spans(self, window: int, *, most: int) -> int:
        connection = self._connection
        emptied = connection.execute(
            f"{_EMPTY} WHERE position = {_NEWEST} AND window = ?", (window,)
        ).rowcount
        deleted = connection.execute(
            "DELETE FROM spans WHERE position IN (SELECT position FROM spans WHERE window = ? LIMIT ?)",
            (window, most - emptied),
        ).rowcount
        return emptied + deleted

    def _remove_objects(self, objects: Iterable[int]) -> None:
        self._connection.executemany(
            "DELETE FROM objects WHERE id = ? AND NOT EXISTS (SELECT 1 FROM windows WHERE object = objects.id)",
            [(number,) for number in objects],
        )

    def _count(self, removed: Removed, oldest_kept: int) -> None:
        add = "UPDATE meta SET value = value + ? WHERE name = ?"
        if removed.windows:
            self._connection.execute(add, (removed.windows, "windows_removed"))
            self._connection.execute(
                "UPDATE meta SET value = max(value, ?) WHERE name = 'oldest_kept'", (oldest_kept,)
            )
        if removed.spans:
            self._connection.execute(add, (removed.spans, "removed"))
