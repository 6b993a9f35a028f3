"""Finding objects: those with the latest spans first.

What an object has to be like becomes a condition of SQL; which of those that fit are the latest is told by ``ranking``,
or by ``finding_text`` where a text is looked for in their spans.
"""

from __future__ import annotations

from typing import NamedTuple

from kubeweft.model.references import ObjectKey
from kubeweft.store.embedded.finding_text import MOST_READ, TextSearch
from kubeweft.store.embedded.ranking import (
    FEW_OBJECTS,
    FIRST,
    LAST,
    MOST_STARTS,
    OVERLAP,
    Ranking,
    Scope,
)
from kubeweft.store.embedded.reading import LARGEST, Reading
from kubeweft.store.interfaces import FoundObject, ObjectQuery

_OBJECT = (
    "SELECT c.name, t.grp, t.resource, o.namespace, o.name, t.kind FROM objects o "
    "JOIN types t ON t.id = o.type JOIN clusters c ON c.id = t.cluster WHERE o.id = ?"
)
_TIMES = f"SELECT count(*), min({FIRST}), max({LAST}) FROM windows w WHERE w.object = ? AND {OVERLAP}"


class _Times(NamedTuple):
    """In how many windows an object matched, and when."""

    windows: int
    first: int
    last: int


class Search:
    """One search, on one reading connection."""

    def __init__(
        self,
        reading: Reading,
        query: ObjectQuery,
        *,
        most_read: int = MOST_READ,
        few_objects: int = FEW_OBJECTS,
        most_starts: int = MOST_STARTS,
    ) -> None:
        """``most_read`` bounds how many spans are searched for a text; for the others see ``ranking``."""
        self._reading = reading
        self._query = query
        self._most_read = most_read
        self._few_objects = few_objects
        self._most_starts = most_starts

    def run(self) -> list[FoundObject]:
        """The objects found, at most one more than the limit."""
        scope = self._scope()
        if scope is None or self._query.limit < 0:
            return []
        ranking = Ranking(self._reading, scope, few_objects=self._few_objects, most_starts=self._most_starts)
        most = self._query.limit + 1
        if not self._query.text:
            found = [self._found(n, self._times(n, scope)) for n in ranking.latest(most)]
        else:
            search = TextSearch(
                self._reading, scope, text=self._query.text, ranking=ranking, most_read=self._most_read
            )
            found = [self._found(n, self._matched(n, search)) for n in search.latest(most)]
        return sorted(found, key=lambda one: (-one.last, one.key))

    def _found(self, number: int, times: _Times) -> FoundObject:
        *key, kind = self._reading.connection.execute(_OBJECT, (number,)).fetchone()
        return FoundObject(ObjectKey(*key), kind, *times)

    def _times(self, number: int, scope: Scope) -> _Times:
        return _Times._make(self._reading.connection.execute(_TIMES, (number, *scope.overlap)).fetchone())

    def _matched(self, number: int, search: TextSearch) -> _Times:
        matches = search.matches_of(number)
        return _Times(len(matches), min(m.first for m in matches), max(m.last for m in matches))

    def _scope(self) -> Scope | None:
        """Where to look; None if no object can be like what is looked for."""
        query = self._query
        parts, values = list[str](), list[object]()
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
        return Scope(
            self._reading.earliest(query.since),
            query.since,
            min(query.until, LARGEST),
            " AND ".join(parts),
            tuple(values),
        )

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


def _glob(pattern: str) -> str:
    """Only ``*`` is a wildcard for us: what else means something to GLOB stands for itself."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
