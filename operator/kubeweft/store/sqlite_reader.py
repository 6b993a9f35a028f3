"""Reading the embedded store, which another process may be writing meanwhile.

Every public method may be called from any thread and sees the store as of one moment.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.embedded import schema
from kubeweft.store.embedded.failures import told_clearly
from kubeweft.store.embedded.foreign import has_foreign, read_foreign
from kubeweft.store.embedded.levels import LevelReading
from kubeweft.store.embedded.reading import Reading
from kubeweft.store.embedded.searching import Search
from kubeweft.store.interfaces import (
    AuditVersion,
    FoundForeign,
    FoundObject,
    ObjectQuery,
    Places,
    Resume,
    Window,
    WindowQuestion,
)

MOST_IDLE_READINGS = 4


class SqliteReader:
    """An existing store, for reading only. Each thread that reads at the same time has its own connection."""

    def __init__(self, path: str | Path) -> None:
        """Open it; raises UserError if there is none, or if it is not ours."""
        self._path = str(path)
        self._closed = False
        self._idle = [Reading(self._path)]
        self._idle_lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._idle_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reading in idle:
            reading.close()

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """All spans of these traces, each trace in order of arrival; unknown IDs are skipped."""
        with self._reading() as reading:
            return LevelReading(reading).spans_of(trace_ids)

    def spans_after(self, position: int, *, limit: int) -> list[tuple[int, Span]]:
        """The next spans after ``position``, oldest first."""
        with self._reading() as reading:
            return reading.spans_after(position, limit)

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        """The windows of one object that overlap a range of time, both ends included, oldest first."""
        with self._reading() as reading:
            return reading.windows_of(key, since=since, until=until)

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        """The answers of ``windows_of`` to many questions, in their order."""
        with self._reading() as reading:
            return LevelReading(reading).windows_of_many(questions)

    def window_of(self, trace_id: bytes) -> Window | None:
        """The stored window that a trace ID names; None if there is none."""
        with self._reading() as reading:
            return reading.window_of(trace_id)

    def nearest_window(self, key: ObjectKey, *, before: int) -> Window | None:
        """The last window of an object that begins at or before a time."""
        with self._reading() as reading:
            return reading.nearest_window(key, before)

    def recent_windows(self, since: int) -> list[Window]:
        """All windows that had not ended at ``since``, oldest first."""
        with self._reading() as reading:
            return reading.recent_windows(since)

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        """Objects that match, those with the latest span first; at most ``query.limit`` + 1."""
        with self._reading() as reading:
            return Search(reading, query).run()

    def places_of(self, query: ObjectQuery, *, most: int) -> Places:
        """Types and namespaces of the objects that a query means, those with the most objects first."""
        with self._reading() as reading:
            return Search(reading, query).places(most)

    def clusters(self) -> list[str]:
        """The names of all clusters that have spans."""
        with self._reading() as reading:
            return reading.clusters()

    def known_resources(self) -> list[tuple[str, str, str]]:
        """All (group, resource, kind) that have spans."""
        with self._reading() as reading:
            return reading.known_resources()

    def resume(self, cluster: str, group: str, resource: str) -> Resume | None:
        """Where the watch of one resource type had come to; None if it has never been checkpointed."""
        with self._reading() as reading:
            return reading.resume(cluster, group, resource)

    def bookmark(self, name: str) -> bytes | None:
        """How far a source has read that is no watch; None if it has never said so."""
        with self._reading() as reading:
            return reading.bookmark(name)

    def oldest_kept(self) -> int:
        """The time before which retention has removed something, in nanoseconds; 0 if it never has."""
        with self._reading() as reading:
            return int(schema.meta(reading.connection, "oldest_kept"))

    def audit_versions(self, cluster: str, uid: str) -> list[AuditVersion]:
        """What audit logs have shown of one object, in the order of its versions."""
        with self._reading() as reading:
            return reading.audit_versions(cluster, uid)

    def has_foreign(self) -> bool:
        """Whether any spans of other tracing systems can be found."""
        with self._reading() as reading:
            return has_foreign(reading.connection)

    def foreign_of(
        self, joins: Sequence[tuple[str, str]], *, since: int, until: int, most_traces: int, most_spans: int
    ) -> FoundForeign:
        """The traces of other tracing systems with a span that has one of these (attribute, value) in a range of time."""
        with self._reading() as reading:
            return read_foreign(
                reading.connection,
                joins,
                since=since,
                until=until,
                most_traces=most_traces,
                most_spans=most_spans,
            )

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        """A connection for this thread; what is read within is of one moment."""
        with told_clearly(self._path):
            with self._idle_lock:
                reading = self._idle.pop() if self._idle else None
            reading = reading or Reading(self._path)
            try:
                with reading.one_moment():
                    yield reading
            except BaseException:
                reading.close()  # whatever happened to it, the next reader begins afresh
                raise
            with self._idle_lock:
                if len(self._idle) < MOST_IDLE_READINGS and not self._closed:
                    self._idle.append(reading)
                    return
            reading.close()
