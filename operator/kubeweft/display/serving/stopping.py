"""A reader that gives up where nobody waits for the answer any more: at its next read.

It also counts the spans that it reads, so that the work which they are for is known to hold no more than those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.runtime.stopping import check_stop, count_read
from kubeweft.store.interfaces import (
    FoundObject,
    ObjectQuery,
    Places,
    SpanReader,
    Window,
    WindowQuestion,
    places_of,
    windows_of_many,
)


class StoppableReader:
    """A reader that ends work which nobody waits for."""

    def __init__(self, reader: SpanReader) -> None:
        """Everything is read from ``reader``."""
        self._reader = reader

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        spans = self._reader.spans_of(trace_ids)
        count_read(len(spans))
        return spans

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.windows_of(key, since=since, until=until)

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        """See :class:`~kubeweft.store.interfaces.ManyWindowsReader`."""
        check_stop()
        return windows_of_many(self._reader, questions)

    def window_of(self, trace_id: bytes) -> Window | None:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.window_of(trace_id)

    def nearest_window(self, key: ObjectKey, *, before: int) -> Window | None:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.nearest_window(key, before=before)

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.find_objects(query)

    def places_of(self, query: ObjectQuery, *, most: int) -> Places:
        """See :class:`~kubeweft.store.interfaces.PlacesReader`."""
        check_stop()
        return places_of(self._reader, query, most=most)

    def clusters(self) -> list[str]:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.clusters()
