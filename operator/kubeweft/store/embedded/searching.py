"""Finding objects: those with the latest spans first.

What an object has to be like becomes a condition of SQL; which of those that fit are the latest is told by ``ranking``,
or by ``finding_text`` where something is looked for in their spans.
"""

from __future__ import annotations

from typing import NamedTuple

from kubeweft.model.references import ObjectKey
from kubeweft.store.embedded.finding_text import MOST_READ, SpanSearch
from kubeweft.store.embedded.ranking import (
    FEW_OBJECTS,
    FIRST,
    LAST,
    MOST_STARTS,
    OVERLAP,
    Ranking,
    Scope,
)
from kubeweft.store.embedded.reading import Reading, held
from kubeweft.store.interfaces import ANYTHING, FoundObject, ObjectQuery, Places

_OBJECT = (
    "SELECT c.name, t.grp, t.resource, o.namespace, o.name, t.kind FROM objects o "
    "JOIN types t ON t.id = o.type JOIN clusters c ON c.id = t.cluster WHERE o.id = ?"
)
_TYPES = "SELECT t.id, c.name, t.grp, t.resource FROM types t JOIN clusters c ON c.id = t.cluster"
_PLACES = (
    "SELECT c.name, t.grp, t.resource, o.namespace FROM objects o "
    "JOIN types t ON t.id = o.type JOIN clusters c ON c.id = t.cluster"
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
        """``most_read`` bounds how many spans are looked into; for the others see ``ranking``."""
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
        if not self._query.text and self._query.told == ANYTHING:
            found = [self._found(n, self._times(n, scope)) for n in ranking.latest(most)]
        else:
            search = SpanSearch(
                self._reading, scope, query=self._query, ranking=ranking, most_read=self._most_read
            )
            found = [self._found(n, self._matched(n, search)) for n in search.latest(most)]
        return sorted(found, key=lambda one: (-one.last, one.key))

    def places(self, most: int) -> Places:
        """At most so many types and namespaces of what fits, those with the most objects first."""
        scope = self._scope()
        if scope is None:
            return Places([], complete=True)
        rows = self._reading.connection.execute(
            f"{_PLACES} WHERE {scope.objects or 'TRUE'} GROUP BY o.type, o.namespace "
            "ORDER BY count(*) DESC, o.type, o.namespace LIMIT ?",
            (*scope.values, most + 1),
        )
        keys = [
            ObjectKey(cluster, group, resource, namespace, "") for cluster, group, resource, namespace in rows
        ]
        return Places(keys[:most], len(keys) <= most)

    def _found(self, number: int, times: _Times) -> FoundObject:
        *key, kind = self._reading.connection.execute(_OBJECT, (number,)).fetchone()
        return FoundObject(ObjectKey(*key), kind, *times)

    def _times(self, number: int, scope: Scope) -> _Times:
        return _Times._make(self._reading.connection.execute(_TIMES, (number, *scope.overlap)).fetchone())

    def _matched(self, number: int, search: SpanSearch) -> _Times:
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
        if query.among:
            among = self._among()
            if not among:
                return None
            rows = ", ".join(["(?, ?)"] * (len(among) // 2))
            # Asked like this SQLite uses the index, which it does not for a bare list of VALUES.
            parts.append(f"(o.type, o.namespace) IN (SELECT column1, column2 FROM (VALUES {rows}))")
            values += among
        return Scope(
            self._reading.earliest(query.since),
            held(query.since),
            held(query.until),
            " AND ".join(parts),
            tuple(values),
        )

    def _among(self) -> list[object]:
        """The number of the type and the namespace of each place that the query names, as far as they are known."""
        numbers = {tuple(named): number for number, *named in self._reading.connection.execute(_TYPES)}
        known = [(numbers.get(place[:3]), place.namespace) for place in dict.fromkeys(self._query.among)]
        return [value for number, namespace in known if number is not None for value in (number, namespace)]

    def _types(self) -> list[int]:
        query = self._query
        rows = self._reading.connection.execute(_TYPES)
        return [
            number
            for number, cluster, group, resource in rows
            if query.cluster in ("", cluster)
            and (not query.resources or any(r == resource and g in (None, group) for g, r in query.resources))
        ]


def _glob(pattern: str) -> str:
    """Only ``*`` is a wildcard for us: what else means something to GLOB stands for itself."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
