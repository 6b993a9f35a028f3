"""Writing spans: the hot path.

Rows are built in one pass over the spans and written a few hundred at a time. A span that is known already is left as
it is, and costs no position. A removed span leaves an empty row behind, so that no position is ever used twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from kubeweft.store.embedded.bodies import BodyPacker
from kubeweft.store.embedded.bulk import ManyRows
from kubeweft.store.embedded.packing import Packer
from kubeweft.store.embedded.places import Places, WindowRow

_ADD_SPANS = ManyRows(
    "INSERT OR IGNORE INTO spans(window, span, payload, body) VALUES {}",
    width=4,
)
TIMELESS = frozenset({"object", "link"})  # they last as long as their window, or begin with it
NO_BODY = 0
OF_THE_OBJECT = frozenset(
    {"change", "object"}
)  # whose kind is the object's own, and not that of a subresource


class SpanRecorder:
    """Writes and removes spans, inside a transaction of a writing connection."""

    def __init__(
        self, connection: sqlite3.Connection, *, places: Places, packer: Packer, bodies: BodyPacker
    ) -> None:
        """``places``, ``packer`` and ``bodies`` work on the same connection."""
        self._connection = connection
        self._places = places
        self._bodies = bodies
        self._packer = packer

    def add(self, spans: list[Span]) -> int:
        """Write spans; gives how many were not known before."""
        windows, new = self._places.windows_of(spans)
        changed = dict.fromkeys(new)
        self._packer.learn(spans)
        pack, kind_name = self._packer.pack, v.KIND
        rows: list[object] = []
        for span in spans:
            window = windows[span.trace_id]
            if span.source in TIMELESS:
                if span.source == "object" and window.start is None:
                    window.start, window.length = span.start, span.end - span.start
                    changed[window] = None
            elif span.start < window.first or span.end > window.last:
                window.first = min(window.first, span.start)
                window.last = max(window.last, span.end)
                changed[window] = None
            kind = span.attributes.get(kind_name)
            if kind is not None and kind != window.type.kind:
                self._learn_kind(window, span, str(kind))
            body = bytearray(self._bodies.pack(window.type.id, span.body)) if span.body else NO_BODY
            rows += (window.id, bytearray(span.span_id), bytearray(pack(span)), body)
        self._places.save(changed)
        return _ADD_SPANS.write(self._connection, rows)

    def remove(self, ids: Iterable[tuple[bytes, bytes]]) -> None:
        """Remove spans by ``(trace_id, span_id)``; unknown ones are skipped. The times of windows do not shrink."""
        removed = sum(
            self._connection.execute(
                "UPDATE spans SET window = NULL, span = NULL, payload = x'', body = 0 "
                "WHERE window = (SELECT id FROM windows WHERE trace = ?) AND span = ?",
                one,
            ).rowcount
            for one in ids
        )
        if removed:
            self._connection.execute("UPDATE meta SET value = value + ? WHERE name = 'removed'", (removed,))

    def _learn_kind(self, window: WindowRow, span: Span, kind: str) -> None:
        """A request may tell the kind of a subresource (``Scale``): it counts only while nothing better is known."""
        known = window.type.kind
        if span.source in OF_THE_OBJECT or (not known and v.SUBRESOURCE not in span.attributes):
            self._places.learn_kind(window.type, kind)
