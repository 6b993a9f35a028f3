"""The stores that the contract suites run on.

Each test writes and reads through a ``Bench``. The implementations are the embedded store, the same closed and opened
again before each use, and the same through two handles in turn (as two processes would).
"""

from __future__ import annotations

from pathlib import Path

from kubeweft.model.spans import Span
from kubeweft.store.interfaces import Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore


class Bench:
    """A store under test: ``store`` is what to write to or read from now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = SqliteStore(path)

    @property
    def store(self) -> SqliteStore:
        return self._store

    def write(self, *spans: Span) -> int:
        """Write spans in one batch; how many were new."""
        return self.store.write(Batch(spans=spans)).added

    def everything(self) -> list[Span]:
        """All spans in order of arrival."""
        return [span for _, span in self.store.spans_after(0, limit=10_000)]

    def names(self, **query: object) -> list[str]:
        """The names of objects that a search finds."""
        return [found.key.name for found in self.store.find_objects(ObjectQuery(**query))]  # type: ignore[arg-type]

    def close(self) -> None:
        self._store.close()


class ReopenedBench(Bench):
    """Closed and opened again before each use: nothing may live in memory alone."""

    @property
    def store(self) -> SqliteStore:
        self._store.close()
        self._store = SqliteStore(self.path)
        return self._store


class AlternatingBench(Bench):
    """Two open handles in turn: neither may rely on being the only writer."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._other = SqliteStore(path)

    @property
    def store(self) -> SqliteStore:
        self._store, self._other = self._other, self._store
        return self._store

    def close(self) -> None:
        super().close()
        self._other.close()


BENCHES = (Bench, ReopenedBench, AlternatingBench)
