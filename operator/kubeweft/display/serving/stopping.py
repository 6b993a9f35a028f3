"""How work in a thread ends when nobody waits for its answer any more: at its next read, or its next span.

A thread cannot be interrupted. So whoever starts it puts a :class:`Stop` into the context, and readers ask it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar

from kubeweft.model.errors import KubeweftError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import (
    FoundObject,
    ObjectQuery,
    SpanReader,
    Window,
    WindowQuestion,
    windows_of_many,
)


class Stopped(KubeweftError):
    """The work was given up, because nobody waits for it or its time is over."""


class Stop:
    """When to give up: when told so, or after a number of seconds."""

    def __init__(self, *, seconds: float) -> None:
        """The time begins now."""
        self._end = time.monotonic() + seconds
        self._asked = False

    def ask(self) -> None:
        """Nobody waits any more; may be called from any thread."""
        self._asked = True

    def check(self) -> None:
        """Raise :class:`Stopped` if it is time to."""
        if self._asked or time.monotonic() > self._end:
            raise Stopped("the answer took too long: narrow the search, or its range of time")


CURRENT: ContextVar[Stop | None] = ContextVar("kubeweft_stop", default=None)


def check_stop() -> None:
    """Raise :class:`Stopped` if the work of this context is to end."""
    stop = CURRENT.get()
    if stop is not None:
        stop.check()


class StoppableReader:
    """A reader that ends work which nobody waits for."""

    def __init__(self, reader: SpanReader) -> None:
        """Everything is read from ``reader``."""
        self._reader = reader

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.spans_of(trace_ids)

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

    def clusters(self) -> list[str]:
        """See :class:`~kubeweft.store.interfaces.SpanReader`."""
        check_stop()
        return self._reader.clusters()
