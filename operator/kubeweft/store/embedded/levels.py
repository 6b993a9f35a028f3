"""Reading many objects at once: a level of a tree is a few statements, however many objects are in it.

A statement costs more than the rows it brings (measured: 1,000 objects in four windows each one by one are 9,000
statements and half of the time). So what is asked for goes into a statement as rows, hundreds at a time, and what
comes back is put in order here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.embedded.bulk import ManyRows
from kubeweft.store.embedded.packing import Place
from kubeweft.store.embedded.reading import Reading, held, window_at
from kubeweft.store.interfaces import Window, WindowQuestion

Row = tuple[int, int, bytes, bytes, bytes | int]  # window, position, span ID, payload, body

_PLACES = ManyRows(
    "WITH wanted(trace) AS (VALUES {}) SELECT w.id, w.trace, o.id, o.type, o.namespace, o.name "
    "FROM wanted CROSS JOIN windows w ON w.trace = wanted.trace CROSS JOIN objects o ON o.id = w.object",
    width=1,
)
_SPANS = ManyRows(
    "WITH wanted(window) AS (VALUES {}) SELECT s.window, s.position, s.span, s.payload, s.body "
    "FROM wanted CROSS JOIN spans s ON s.window = wanted.window",
    width=1,
)
_WINDOWS = ManyRows(
    "WITH wanted(number, type, namespace, name, earliest, until, since) AS (VALUES {}) "
    "SELECT wanted.number, w.start, w.length, w.trace, w.first FROM wanted CROSS JOIN objects o "
    "ON o.type = wanted.type AND o.namespace = wanted.namespace AND o.name = wanted.name "
    "CROSS JOIN windows w ON w.object = o.id AND w.start BETWEEN wanted.earliest AND wanted.until "
    "AND (w.start + w.length > wanted.since OR w.last >= wanted.since)",
    width=7,
)
_TYPE = "SELECT t.id FROM clusters c JOIN types t ON t.cluster = c.id WHERE c.name = ? AND t.grp = ? AND t.resource = ?"
_TYPE_NAME = (
    "SELECT c.name, t.grp, t.resource FROM types t JOIN clusters c ON c.id = t.cluster WHERE t.id = ?"
)


class LevelReading:
    """One question to a reading connection, within one moment."""

    def __init__(self, reading: Reading) -> None:
        """What is looked up on the way is remembered for this question only."""
        self._reading = reading
        self._connection = reading.connection
        self._types: dict[tuple[str, str, str], int] = {}
        self._type_names: dict[int, tuple[str, str, str]] = {}

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        """For each question the windows of its object that overlap its range of time, oldest first."""
        found: list[list[Window]] = [[] for _ in questions]
        reach = self._reading.reach
        values: list[Any] = []
        for number, (key, since, until) in enumerate(questions):
            kind = self._type(key)
            if kind:
                values += (
                    number,
                    kind,
                    key.namespace,
                    key.name,
                    held(since - reach),
                    held(until),
                    held(since),
                )
        for number, *row in _WINDOWS.read(self._connection, values):
            found[number].append(window_at(questions[number].key, row))
        for windows in found:
            windows.sort(key=lambda window: (window.start, window.length))
        return found

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """All spans of these traces: trace by trace as asked for, each in order of arrival."""
        wanted = list(dict.fromkeys(trace_ids))
        places = self._places(wanted)
        rows: dict[int, list[Row]] = {window: [] for window, _ in places.values()}
        for row in _SPANS.read(self._connection, list(rows)):
            rows[row[0]].append(row)
        unpack, bodies = self._reading.unpacker.unpack, self._reading.bodies
        spans: list[Span] = []
        for trace_id in wanted:
            if trace_id not in places:
                continue
            window, place = places[trace_id]
            for _, _, span_id, payload, packed in sorted(rows.pop(window)):
                body = bodies.unpack(place.type, packed) if isinstance(packed, bytes) else b""
                spans.append(unpack(place, span_id=span_id, payload=payload, body=body))
        return spans

    def _places(self, traces: Sequence[bytes]) -> dict[bytes, tuple[int, Place]]:
        """The number of each window, and where its spans belong; windows of one object share its key."""
        places: dict[bytes, tuple[int, Place]] = {}
        keys: dict[int, ObjectKey] = {}
        for window, trace, number, kind, namespace, name in _PLACES.read(
            self._connection, [*map(bytearray, traces)]
        ):
            key = keys.get(number)
            if key is None:
                key = keys[number] = ObjectKey(*self._type_name(kind), namespace, name)
            places[trace] = (window, Place(trace, key, kind))
        return places

    def _type(self, key: ObjectKey) -> int:
        """The number of a resource type; 0, which none has, if it is unknown."""
        named = key[:3]
        number = self._types.get(named)
        if number is None:
            row = self._connection.execute(_TYPE, named).fetchone()
            number = self._types[named] = 0 if row is None else row[0]
        return number

    def _type_name(self, number: int) -> tuple[str, str, str]:
        name = self._type_names.get(number)
        if name is None:
            name = self._type_names[number] = self._connection.execute(_TYPE_NAME, (number,)).fetchone()
        return name
