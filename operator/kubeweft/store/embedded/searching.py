"""Finding objects: those with the latest spans first.

Windows are walked from the newest backwards, and the walk ends when nothing older can still be among the first
``limit``. Only if the name, namespace or type leave few objects is it the other way round: from those to their
windows. A text is looked for in the spans of the windows walked, at most ``MOST_READ`` of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.spans import Span
from kubeweft.store.embedded.reading import LARGEST, Reading
from kubeweft.store.embedded.recording import TIMELESS
from kubeweft.store.interfaces import FoundObject, ObjectQuery

MOST_READ = 1_000_000
FEW_OBJECTS = 2_000
SEARCHED = (
    v.WORDS,
    v.USER,
    v.IMPERSONATED_USER,
    v.FIELD_MANAGER,
    v.FAILURE_REASON,
    v.FAILURE_MESSAGE,
    v.EVENT_REASON,
    v.EVENT_MESSAGE,
    v.EVENT_REPORTER,
    v.GAP_REASON,
    v.GAP_MESSAGE,
)
_FROM_OBJECTS = "objects o CROSS JOIN windows w ON w.object = o.id"
_FROM_WINDOWS = "windows w CROSS JOIN objects o ON o.id = w.object"
# A window with nothing but its object span and links lasts from its beginning to its end.
_OVERLAP = (
    "w.start BETWEEN ? AND ? AND CASE WHEN w.first > w.last THEN w.start + w.length > ? "
    "ELSE w.first <= ? AND w.last >= ? END"
)


class Candidate(NamedTuple):
    """One window that may match."""

    window: int
    object: int
    start: int
    first: int
    last: int


class Match(NamedTuple):
    """The times of what matched in a window."""

    first: int
    last: int


class Conditions(NamedTuple):
    """A part of a WHERE clause and its values."""

    sql: str
    values: tuple[object, ...]


class Search:
    """One search, on one reading connection."""

    def __init__(
        self,
        reading: Reading,
        query: ObjectQuery,
        *,
        most_read: int = MOST_READ,
        few_objects: int = FEW_OBJECTS,
    ) -> None:
        """``most_read`` bounds how many spans are searched for a text; up to ``few_objects`` are walked one by one."""
        self._reading = reading
        self._query = query
        self._most_read = most_read
        self._few_objects = few_objects
        self._read = 0
        self._text = query.text.casefold()
        self._matches: dict[int, Match | None] = {}
        self._earliest = reading.earliest(query.since)
        self._until = min(query.until, LARGEST)

    def run(self) -> list[FoundObject]:
        """The objects found, at most one more than the limit."""
        conditions = self._conditions()
        if conditions is None or self._query.limit < 0:
            return []
        latest = self._walk(conditions, most=self._query.limit + 1)
        found = [self._found(number) for number in latest]
        return sorted(found, key=lambda one: (-one.last, one.key))

    def _walk(self, conditions: Conditions, *, most: int) -> list[int]:
        """The numbers of the ``most`` objects whose spans are the latest."""
        latest: dict[int, int] = {}
        reach = self._reading.reach
        current = LARGEST
        for candidate in self._candidates(conditions):
            if candidate.start < current:
                current = candidate.start
                if len(latest) >= most and current + reach < heapq.nlargest(most, latest.values())[-1]:
                    break
            match = self._match(candidate)
            if match is not None and match.last > latest.get(candidate.object, -LARGEST):
                latest[candidate.object] = match.last
        return heapq.nlargest(most, latest, key=lambda number: (latest[number], -number))

    def _candidates(self, conditions: Conditions) -> Iterator[Candidate]:
        source = _FROM_OBJECTS if self._few(conditions) else _FROM_WINDOWS
        rows = self._reading.connection.execute(
            f"SELECT w.id, w.object, w.start, w.first, w.last FROM {source} "
            f"WHERE {_OVERLAP} AND {conditions.sql} ORDER BY w.start DESC, w.id",
            (*self._overlap(), *conditions.values),
        )
        return map(Candidate._make, rows)

    def _few(self, conditions: Conditions) -> bool:
        counted = self._reading.connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM objects o WHERE {conditions.sql} LIMIT ?)",
            (*conditions.values, self._few_objects + 1),
        ).fetchone()
        return int(counted[0]) <= self._few_objects

    def _overlap(self) -> tuple[int, ...]:
        since = self._query.since
        return (self._earliest, self._until, since, self._until, since)

    def _found(self, number: int) -> FoundObject:
        connection = self._reading.connection
        rows = connection.execute(
            f"SELECT w.id, w.object, w.start, w.first, w.last FROM windows w WHERE w.object = ? AND {_OVERLAP}",
            (number, *self._overlap()),
        ).fetchall()
        matches = [match for row in rows if (match := self._match(Candidate._make(row))) is not None]
        kind = connection.execute(
            "SELECT kind FROM types WHERE id = (SELECT type FROM objects WHERE id = ?)", (number,)
        ).fetchone()[0]
        return FoundObject(
            self._reading.place(rows[0][0]).key,
            kind,
            len(matches),
            min(match.first for match in matches),
            max(match.last for match in matches),
        )

    def _match(self, candidate: Candidate) -> Match | None:
        if not self._text:
            return _whole(candidate)
        if candidate.window not in self._matches:
            self._matches[candidate.window] = self._match_text(candidate)
        return self._matches[candidate.window]

    def _match_text(self, candidate: Candidate) -> Match | None:
        place = self._reading.place(candidate.window)
        if self._text in place.key.name.casefold():
            return _whole(candidate)
        first, last = LARGEST, -LARGEST
        for span in self._reading.spans_in(candidate.window, place, bodies=False):
            self._count_read()
            if self._in_time(span) and self._tells_text(span):
                first = min(first, span.start)
                last = max(last, span.end)
        return Match(first, last) if first <= last else None

    def _count_read(self) -> None:
        self._read += 1
        if self._read > self._most_read:
            raise UserError(
                f"searching for {self._query.text!r} would read more than {self._most_read} spans: narrow it by time, "
                "kind, namespace or name"
            )

    def _in_time(self, span: Span) -> bool:
        return span.source not in TIMELESS and span.start <= self._until and span.end >= self._query.since

    def _tells_text(self, span: Span) -> bool:
        text = self._text
        if text in span.name.casefold() or text in span.error.casefold():
            return True
        attributes = span.attributes
        return any(text in str(attributes[name]).casefold() for name in SEARCHED if name in attributes)

    def _conditions(self) -> Conditions | None:
        """What the object has to be like; None if no object can be."""
        query = self._query
        parts, values = ["TRUE"], list[object]()
        if query.cluster or query.resources:
            numbers = self._types()
            if not numbers:
                return None
            parts.append(f"o.type IN ({', '.join(map(str, numbers))})")
        for column, pattern in (("o.namespace", query.namespace), ("o.name", query.name)):
            if "*" in pattern:
                parts.append(f"{column} GLOB ?")
                values.append(_glob(pattern))
            elif pattern:
                parts.append(f"{column} = ?")
                values.append(pattern)
        return Conditions(" AND ".join(parts), tuple(values))

    def _types(self) -> list[int]:
        query = self._query
        rows = self._reading.connection.execute(
            "SELECT t.id, c.name, t.grp, t.resource FROM types t JOIN clusters c ON c.id = t.cluster"
        )
        return [
            number
            for number, cluster, group, resource in rows
            if query.cluster in ("", cluster)
            and (not query.resources or any(r == resource and g in (None, group) for g, r in query.resources))
        ]


def _whole(candidate: Candidate) -> Match:
    if candidate.first > candidate.last:
        return Match(candidate.start, candidate.start)
    return Match(candidate.first, candidate.last)


def _glob(pattern: str) -> str:
    """Only ``*`` is a wildcard for us: what else means something to GLOB stands for itself."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
