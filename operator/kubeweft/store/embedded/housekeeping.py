"""What keeps the store's file from growing without end, in pieces so short that nobody waits for one.

Windows that are over go, the oldest first, once they are too old or as long as the store is too large. Spans that an
active exporter has not sent yet stay in any case: when they alone fill the store, it refuses new spans (``NotNow``),
because the sources of those still have them, and nobody else has what was not sent. The way out is to suspend the
exporter. What a watch remembers is never touched.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from kubeweft.store.embedded import schema
from kubeweft.store.embedded.failures import told_clearly
from kubeweft.store.embedded.foreign import ForeignRemover
from kubeweft.store.embedded.packing import start_in
from kubeweft.store.embedded.places import Places
from kubeweft.store.embedded.reading import SMALLEST, Reading
from kubeweft.store.embedded.removing import Removed, Remover
from kubeweft.store.embedded.tidying import Maintain, Tidying

PIECE_SECONDS: Final = 0.005  # how long one transaction may take, before it is committed
CANDIDATES: Final = 256
VERSIONS_PER_WINDOW: Final = 50  # bodies of audit logs that may be looked at for one window removed
MOST_HELD: Final = 20_000  # windows that may not go yet, looked at in one run
PIECES_PER_CHECKPOINT: Final = 16
ROOM: Final = 0.9  # of the file's limit: above, writes between two runs might find it full
VACUUM_PAGES: Final = 64
FREE_PAGES_KEPT: Final = 2_048  # 16 MiB, which will be used again soon
NO_PAGES: Final = -1
TIDY_EVERY: Final = 3600.0  # seconds: it takes a look at everything
BEGINNING: Final = (SMALLEST, 0)


class Cursor(NamedTuple):
    """How far the windows have been looked at: the start of one and its number."""

    start: int
    window: int


@dataclass(slots=True)
class Housekept:
    """What has been done since the start. ``held`` is how many windows of the last run could not go, not being sent."""

    windows: int = 0
    spans: int = 0
    held: int = 0
    seconds: float = 0.0


class Housekeeping:
    """Used by one thread; :meth:`pieces` makes one run."""

    def __init__(
        self,
        path: str,
        *,
        connection: sqlite3.Connection,
        places: Places,
        maintain: Maintain,
        sent: Callable[[], int],
        max_bytes: int,
        many_texts: int,
    ) -> None:
        """``maintain`` runs something in a short transaction on ``connection``; ``sent`` is asked in there."""
        self._path = path
        self._connection = connection
        self._maintain = maintain
        self._sent = sent
        self._max_bytes = max_bytes
        self._many_texts = many_texts
        self._remover = Remover(connection, places)
        self._foreign = ForeignRemover(connection)
        self._reading: Reading | None = None
        self._beside: sqlite3.Connection | None = None
        self._cursor = Cursor(*BEGINNING)
        self._reached = SMALLEST  # the start of the last window looked at
        self._since_checkpoint = 0
        self._tidy_at = 0.0  # by the monotonic clock
        self.done = Housekept()

    def close(self) -> None:
        """Close its own connections."""
        if self._reading is not None:
            self._reading.close()
        if self._beside is not None:
            self._beside.close()
        self._reading = self._beside = None

    def pieces(self, *, now: int, max_age: int, max_bytes: int) -> Generator[None, None, None]:
        """One run: removes what is older than ``max_age`` (nanoseconds), or too much for ``max_bytes``; 0 is no limit.

        Every step to the next is short; the caller decides about the pause in between.
        """
        with told_clearly(self._path):
            self.done.held = 0
            before = self.done.spans + self.done.windows
            yield from self._sweep()
            if max_age:
                yield from self._remove(now - max_age)
                yield from self._remove_startless(now - max_age)
            if max_bytes:
                yield from self._shrink(now, self._limit(max_bytes))
            yield from self._remove_foreign(now, max_age=max_age, max_bytes=max_bytes)
            yield from self._sweep()
            if self.done.spans + self.done.windows > before and time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + TIDY_EVERY
                yield from self._tidying().pieces()
            yield from self._give_back()

    def _tidying(self) -> Tidying:
        return Tidying(self._connection, self._read, self._timed, many_texts=self._many_texts)

    def _versions(self) -> int:
        """How many bodies of audit logs are kept, roughly: what it takes to look at all of them."""
        with self._read.one_moment():
            found = self._read.connection.execute(
                "SELECT coalesce(max(id), 0) FROM audit_versions"
            ).fetchone()
        return int(found[0])

    @property
    def _read(self) -> Reading:
        if self._reading is None:
            self._reading = Reading(self._path)
        return self._reading

    def _limit(self, max_bytes: int) -> int:
        return min(max_bytes, int(self._max_bytes * ROOM)) if self._max_bytes else max_bytes

    def _shrink(self, now: int, limit: int) -> Iterator[None]:
        most = limit // schema.PAGE_SIZE
        with self._read.one_moment():
            if schema.pages(self._read.connection).used <= most:
                return
        yield from self._remove(now, most_pages=most)
        yield from self._remove_startless(self._reached)

    def _remove(self, ended_by: int, *, most_pages: int = NO_PAGES) -> Iterator[None]:
        """Remove windows that had ended by a time, the oldest first, until there are no more or few pages are used."""
        held = self.done.held
        unpaid = self.done.windows
        while candidates := self._candidates(ended_by):
            begun = 0
            while begun < len(candidates):
                some = [cursor.window for cursor in candidates[begun:]]
                removed = self._take_away(some, ended_by, most_pages)
                begun += removed.seen
                self._cursor = candidates[begun - 1]
                self._reached = self._cursor.start
                yield
                yield from self._sweep()
                if most_pages != NO_PAGES and self._maintain(partial(self._are_few, most_pages)):
                    self._cursor = Cursor(*BEGINNING)
                    return
            if self.done.held - held >= MOST_HELD:
                return  # the next run goes on from here
            if (
                most_pages != NO_PAGES
                and self.done.windows - unpaid >= self._versions() // VERSIONS_PER_WINDOW
            ):
                unpaid = self.done.windows
                yield from self._tidying().audit_versions()  # else windows would go for the room that bodies take
                if self._maintain(partial(self._are_few, most_pages)):
                    break
        self._cursor = Cursor(*BEGINNING)

    def _candidates(self, ended_by: int) -> list[Cursor]:
        with self._read.one_moment():
            rows = self._read.connection.execute(
                "SELECT start, id FROM windows WHERE (start, id) > (?, ?) AND start < ? "
                "ORDER BY start, id LIMIT ?",
                (*self._cursor, ended_by, CANDIDATES),
            ).fetchall()
        return [Cursor(*row) for row in rows]

    def _remove_startless(self, before: int) -> Iterator[None]:
        """Remove windows whose object span has never come, if all of their spans are from before a time."""
        after = 0
        while rows := self._startless(after):
            after = rows[-1][0]
            old = [window for window, last, payload in rows if _last_of(last, payload) < before]
            while old:
                removed = self._take_away(old, before)
                del old[: removed.seen]
                yield
                yield from self._sweep()

    def _startless(self, after: int) -> list[tuple[int, int, bytes | None]]:
        with self._read.one_moment():
            return self._read.connection.execute(
                "SELECT id, last, (SELECT payload FROM spans s WHERE s.window = w.id LIMIT 1) FROM windows w "
                "WHERE start IS NULL AND id > ? ORDER BY id LIMIT ?",
                (after, CANDIDATES),
            ).fetchall()

    def _remove_foreign(self, now: int, *, max_age: int, max_bytes: int) -> Iterator[None]:
        """Remove spans of other tracing systems that are too old, or more than their part of the file, oldest first."""
        limit = self._limit(max_bytes) if max_bytes else self._max_bytes
        question = self._foreign.question(now=now, max_age=max_age, max_bytes=limit)
        while True:
            with self._read.one_moment():
                trace = self._foreign.next(self._read.connection, question)
            if trace is None:
                return
            self._timed(partial(self._foreign.remove, trace))
            yield

    def _take_away(self, windows: list[int], ended_by: int, most_pages: int = NO_PAGES) -> Removed:
        def work() -> Removed:
            end = time.monotonic() + PIECE_SECONDS
            return self._remover.remove(
                windows,
                ended_by=ended_by,
                sent=self._sent(),
                is_over=lambda: time.monotonic() >= end or self._are_few(most_pages),
            )

        return self._counted(work)

    def _are_few(self, most_pages: int) -> bool:
        return most_pages != NO_PAGES and schema.pages(self._connection).used <= most_pages

    def _sweep(self) -> Iterator[None]:
        """Remove the spans of windows that are gone, of a former run too."""
        while self._has_remains():
            self._counted(self._remover.sweep)
            yield

    def _has_remains(self) -> bool:
        with self._read.one_moment():
            return bool(
                self._read.connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM doomed) OR EXISTS "
                    "(SELECT 1 FROM spans WHERE window IS NULL AND position < (SELECT max(position) FROM spans))"
                ).fetchone()[0]
            )

    def _counted(self, work: Callable[[], Removed]) -> Removed:
        removed: Removed = self._timed(work)
        self.done.windows += removed.windows
        self.done.spans += removed.spans
        self.done.held += removed.held
        return removed

    def _timed(self, work: Callable[[], Any]) -> Any:
        begun = time.monotonic()
        answer = self._maintain(work)
        self.done.seconds += time.monotonic() - begun
        self._since_checkpoint += 1
        if self._since_checkpoint >= PIECES_PER_CHECKPOINT:
            self._checkpoint()
        return answer

    def _checkpoint(self) -> None:
        """Move the log into the file as far as readers allow, while others write: a large log would make them do it."""
        self._since_checkpoint = 0
        if self._beside is None:
            self._beside = schema.connect_beside(self._path)
        self._beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _give_back(self) -> Iterator[None]:
        """Make the file smaller where much of it is free; what is free in an older file is only used again."""
        with self._read.one_moment():
            connection = self._read.connection
            incremental = connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
            pages = schema.pages(connection)
        free = pages.all - pages.used
        if not incremental or free <= max(FREE_PAGES_KEPT, pages.all // 4):
            return
        for _ in range((free - pages.used // 8) // VACUUM_PAGES):
            self._timed(self._vacuum)
            yield
        self._checkpoint()

    def _vacuum(self) -> None:
        for _ in range(VACUUM_PAGES):  # Python's sqlite3 stops after one page, whatever number is asked for
            self._connection.execute("PRAGMA incremental_vacuum(1)")


def _last_of(last: int, payload: bytes | None) -> int:
    """When the last span of a window was over; of links alone, when the window began."""
    if last != schema.NO_LAST:
        return last
    return start_in(payload) if payload is not None else schema.NO_LAST
