"""Which objects tell something in their spans: windows are read, those that may be the latest first.

Spans are not made for it: of a payload only those values are looked at that are searched, and of values that many
spans share, each once. At most ``MOST_READ`` spans are read for one search; one that would need more says so. Windows
tell when their last span was, but not when the last that has the text: to be sure that no other object had it later,
up to ``MOST_COMPARED`` more spans are read once enough objects have been found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.runtime.stopping import check_stop
from kubeweft.store.embedded.ranking import FIRST, LAST, OVERLAP, Ranking, Scope, after, first_of
from kubeweft.store.embedded.reading import LARGEST, Reading
from kubeweft.store.embedded.span_finders import ALWAYS, BothFinder, SpanFinder, TextFinder, ToldFinder
from kubeweft.store.interfaces import ANYTHING, ObjectQuery

MOST_READ = 1_000_000
MOST_COMPARED = 5_000
CHECK_EVERY = 500  # spans, some 5 ms: whether anybody still waits for what is found
SEARCHED = frozenset(
    {
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
    }
)
_COLUMNS = f"w.id, w.object, w.start, {FIRST} AS begins, {LAST} AS ends, o.name"
_FROM_WINDOWS = "windows w CROSS JOIN objects o ON o.id = w.object"
_FROM_OBJECTS = "objects o CROSS JOIN windows w ON w.object = o.id"


class Candidate(NamedTuple):
    """One window that may match, and what bounds it."""

    window: int
    object: int
    start: int
    first: int
    last: int
    name: str


class Match(NamedTuple):
    """The times of what matched in a window."""

    first: int
    last: int


class SpanSearch:
    """One search for a text or something else that is told, on one reading connection."""

    def __init__(
        self,
        reading: Reading,
        scope: Scope,
        *,
        query: ObjectQuery,
        ranking: Ranking,
        most_read: int = MOST_READ,
        most_compared: int = MOST_COMPARED,
    ) -> None:
        """``query`` has a text, or something told; ``ranking`` knows in which order the windows of the scope are best walked."""
        self._connection = reading.connection
        self._reach = reading.reach
        self._scope = scope
        self._ranking = ranking
        self._asked = _in_words(query)
        self._text = query.text.casefold()
        text = TextFinder(reading.unpacker, self._text, names=SEARCHED)
        told = ToldFinder(reading.unpacker, query.told)
        self._told = told if query.told != ANYTHING else None
        self._finder: SpanFinder = text if self._told is None else BothFinder(told, text)
        self._most_read = most_read
        self._most_compared = most_compared
        self._read = 0
        self._matches: dict[int, Match | None] = {}

    def latest(self, most: int) -> list[int]:
        """The numbers of the ``most`` objects that matched latest, those first."""
        latest: dict[int, int] = {}
        enough_at = 0  # how much had been read when there were enough
        for start, candidates in self._by_start():
            if len(latest) >= most and start + self._reach < min(latest.values()):
                break
            for candidate in candidates:
                if len(latest) >= most:
                    enough_at = enough_at or self._read
                    if self._read - enough_at > self._most_compared:
                        return first_of(latest, most)
                    if candidate.last < min(latest.values()):
                        break  # no other of those that begin together can be later
                match = self._match(candidate)
                if match is not None and match.last > latest.get(candidate.object, -LARGEST):
                    latest[candidate.object] = match.last
                    if len(latest) > most:
                        del latest[min(latest, key=lambda number: (latest[number], -number))]
        return first_of(latest, most)

    def matches_of(self, number: int) -> list[Match]:
        """All windows of an object that match, of which there is at least one."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {_FROM_WINDOWS} WHERE w.object = ? AND {OVERLAP}",
            (number, *self._scope.overlap),
        ).fetchall()
        found = [self._match(candidate) for candidate in map(Candidate._make, rows)]
        return [match for match in found if match is not None]

    def _by_start(self) -> Iterator[tuple[int, Iterable[Candidate]]]:
        """Windows that begin together, the newest first; among them those first that reach furthest."""
        scope, order = self._scope, "ends DESC, w.object"
        where = f"WHERE {OVERLAP}{scope.condition}"
        if self._ranking.few():
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM {_FROM_OBJECTS} {where} ORDER BY w.start DESC, {order}",
                (*scope.overlap, *scope.values),
            )
            yield from groupby(map(Candidate._make, rows), key=lambda candidate: candidate.start)
            return
        start = self._ranking.start_before(after(scope.until))
        while start is not None:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM {_FROM_WINDOWS} {where} AND w.start = ? ORDER BY {order}",
                (*scope.overlap, *scope.values, start),
            )
            yield start, map(Candidate._make, rows)
            start = self._ranking.start_before(start)

    def _match(self, candidate: Candidate) -> Match | None:
        if candidate.window not in self._matches:
            self._matches[candidate.window] = self._look(candidate)
        return self._matches[candidate.window]

    def _look(self, candidate: Candidate) -> Match | None:
        finder = self._finder
        if self._text in candidate.name.casefold():  # which an empty text is in every name
            if self._told is None:
                return Match(candidate.first, candidate.last)
            finder = self._told
        since, until = self._scope.since, self._scope.until
        first, last = LARGEST, -LARGEST
        for (payload,) in self._connection.execute(
            "SELECT payload FROM spans WHERE window = ?", (candidate.window,)
        ):
            self._count_read()
            found = finder.find(payload)
            if found is ALWAYS:
                first, last = min(first, candidate.first), max(last, candidate.last)
            elif found is not None and found.start <= until and found.end >= since:
                first, last = min(first, found.start), max(last, found.end)
        return Match(first, last) if first <= last else None

    def _count_read(self) -> None:
        self._read += 1
        if self._read % CHECK_EVERY == 0:
            check_stop()
        if self._read > self._most_read:
            raise UserError(
                f"searching for {self._asked} would read more than {self._most_read} spans: narrow it by time, "
                "kind, namespace or name"
            )


def _in_words(query: ObjectQuery) -> str:
    """What is looked for, as people would say it."""
    told = [f"{name}={value}" for name, value in query.told.attributes]
    words = [repr(query.text)] if query.text else []
    return " ".join([*words, *(["error=true"] if query.told.failed else []), *told])
