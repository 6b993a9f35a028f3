"""Reading by ID, by object and in order of arrival, on one read-only connection.

Every query follows an index from what is asked to what is stored of it. Where a span is longer than its window, the
window counts as long as the span: ``reach``, the longest any has ever been, says how far back one has to look.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.embedded import schema
from kubeweft.store.embedded.bodies import BodyUnpacker
from kubeweft.store.embedded.packing import Place, Unpacker
from kubeweft.store.interfaces import AuditVersion, Resume, StoredVersion, Window

MOST_PLACES = 20_000  # remembered at once
SMALLEST, LARGEST = -(2**63), 2**63 - 1  # what SQLite's integers hold

_PLACE = (
    "SELECT w.trace, c.name, t.grp, t.resource, o.namespace, o.name, t.id, w.id FROM windows w "
    "JOIN objects o ON o.id = w.object JOIN types t ON t.id = o.type JOIN clusters c ON c.id = t.cluster "
)
_WINDOW = (
    "SELECT w.start, w.length, w.trace, w.first, c.name, t.grp, t.resource, o.namespace, o.name "
    "FROM windows w CROSS JOIN objects o ON o.id = w.object JOIN types t ON t.id = o.type "
    "JOIN clusters c ON c.id = t.cluster "
)


class Reading:
    """One connection and what it remembers; for one thread at a time."""

    def __init__(self, path: str) -> None:
        """Open the store for reading."""
        self.connection = schema.connect_reader(path)
        self.unpacker = Unpacker(self.connection)
        self.bodies = BodyUnpacker(self.connection)
        self._places: dict[int, Place] = {}
        self._era = 0

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """What is read within is the store as of one moment."""
        self.connection.execute("BEGIN")
        try:
            self._notice_removal()
            yield
        finally:
            if (
                self.connection.in_transaction
            ):  # SQLite may have ended it by itself, on a failing disk for one
                self.connection.execute("COMMIT")

    def _notice_removal(self) -> None:
        """Retention may have given numbers of types and texts free, which are used again."""
        era = int(schema.meta(self.connection, "era"))
        if era != self._era:
            self._era = era
            self.unpacker.forget()
            self.bodies.forget()
            self._places.clear()

    @property
    def reach(self) -> int:
        """How long after its window's beginning any span has ended, at most; in nanoseconds."""
        return int(schema.meta(self.connection, "reach"))

    def spans_in(self, window: int, place: Place, *, bodies: bool = True) -> Iterator[Span]:
        """The spans of one window by its number, in order of arrival."""
        body = "body" if bodies else "0"
        query = f"SELECT span, payload, {body} FROM spans WHERE window = ? ORDER BY position"
        for span_id, payload, packed in self.connection.execute(query, (window,)):
            yield self._span(place, span_id=span_id, payload=payload, packed=packed)

    def spans_after(self, position: int, limit: int) -> list[tuple[int, Span]]:
        """The next spans after a position."""
        rows = self.connection.execute(
            "SELECT position, window, span, payload, body FROM spans WHERE position > ? AND window IS NOT NULL "
            f"{self._not_doomed()} ORDER BY position LIMIT ?",
            (position, limit),
        ).fetchall()
        return [
            (at, self._span(self.place(window), span_id=span_id, payload=payload, packed=packed))
            for at, window, span_id, payload, packed in rows
        ]

    def _not_doomed(self) -> str:
        """A condition on spans: their window is not being removed; nothing in files that do not know of removal."""
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        return "AND window NOT IN (SELECT window FROM doomed)" if version >= 2 else ""

    def place(self, window: int) -> Place:
        """Where the spans of a window belong, by its number."""
        place = self._places.get(window)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            row = self.connection.execute(f"{_PLACE} WHERE w.id = ?", (window,)).fetchone()
            place = self._places[window] = _place(row)
        return place

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        """The windows of one object that overlap a range of time."""
        number = self.object_number(key)
        rows = self.connection.execute(
            "SELECT start, length, trace, first FROM windows WHERE object = ? AND start BETWEEN ? AND ? "
            "AND (start + length > ? OR last >= ?) ORDER BY start, length",
            (number, self.earliest(since), held(until), held(since), held(since)),
        )
        return [window_at(key, row) for row in rows]

    def window_of(self, trace_id: bytes) -> Window | None:
        """The window that a trace ID names."""
        row = self.connection.execute(
            f"{_WINDOW} WHERE w.trace = ? AND w.start NOT NULL", (trace_id,)
        ).fetchone()
        return None if row is None else window_at(ObjectKey(*row[4:]), row[:4])

    def nearest_window(self, key: ObjectKey, before: int) -> Window | None:
        """The last window of an object that begins at or before a time."""
        row = self.connection.execute(
            "SELECT start, length, trace, first FROM windows WHERE object = ? AND start <= ? "
            "ORDER BY start DESC LIMIT 1",
            (self.object_number(key), held(before)),
        ).fetchone()
        return None if row is None else window_at(key, row)

    def recent_windows(self, since: int) -> list[Window]:
        """All windows that had not ended at a time, oldest first."""
        rows = self.connection.execute(
            f"{_WINDOW} WHERE w.start >= ? AND w.start + w.length > ? ORDER BY w.start, w.id",
            (self.earliest(since), held(since)),
        )
        return [window_at(ObjectKey(*row[4:]), row[:4]) for row in rows]

    def earliest(self, since: int) -> int:
        """The earliest beginning of a window that may reach to ``since``."""
        return held(since - self.reach)

    def object_number(self, key: ObjectKey) -> int:
        """The number of an object; -1, which none has, if it is unknown."""
        row = self.connection.execute(
            "SELECT o.id FROM clusters c JOIN types t ON t.cluster = c.id JOIN objects o ON o.type = t.id "
            "WHERE c.name = ? AND t.grp = ? AND t.resource = ? AND o.namespace = ? AND o.name = ?",
            key,
        ).fetchone()
        return -1 if row is None else int(row[0])

    def clusters(self) -> list[str]:
        """The names of clusters that have spans."""
        rows = self.connection.execute(
            "SELECT name FROM clusters c WHERE EXISTS (SELECT 1 FROM types t JOIN objects o ON o.type = t.id "
            "WHERE t.cluster = c.id) ORDER BY name"
        )
        return [name for (name,) in rows]

    def known_resources(self) -> list[tuple[str, str, str]]:
        """All (group, resource, kind) that have spans."""
        rows = self.connection.execute(
            "SELECT grp, resource, max(kind) FROM types t WHERE EXISTS (SELECT 1 FROM objects o WHERE o.type = t.id) "
            "GROUP BY grp, resource ORDER BY grp, resource"
        )
        return [(group, resource, kind) for group, resource, kind in rows]

    def resume(self, cluster: str, group: str, resource: str) -> Resume | None:
        """Where the watch of one resource type had come to."""
        row = self.connection.execute(
            "SELECT p.type, p.version, p.time FROM clusters c JOIN types t ON t.cluster = c.id "
            "JOIN progress p ON p.type = t.id WHERE c.name = ? AND t.grp = ? AND t.resource = ?",
            (cluster, group, resource),
        ).fetchone()
        if row is None:
            return None
        kind, version, time = row
        versions = self.connection.execute(
            "SELECT namespace, name, uid, version, snapshot_window, dictionary, body, owners FROM versions "
            "WHERE type = ? ORDER BY uid",
            (kind,),
        )
        dictionaries = self.connection.execute(
            "SELECT number, content FROM watch_dictionaries WHERE type = ? ORDER BY number", (kind,)
        )
        return Resume(version, time, [StoredVersion(*one) for one in versions], dictionaries.fetchall())

    def bookmark(self, name: str) -> bytes | None:
        """How far a source has read."""
        if self.connection.execute("PRAGMA user_version").fetchone()[0] < 2:
            return None
        row = self.connection.execute("SELECT value FROM bookmarks WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def audit_versions(self, cluster: str, uid: str) -> list[AuditVersion]:
        """What audit logs have shown of one object; versions are decimal numbers, and ordered as such."""
        rows = self.connection.execute(
            "SELECT t.id, t.grp, t.resource, a.namespace, a.name, a.version, a.time, a.created, a.deleted, a.kind, "
            "a.api_version, a.body FROM clusters c JOIN audit_versions a ON a.cluster = c.id JOIN types t ON t.id = a.type "
            "WHERE c.name = ? AND a.uid = ? ORDER BY length(a.version), a.version",
            (cluster, uid),
        )
        return [self._audit_version(cluster, uid, row) for row in rows]

    def _audit_version(self, cluster: str, uid: str, row: tuple[Any, ...]) -> AuditVersion:
        (
            kind,
            group,
            resource,
            namespace,
            name,
            version,
            time,
            created,
            deleted,
            object_kind,
            api_version,
            body,
        ) = row
        return AuditVersion(
            cluster=cluster,
            group=group,
            resource=resource,
            namespace=namespace,
            name=name,
            uid=uid,
            version=version,
            time=time,
            created=bool(created),
            deleted=bool(deleted),
            kind=object_kind,
            api_version=api_version,
            body=self.bodies.unpack(kind, body),
        )

    def _span(self, place: Place, *, span_id: bytes, payload: bytes, packed: bytes | int) -> Span:
        body = self.bodies.unpack(place.type, packed) if isinstance(packed, bytes) else b""
        return self.unpacker.unpack(place, span_id=span_id, payload=payload, body=body)


def held(time: int) -> int:
    """A time that SQLite can hold: the nearest one, where somebody asks beyond."""
    return max(SMALLEST, min(time, LARGEST))


def window_at(key: ObjectKey, row: tuple[int, int, bytes, int]) -> Window:
    """A window of an object from its row."""
    start, length, trace, first = row
    return Window(key, start, length, trace, first != schema.NO_FIRST)


def _place(row: tuple[bytes, str, str, str, str, str, int, int]) -> Place:
    return Place(row[0], ObjectKey(*row[1:6]), row[6])
