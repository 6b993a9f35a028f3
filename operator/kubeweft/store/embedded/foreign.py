"""Spans of other tracing systems in the store's file: written in parts, found by join values, removed by the trace.

What arrives at once of one trace is one compressed row, because its spans share most of their bytes. The same part again
(a sender that has had no answer) is the same row. Whether a span belongs to what is shown is not decided here.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import zstandard

from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.embedded.reading import held
from kubeweft.store.interfaces import ForeignPart, FoundForeign

KNOWN_SINCE: Final = 3  # the first version of the file that has the tables
SHARE: Final = 0.25  # of the store's limit: what others tell must not push out what Kubeweft alone knows
UNJOINED: Final = (
    3600 * NANOSECONDS
)  # no join value has come in that time, so nobody will ever ask for the trace
PORTION: Final = 16  # parts that are removed in one piece: each may hold hundreds of spans
TRACES: Final = 32  # traces that are removed in one piece
LARGEST_PART: Final = 64 * 1024 * 1024  # bytes unpacked, a bound for what a damaged file may claim
DIGEST_SIZE: Final = 12
LATEST: Final = 2**63 - 1
LONGEST_VALUE: Final = 256  # a longer join value is nobody's ID

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[ForeignSpan]).decode


class ForeignRecorder:
    """Writes parts, inside a transaction of a writing connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Used by one thread at a time, as the connection is."""
        self._connection = connection
        self._compress = zstandard.ZstdCompressor(level=3)

    def add(self, parts: Iterable[ForeignPart]) -> None:
        """Write parts; those that are known already change nothing but when their trace was last received."""
        added = 0
        for part in parts:
            trace = self._trace(part)
            packed = _encode(part.spans)
            content = self._compress.compress(packed)
            digest = hashlib.blake2b(packed, digest_size=DIGEST_SIZE).digest()
            is_new = self._connection.execute(
                "INSERT OR IGNORE INTO foreign_parts(trace, digest, spans, content) VALUES(?, ?, ?, ?)",
                (trace, digest, len(part.spans), content),
            ).rowcount
            if is_new:
                added += len(content)
            self._connection.executemany(
                "INSERT OR IGNORE INTO foreign_joins(name, value, start, trace) VALUES(?, ?, ?, ?)",
                [
                    (name, value, start, trace)
                    for name, value, start in part.joins
                    if len(value) <= LONGEST_VALUE
                ],
            )
        if added:
            _count_bytes(self._connection, added)

    def _trace(self, part: ForeignPart) -> int:
        row = self._connection.execute(
            "INSERT INTO foreign_traces(trace, received, joined) VALUES(?, ?, ?) ON CONFLICT(trace) DO UPDATE SET "
            "received = max(received, excluded.received), joined = max(joined, excluded.joined) RETURNING id",
            (part.trace_id, part.received, int(bool(part.joins))),
        ).fetchone()
        return int(row[0])


def has_foreign(connection: sqlite3.Connection) -> bool:
    """Whether there is anything that can be found."""
    if connection.execute("PRAGMA user_version").fetchone()[0] < KNOWN_SINCE:
        return False
    return connection.execute("SELECT 1 FROM foreign_joins LIMIT 1").fetchone() is not None


def read_foreign(
    connection: sqlite3.Connection,
    joins: Sequence[tuple[str, str]],
    *,
    since: int,
    until: int,
    most_traces: int,
    most_spans: int,
) -> FoundForeign:
    """The traces that have one of these join values in a range of time, as far as there is room.

    First one of each value, then the next of each: a program that tells all day leaves the others their room.
    """
    if not has_foreign(connection):
        return FoundForeign([])
    of_each: list[list[int]] = []
    for name, value in joins:
        rows = connection.execute(
            "SELECT trace FROM foreign_joins WHERE name = ? AND value = ? AND start BETWEEN ? AND ? "
            "ORDER BY start, trace LIMIT ?",
            (name, value, held(since), held(until), most_traces + 1),
        )
        of_each.append(list(dict.fromkeys(trace for (trace,) in rows)))
    turns = sorted(
        (turn, place, trace) for place, found in enumerate(of_each) for turn, trace in enumerate(found)
    )
    traces = {trace: None for _, _, trace in turns}
    spans: dict[tuple[bytes, bytes], ForeignSpan] = {}
    read = 0
    for trace in list(traces)[:most_traces]:
        if len(spans) >= most_spans:
            break
        read += 1
        _read_trace(connection, trace, spans, most_spans)
    return FoundForeign(list(spans.values()), len(traces) - read)


def _read_trace(
    connection: sqlite3.Connection,
    trace: int,
    spans: dict[tuple[bytes, bytes], ForeignSpan],
    most_spans: int,
) -> None:
    unpack = zstandard.ZstdDecompressor()
    for (content,) in connection.execute(
        "SELECT content FROM foreign_parts WHERE trace = ? ORDER BY id", (trace,)
    ):
        for span in _decode(unpack.decompress(content, max_output_size=LARGEST_PART)):
            spans.setdefault((span.trace_id, span.span_id), span)
        if len(spans) >= most_spans:
            return


class Question(NamedTuple):
    """What is to go: received before a time, before another where it was never joined, and what is over the limit."""

    before: int
    unjoined_before: int
    most_bytes: int


class ForeignRemover:
    """Removes traces on the store's writing connection, in portions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Used inside of short transactions."""
        self._connection = connection

    def question(self, *, now: int, max_age: int, max_bytes: int) -> Question:
        """What is to go now; ``max_age`` in nanoseconds, ``max_bytes`` the limit of the whole store, 0 is no limit."""
        return Question(
            before=now - max_age if max_age else 0,
            unjoined_before=now - UNJOINED,
            most_bytes=int(max_bytes * SHARE) if max_bytes else 0,
        )

    def next(self, reading: sqlite3.Connection, question: Question) -> list[int] | None:
        """The oldest traces that are to go, at most a few; None where there are none."""
        unjoined = _oldest(reading, "joined = 0 AND received < ?", question.unjoined_before)
        aged = _oldest(reading, "joined = 1 AND received < ?", question.before) if question.before else []
        found = [*unjoined, *aged]
        if not found and question.most_bytes:
            size = reading.execute("SELECT value FROM meta WHERE name = 'foreign_bytes'").fetchone()[0]
            if size > question.most_bytes:  # one by one: how much each gives back is known afterwards
                found = _oldest(reading, "joined = 0 AND received < ?", LATEST, 1)
                found = found or _oldest(reading, "joined = 1 AND received < ?", LATEST, 1)
        return found or None

    def remove(self, traces: Sequence[int]) -> None:
        """Remove a portion of what these traces hold, and those of them that hold nothing more."""
        room = PORTION
        for trace in traces:
            rows = self._connection.execute(
                "DELETE FROM foreign_parts WHERE id IN (SELECT id FROM foreign_parts WHERE trace = ? LIMIT ?) "
                "RETURNING length(content)",
                (trace, room),
            ).fetchall()
            _count_bytes(self._connection, -sum(size for (size,) in rows))
            room -= len(rows)
            if room <= 0:
                return  # the trace may hold more: the next piece goes on with it
            self._connection.execute("DELETE FROM foreign_joins WHERE trace = ?", (trace,))
            self._connection.execute("DELETE FROM foreign_traces WHERE id = ?", (trace,))


def _oldest(reading: sqlite3.Connection, condition: str, time: int, most: int = TRACES) -> list[int]:
    rows = reading.execute(
        f"SELECT id FROM foreign_traces WHERE {condition} ORDER BY received, id LIMIT ?", (time, most)
    )
    return [trace for (trace,) in rows]


def _count_bytes(connection: sqlite3.Connection, added: int) -> None:
    connection.execute("UPDATE meta SET value = value + ? WHERE name = 'foreign_bytes'", (added,))
