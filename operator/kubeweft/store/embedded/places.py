"""Clusters, resource types, objects and windows as small numbers, inside a transaction of a writing connection.

What is known of a row only grows, and the number of a window is never used again: so a remembered number stays right
until retention removes rows, which the store notices at the beginning of its next transaction. A transaction that is
rolled back takes its numbers with it: then everything is forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.embedded.bulk import ManyRows
from kubeweft.store.embedded.schema import NO_FIRST, NO_LAST

HIGHEST_WINDOW = "SELECT max((SELECT coalesce(max(id), 0) FROM windows), (SELECT value FROM meta WHERE name = 'last_window'))"
MOST_WINDOWS = 32_768  # remembered at once; others cost a look-up

_FIND_WINDOWS = ManyRows(
    "WITH wanted(trace) AS (VALUES {}) SELECT w.id, w.trace, w.start, w.first, w.last, o.type "
    "FROM wanted CROSS JOIN windows w ON w.trace = wanted.trace CROSS JOIN objects o ON o.id = w.object",
    width=1,
)
_FIND_OBJECTS = ManyRows(
    "WITH wanted(type, namespace, name) AS (VALUES {}) SELECT o.id, o.type, o.namespace, o.name "
    "FROM wanted CROSS JOIN objects o "
    "ON o.type = wanted.type AND o.namespace = wanted.namespace AND o.name = wanted.name",
    width=3,
)
_ADD_OBJECTS = ManyRows("INSERT INTO objects(id, type, namespace, name) VALUES {}", width=4)
_ADD_WINDOWS = ManyRows(
    "INSERT INTO windows(id, trace, object, start, length, first, last) VALUES {}", width=7
)
_WIDEN_WINDOWS = ManyRows(
    "WITH seen(id, first, last) AS (VALUES {}) "
    "UPDATE windows SET first = min(windows.first, seen.first), last = max(windows.last, seen.last) "
    "FROM seen WHERE windows.id = seen.id",
    width=3,
)


class TypeRow:
    """One resource type of one cluster."""

    __slots__ = ("id", "kind")

    def __init__(self, number: int, kind: str) -> None:
        self.id = number
        self.kind = kind


class WindowRow:
    """One window: what is stored of it, and what this transaction adds.

    ``object`` is 0 once the row is stored; ``begins`` tells whether its ``start`` is stored with it. A window has no
    start until its object span has been seen.
    """

    __slots__ = ("begins", "first", "id", "last", "length", "object", "start", "trace", "type")

    def __init__(self, number: int, trace: bytes, type_row: TypeRow) -> None:
        self.id = number
        self.trace = trace
        self.type = type_row
        self.object = 0
        self.begins = False
        self.start: int | None = None
        self.length: int | None = None
        self.first = NO_FIRST
        self.last = NO_LAST


class Places:
    """The numbers, and what is remembered of them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Everything is looked up as it is needed."""
        self._connection = connection
        self._clusters: dict[str, int] = {}
        self._types: dict[tuple[str, str, str], TypeRow] = {}
        self._types_by_id: dict[int, TypeRow] = {}
        self._windows: dict[bytes, WindowRow] = {}
        self._reach = 0

    def forget(self) -> None:
        """Forget everything: the transaction has been rolled back."""
        self._clusters.clear()
        self._types.clear()
        self._types_by_id.clear()
        self._windows.clear()
        self._reach = 0

    def forget_windows(self, traces: Iterable[bytes] | None = None) -> None:
        """Forget these windows, or all: they have been removed."""
        if traces is None:
            self._windows.clear()
            return
        for trace in traces:
            self._windows.pop(trace, None)

    def cluster(self, name: str) -> int:
        """The number of a cluster, which may be new."""
        number = self._clusters.get(name)
        if number is None:
            self._connection.execute("INSERT OR IGNORE INTO clusters(name) VALUES(?)", (name,))
            row = self._connection.execute("SELECT id FROM clusters WHERE name = ?", (name,)).fetchone()
            number = self._clusters[name] = int(row[0])
        return number

    def type(self, cluster: str, group: str, resource: str) -> TypeRow:
        """A resource type of a cluster, which may be new."""
        known = self._types.get((cluster, group, resource))
        if known is not None:
            return known
        values = (self.cluster(cluster), group, resource)
        self._connection.execute(
            "INSERT OR IGNORE INTO types(cluster, grp, resource) VALUES(?, ?, ?)", values
        )
        number, kind = self._connection.execute(
            "SELECT id, kind FROM types WHERE cluster = ? AND grp = ? AND resource = ?", values
        ).fetchone()
        row = self._types[cluster, group, resource] = self._types_by_id[number] = TypeRow(number, kind)
        return row

    def learn_kind(self, row: TypeRow, kind: str) -> None:
        """Remember which kind a resource type is."""
        self._connection.execute("UPDATE types SET kind = ? WHERE id = ?", (kind, row.id))
        row.kind = kind

    def windows_of(self, spans: Iterable[Span]) -> tuple[Mapping[bytes, WindowRow], list[WindowRow]]:
        """The windows of spans by trace ID, and those of them that are new, for ``save`` to write."""
        windows = self._windows
        if len(windows) > MOST_WINDOWS:
            windows.clear()
        unknown = {span.trace_id: span.key for span in spans if span.trace_id not in windows}
        if unknown:
            self._find(unknown)
        return windows, self._begin(unknown) if unknown else []

    def save(self, changed: Iterable[WindowRow]) -> None:
        """Write windows that are new, or that hold more than they did."""
        new: list[object] = []
        wider: list[object] = []
        late: list[tuple[int, int | None, int]] = []
        reach = self._reach
        for row in changed:
            if row.start is not None:
                reach = max(reach, row.last - row.start, row.length or 0)
            if row.object:
                new += (row.id, bytearray(row.trace), row.object, row.start, row.length, row.first, row.last)
                row.object = 0
            else:
                wider += (row.id, row.first, row.last)
                if row.start is not None and not row.begins:
                    late.append((row.start, row.length, row.id))
            row.begins = row.start is not None
        _ADD_WINDOWS.write(self._connection, new)
        _WIDEN_WINDOWS.write(self._connection, wider)
        # Apart from the widening, which is frequent: setting an indexed column rewrites its indexes.
        self._connection.executemany("UPDATE windows SET start = ?, length = ? WHERE id = ?", late)
        if reach > self._reach:
            self._reach = reach
            self._connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'reach'", (reach,))

    def _find(self, unknown: dict[bytes, ObjectKey]) -> None:
        for number, trace, start, first, last, kind in _FIND_WINDOWS.read(
            self._connection, [*map(bytearray, unknown)]
        ):
            key = unknown.pop(trace)
            row = WindowRow(number, trace, self._types_by_id.get(kind) or self.type(*key[:3]))
            row.start, row.first, row.last = start, first, last
            row.begins = start is not None
            self._windows[trace] = row

    def _begin(self, unknown: dict[bytes, ObjectKey]) -> list[WindowRow]:
        new = []
        objects = self._objects(set(unknown.values()))
        number = self._connection.execute(HIGHEST_WINDOW).fetchone()[0]
        for trace, key in unknown.items():
            number += 1
            row = self._windows[trace] = WindowRow(number, trace, self.type(*key[:3]))
            row.object = objects[row.type.id, key.namespace, key.name]
            new.append(row)
        return new

    def _objects(self, keys: Iterable[ObjectKey]) -> dict[tuple[int, str, str], int]:
        """The numbers of objects by type number, namespace and name; new ones are written."""
        wanted = dict.fromkeys((self.type(*key[:3]).id, key.namespace, key.name) for key in keys)
        values: list[object] = [value for row in wanted for value in row]
        found = {row[1:]: row[0] for row in _FIND_OBJECTS.read(self._connection, values)}
        number = self._connection.execute("SELECT coalesce(max(id), 0) FROM objects").fetchone()[0]
        new: list[object] = []
        for row in wanted:
            if row not in found:
                number += 1
                found[row] = number
                new += (number, *row)
        _ADD_OBJECTS.write(self._connection, new)
        return found
