"""Clearing away what nothing refers to any more, after windows have been removed.

What is searched for is searched on a reading connection, where it makes nobody wait; a short transaction then looks
again at the few rows it is about and removes them. Numbers of types and texts become free by that and mean something
else later, so the store's ``era`` grows: whoever has remembered numbers of an earlier one forgets them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from kubeweft.store.embedded.packing import texts_used
from kubeweft.store.embedded.reading import Reading

SCANNED: Final = 2_000  # rows that are read in one piece
VERSIONS: Final = 400  # rows of audit versions that are judged in one piece
MANY_TEXTS: Final = 15_000  # half of those there may be

_NO_OBJECT = "NOT EXISTS (SELECT 1 FROM objects o WHERE o.type = t.id)"
_NO_VERSION = "NOT EXISTS (SELECT 1 FROM audit_versions a WHERE a.type = t.id)"
_NO_WATCH = (
    "NOT EXISTS (SELECT 1 FROM progress p WHERE p.type = t.id) "
    "AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.type = t.id) "
    "AND NOT EXISTS (SELECT 1 FROM watch_dictionaries d WHERE d.type = t.id)"
)
_IDLE_DICTIONARIES = f"SELECT t.type FROM (SELECT type, type AS id FROM body_dictionaries) t WHERE {_NO_OBJECT} AND {_NO_VERSION}"
_IDLE_TYPES = f"SELECT t.id FROM types t WHERE {_NO_OBJECT} AND {_NO_VERSION} AND {_NO_WATCH}"
_IDLE_CLUSTERS = (
    "SELECT c.id FROM clusters c WHERE NOT EXISTS (SELECT 1 FROM types t WHERE t.cluster = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM audit_versions a WHERE a.cluster = c.id)"
)
# Of versions older than what is kept, an object that is still there needs the last: the next change is told against it.
_IDLE_VERSIONS = (
    "SELECT a.id FROM audit_versions a WHERE a.id > ? AND a.id <= ? AND a.time < ? AND ("
    "NOT EXISTS (SELECT 1 FROM objects o WHERE o.type = a.type AND o.namespace = a.namespace AND o.name = a.name) "
    "OR EXISTS (SELECT 1 FROM audit_versions n WHERE n.cluster = a.cluster AND n.uid = a.uid AND n.time < ? "
    "AND (n.time, length(n.version), n.version) > (a.time, length(a.version), a.version)))"
)

Maintain = Callable[[Callable[[], Any]], Any]


class Tidying:
    """One pass; ``pieces`` is to be driven to its end, at leisure."""

    def __init__(
        self, connection: sqlite3.Connection, reading: Reading, maintain: Maintain, *, many_texts: int
    ) -> None:
        """``connection`` is used inside ``maintain`` only, ``reading`` outside of it."""
        self._connection = connection
        self._reading = reading
        self._maintain = maintain
        self._many_texts = many_texts

    def pieces(self) -> Iterator[None]:
        """Do it all, with a pause wherever this yields."""
        yield from self.audit_versions()
        yield from self._names()
        if self._texts_are_due():
            yield from self._texts()

    def _ask(self, sql: str, *values: object) -> list[Any]:
        with self._reading.one_moment():
            return self._reading.connection.execute(sql, values).fetchall()

    def audit_versions(self) -> Iterator[None]:
        """The bodies that audit logs showed of objects that are gone, or that later ones have replaced."""
        [(newest,)] = self._ask("SELECT coalesce(max(id), 0) FROM audit_versions")
        [(kept,)] = self._ask("SELECT value FROM meta WHERE name = 'oldest_kept'")
        for after in range(0, newest, VERSIONS):
            question = (after, after + VERSIONS, kept, kept)
            if self._ask(_IDLE_VERSIONS, *question):
                self._maintain(partial(self._remove_versions, question))
            yield

    def _remove_versions(self, question: tuple[int, int, int, int]) -> None:
        self._connection.execute(f"DELETE FROM audit_versions WHERE id IN ({_IDLE_VERSIONS})", question)

    def _names(self) -> Iterator[None]:
        """Dictionaries, types and clusters: few, so that looking at all of them is one piece."""
        asked = (_IDLE_DICTIONARIES, _IDLE_TYPES, _IDLE_CLUSTERS)
        if any(self._ask(question) for question in asked):
            self._maintain(self._remove_names)
        yield

    def _remove_names(self) -> None:
        for table, column, question in (
            ("body_dictionaries", "type", _IDLE_DICTIONARIES),
            ("types", "id", _IDLE_TYPES),
            ("clusters", "id", _IDLE_CLUSTERS),
        ):
            self._connection.execute(f"DELETE FROM {table} WHERE {column} IN ({question})")
        self._begin_era()

    def _texts_are_due(self) -> bool:
        """Whether there are many, and looking at all spans is worth it: as many have been removed since the last time."""
        [(texts, removed, swept, position)] = self._ask(
            "SELECT (SELECT count(*) FROM texts), (SELECT value FROM meta WHERE name = 'removed'), "
            "(SELECT value FROM meta WHERE name = 'texts_swept'), (SELECT coalesce(max(position), 0) FROM spans)"
        )
        return bool(texts >= self._many_texts and removed - swept >= position - removed)

    def _texts(self) -> Iterator[None]:
        used: set[int] = set()
        position = 0
        [(newest,)] = self._ask("SELECT coalesce(max(position), 0) FROM spans")
        for _ in range(2 * newest // SCANNED + 10):
            rows = self._ask(
                "SELECT position, payload FROM spans WHERE position > ? AND window IS NOT NULL ORDER BY position LIMIT ?",
                position,
                SCANNED,
            )
            for _, payload in rows:
                used |= texts_used(payload)
            if rows:
                position = rows[-1][0]
            yield
            if len(rows) < SCANNED:
                self._maintain(partial(self._remove_texts, used, position))
                yield
                return
        # Spans are written faster than they are read here: another time.

    def _remove_texts(self, used: set[int], position: int) -> None:
        """``used`` holds what spans up to ``position`` refer to; those written since are looked at here."""
        connection = self._connection
        for (payload,) in connection.execute(
            "SELECT payload FROM spans WHERE position > ? AND window IS NOT NULL", (position,)
        ):
            used |= texts_used(payload)
        idle = [(number,) for (number,) in connection.execute("SELECT id FROM texts") if number not in used]
        connection.executemany("DELETE FROM texts WHERE id = ?", idle)
        connection.execute(
            "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'removed') WHERE name = 'texts_swept'"
        )
        self._begin_era()

    def _begin_era(self) -> None:
        self._connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'era'")
