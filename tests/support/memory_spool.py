"""A span spool in memory for tests of exporters: the promises of ``store.interfaces.SpanSpool``, without a file."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import threading
from collections.abc import Iterable

from kubeweft.model.spans import Span


class MemorySpool:
    """``saved`` is every position ever saved, in order, by exporter: what a crash at any time would find."""

    def __init__(self, *, step: int = 1) -> None:
        """``step`` above 1 leaves holes between positions, as a store may."""
        self.saved: dict[str, list[int]] = {}
        self._step = step
        self._places: list[int] = []
        self._spans: list[Span] = []
        self._known: set[tuple[bytes, bytes]] = set()
        self._lock = threading.Lock()
        self._grown = asyncio.Event()

    def add(self, spans: Iterable[Span]) -> None:
        """Write spans, from the event loop; a span that is known already is left as it is."""
        with self._lock:
            for span in spans:
                if (span.trace_id, span.span_id) not in self._known:
                    self._known.add((span.trace_id, span.span_id))
                    self._spans.append(span)
                    self._places.append(self._step * len(self._spans))
        self._grown.set()

    def newest(self) -> int:
        """The position of the last span."""
        return self._places[-1] if self._places else 0

    async def wait_beyond(self, position: int, *, timeout: float) -> None:
        """Return when there are spans after ``position``, or after ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.newest() <= position:
                    self._grown.clear()
                    await self._grown.wait()

    def spans_after(self, position: int, *, limit: int) -> list[tuple[int, Span]]:
        """The next spans after ``position``, oldest first."""
        with self._lock:
            first = bisect.bisect_right(self._places, position)
            places, spans = self._places[first : first + limit], self._spans[first : first + limit]
            return list(zip(places, spans, strict=True))

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """All spans of these traces, each trace in order of arrival."""
        with self._lock:
            return [span for trace in trace_ids for span in self._spans if span.trace_id == trace]

    def export_position(self, exporter: str) -> int:
        """How far an exporter has come; an unknown one begins now, or at 0 while there has never been another."""
        with self._lock:
            if exporter in self.saved:
                return self.saved[exporter][-1]
            return self.newest() if self.saved else 0

    def save_export_position(self, exporter: str, position: int) -> None:
        """Remember that all spans up to ``position`` have been accepted by the receiver."""
        with self._lock:
            self.saved.setdefault(exporter, []).append(position)
