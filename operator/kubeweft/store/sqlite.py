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
from kubeweft.store.embedded.packing import Packer
from kubeweft.store.embedded.places import Places
from kubeweft.store.embedded.recording import SpanRecorder
from kubeweft.store.embedded.remembering import Rememberer
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
        self._active: frozenset[str] = frozenset()
        self._full = False
        self._places = Places(self._connection)
        self._bodies = BodyPacker(self._connection)
        self._packer = Packer(self._connection)
        self._spans = SpanRecorder(
            self._connection, places=self._places, packer=self._packer, bodies=self._bodies
        )
        self._memory = Rememberer(self._connection, places=self._places, bodies=self._bodies)
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
            position, windows, pages = connection.execute(
                "SELECT (SELECT coalesce(max(position), 0) FROM spans), (SELECT coalesce(max(id), 0) FROM windows), "
                "(SELECT page_count FROM pragma_page_count)"
            ).fetchone()
            removed = int(schema.meta(connection, "removed"))
        lag = [position - positions[name] for name in self._active if name in positions]
        return StoreStatistics(
            spans=position - removed,
            windows=windows,
            bytes=pages * schema.PAGE_SIZE,
            max_bytes=self._max_bytes,
            position=position,
            positions=positions,
            pending=max(lag, default=0),
            max_pending=self._max_pending,
            full=self._full,
        )

    def _transaction(self, work: Callable[[], Answer]) -> Answer:
        with self._lock, told_clearly(self._path):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = work()
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may have rolled back by itself, on a full disk for one
                    connection.execute("ROLLBACK")
                for memory in (self._places, self._bodies, self._packer):
                    memory.forget()
                raise
            return answer

    def _apply(self, batches: Sequence[Batch]) -> Written:
        count = sum(len(batch.spans) for batch in batches)
        if count:
            self._check_pending(count)
        added = 0
        for spans, removed in _steps(batches):
            self._spans.remove(removed)
            added += self._spans.add(spans) if spans else 0
        for batch in batches:
            for checkpoint in batch.checkpoints:
                self._memory.save_checkpoint(checkpoint)
            if batch.audit_versions:
                self._memory.add_audit_versions(batch.audit_versions)
            for exporter, position in batch.export_positions:
                self._memory.save_export_position(exporter, position)
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
