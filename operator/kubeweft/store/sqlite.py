"""The embedded store: one SQLite file that is written in transactions and read by any number of processes.

What is written is on disk when ``write`` returns: a kill or a power loss takes nothing back. Every public method may
be called from any thread; those that write wait for each other and for the disk, so none of them may be called from an
event loop, for which there is :class:`kubeweft.store.writer.Writer`. A second process may write to the same file
(``kubeweft import`` beside ``run``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from kubeweft.model.spans import Span
from kubeweft.store.embedded import schema
from kubeweft.store.embedded.bodies import BodyPacker
from kubeweft.store.embedded.failures import StoreFull, told_clearly
from kubeweft.store.embedded.foreign import ForeignRecorder
from kubeweft.store.embedded.housekeeping import Housekeeping
from kubeweft.store.embedded.packing import Packer
from kubeweft.store.embedded.places import HIGHEST_WINDOW, Places
from kubeweft.store.embedded.recording import SpanRecorder
from kubeweft.store.embedded.remembering import Rememberer
from kubeweft.store.embedded.tidying import MANY_TEXTS
from kubeweft.store.interfaces import Batch, StoreStatistics, Written
from kubeweft.store.sqlite_reader import SqliteReader

Answer = TypeVar("Answer")


class SqliteStore(SqliteReader):
    """A store for writing and reading, created if there is none (mode 0600)."""

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = 0,
        max_pending: int = 0,
        busy_seconds: float = schema.BUSY_SECONDS,
    ) -> None:
        """Open or create it.

        ``max_bytes`` limits the file (beside it lies a log of at most about 64 MiB), ``max_pending`` how many spans
        an active exporter may lag behind; 0 is no limit. ``busy_seconds`` is how long to wait for another process.
        """
        self._connection = schema.connect_writer(str(path), max_bytes=max_bytes, busy_seconds=busy_seconds)
        self._lock = threading.Lock()
        self._max_bytes = max_bytes
        self._max_pending = max_pending
        self._active: frozenset[str] | None = None  # until somebody has said: then all that are known count
        self._full = False
        self._places = Places(self._connection)
        self._bodies = BodyPacker(self._connection)
        self._packer = Packer(self._connection)
        self._spans = SpanRecorder(
            self._connection, places=self._places, packer=self._packer, bodies=self._bodies
        )
        self._foreign = ForeignRecorder(self._connection)
        self._memory = Rememberer(self._connection, places=self._places, bodies=self._bodies)
        self._seen = (0, 0)  # what others have removed is noticed by a change of these
        self.install_key = bytes(schema.meta(self._connection, "install_key"))  # type: ignore[arg-type]  # is a BLOB
        self.uid = str(schema.meta(self._connection, "uid"))
        super().__init__(path)

    @staticmethod
    def open_reader(path: str | Path) -> SqliteReader:
        """Open an existing store for reading only."""
        return SqliteReader(path)

    def close(self) -> None:
        """Close it; what has been written stays."""
        super().close()
        with self._lock, told_clearly(self._path):
            self._connection.close()

    def write(self, batch: Batch) -> Written:
        """Write one batch. It is durable when this returns; if it raises, nothing of it has been written.

        Raises NotNow where there is no room, too much is pending, or another process writes for too long.
        """
        return self.write_group((batch,))

    def write_group(self, batches: Sequence[Batch]) -> Written:
        """Write several batches, in their order, in one transaction: all of them or none."""
        try:
            written = self._transaction(lambda: self._apply(batches))
        except StoreFull:
            self._full = True
            raise
        if any(batch.spans for batch in batches):
            self._full = False
        return written

    def activate_exporters(self, names: Iterable[str]) -> None:
        """Say which exporters are in use: only these hold writing up when they lag behind."""
        active = frozenset(names)
        self._transaction(lambda: self._known_exporters(active))
        self._active = active

    def export_position(self, exporter: str) -> int:
        """How far an exporter has come; an unknown one begins now, or at 0 while the store has never had another."""
        return self._transaction(lambda: self._known_exporters((exporter,)))[exporter]

    def save_export_position(self, exporter: str, position: int) -> None:
        """Remember that all spans up to ``position`` have been accepted by the receiver."""
        self.write(Batch(export_positions=((exporter, position),)))

    def newest_position(self) -> int:
        """The position of the newest span, 0 if there is none."""
        return self._transaction(self._position)

    def statistics(self) -> StoreStatistics:
        """How full the store is, without counting rows."""
        with self._reading() as reading:
            connection = reading.connection
            positions = dict(
                connection.execute("SELECT name, position FROM exporters ORDER BY name").fetchall()
            )
            position, windows = connection.execute(
                f"SELECT (SELECT coalesce(max(position), 0) FROM spans), ({HIGHEST_WINDOW})"
            ).fetchone()
            removed, windows_removed, oldest_kept = (
                int(schema.meta(connection, name)) for name in ("removed", "windows_removed", "oldest_kept")
            )
            pages = schema.pages(connection)
        lag = [position - positions[name] for name in self._active or () if name in positions]
        return StoreStatistics(
            spans=position - removed,
            windows=windows - windows_removed,
            bytes=pages.used * schema.PAGE_SIZE,
            file_bytes=pages.all * schema.PAGE_SIZE,
            oldest_kept=oldest_kept,
            max_bytes=self._max_bytes,
            position=position,
            positions=positions,
            pending=max(lag, default=0),
            max_pending=self._max_pending,
            full=self._full,
        )

    def housekeeping(self, *, many_texts: int = MANY_TEXTS) -> Housekeeping:
        """What keeps this store from growing without end; to be used by one thread, and closed before the store.

        From ``many_texts`` on, texts are cleared away that no span uses.
        """
        return Housekeeping(
            self._path,
            connection=self._connection,
            places=self._places,
            maintain=self._maintain,
            sent=self._sent,
            max_bytes=self._max_bytes,
            many_texts=many_texts,
        )

    def _maintain(self, work: Callable[[], Answer]) -> Answer:
        """A short transaction between two writes. It makes nobody wait for the disk, and takes room where there is none.

        After a power loss it may not have happened, unless something has been written since: then it may be repeated.
        """
        with self._lock, told_clearly(self._path):
            connection = self._connection
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "PRAGMA wal_autocheckpoint = 0"
            )  # housekeeping does so beside us, and not under the lock
            schema.limit_pages(connection, 0)
            try:
                return self._in_transaction(work, is_removal=True)
            finally:
                schema.limit_pages(connection, self._max_bytes)
                connection.execute(f"PRAGMA wal_autocheckpoint = {schema.CHECKPOINT_PAGES}")
                connection.execute("PRAGMA synchronous = FULL")

    def _transaction(self, work: Callable[[], Answer]) -> Answer:
        with self._lock, told_clearly(self._path):
            return self._in_transaction(work)

    def _in_transaction(self, work: Callable[[], Answer], *, is_removal: bool = False) -> Answer:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._notice_removal()
            answer = work()
            seen = self._removals() if is_removal else self._seen
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite may have rolled back by itself, on a full disk for one
                connection.execute("ROLLBACK")
            self._forget()
            raise
        if seen != self._seen:
            if seen[0] != self._seen[0]:
                self._forget()
            self._seen = seen  # of its own removal of windows, housekeeping has told the places by itself
        return answer

    def _notice_removal(self) -> None:
        """Forget what another process may have removed since the last transaction."""
        seen = self._removals()
        if seen == self._seen:
            return
        if seen[0] != self._seen[0]:
            self._forget()
        self._places.forget_windows()
        self._seen = seen

    def _removals(self) -> tuple[int, int]:
        era, windows = self._connection.execute(
            "SELECT (SELECT value FROM meta WHERE name = 'era'), (SELECT value FROM meta WHERE name = 'windows_removed')"
        ).fetchone()
        return era, windows

    def _forget(self) -> None:
        for memory in (self._places, self._bodies, self._packer):
            memory.forget()

    def _sent(self) -> int:
        """Up to which position every active exporter has sent; within a transaction."""
        positions = dict(self._connection.execute("SELECT name, position FROM exporters").fetchall())
        active = positions.keys() if self._active is None else self._active
        return min((positions[name] for name in active if name in positions), default=schema.NO_FIRST)

    def _apply(self, batches: Sequence[Batch]) -> Written:
        count = sum(len(batch.spans) for batch in batches)
        if count:
            self._check_pending(count)
        added = 0
        for spans, removed in _steps(batches):
            self._spans.remove(removed)
            added += self._spans.add(spans) if spans else 0
        for batch in batches:
            for cluster in batch.replaced:
                self._memory.forget_watches(cluster)
            for checkpoint in batch.checkpoints:
                self._memory.save_checkpoint(checkpoint)
            if batch.audit_versions:
                self._memory.add_audit_versions(batch.audit_versions)
            for exporter, position in batch.export_positions:
                self._memory.save_export_position(exporter, position)
            if batch.foreign:
                self._foreign.add(batch.foreign)
            for name, value in batch.bookmarks:
                self._memory.save_bookmark(name, value)
        return Written(self._position(), added)

    def _known_exporters(self, names: Iterable[str]) -> dict[str, int]:
        """The positions of all exporters, after making new ones of ``names`` known."""
        known: dict[str, int] = dict(
            self._connection.execute("SELECT name, position FROM exporters").fetchall()
        )
        begin = self._position() if known else 0
        for name in names:
            if name not in known:
                self._memory.save_export_position(name, begin)
                known[name] = begin
        return known

    def _check_pending(self, count: int) -> None:
        """Refuse what would leave too much for the slowest exporter; a batch over the limit may go alone."""
        if not self._max_pending or not self._active:
            return
        positions = self._known_exporters(self._active)
        pending = self._position() - min(positions[name] for name in self._active)
        if pending and pending + count > self._max_pending:
            slowest = min(self._active, key=lambda name: (positions[name], name))
            raise StoreFull(f"the exporter {slowest!r} has {pending} spans still to send")

    def _position(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(position), 0) FROM spans").fetchone()[0])


def _steps(batches: Sequence[Batch]) -> Iterator[tuple[list[Span], Sequence[tuple[bytes, bytes]]]]:
    """What to remove and then to add: batches that remove nothing go with those before them."""
    spans: list[Span] = []
    removed: Sequence[tuple[bytes, bytes]] = ()
    for batch in batches:
        if batch.removed:
            if spans or removed:
                yield spans, removed
            spans, removed = [], batch.removed
        spans.extend(batch.spans)
    if spans or removed:
        yield spans, removed
