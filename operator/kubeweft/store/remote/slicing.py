"""A search of a store that gives at most so many traces at once, in an order that nobody promises.

A search that comes back full is asked again in two halves of its time, the newer first: nothing is missed without
somebody being told. Object spans begin with their window, so the time of a search is that of windows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.otlp.jaeger_storage import TraceQuery
from kubeweft.otlp.regrouping import Part
from kubeweft.runtime import clock
from kubeweft.store.remote.sources import FoundTraces, RemoteOptions, TooMuch, TraceSource
from kubeweft.store.remote.traces import Traces

MOST_TRACES: Final = 20_000  # of one question
EARLIEST: Final = 10**9  # the very beginning of the epoch is how many say "no time"
LATEST: Final = 2**63 - 1
LEAST_DEPTH: Final = 10
DAY: Final = 24 * 3600 * 10**9

Wanted = Callable[[ObjectKey], bool]


class Slice(NamedTuple):
    """What was found of the time between ``since`` and the slice before. ``full``: the store left some out."""

    since: int
    parts: list[Part]
    full: bool


class TagsSkipped(Exception):  # caught by whoever searches by tags
    """The store answers a search by tags as if there were none."""


class Slicing:
    """Searches of one source, from the newest time backwards; may be used from any thread."""

    def __init__(
        self,
        source: TraceSource,
        traces: Traces,
        options: RemoteOptions,
        *,
        now: Callable[[], int] = clock.now,
        most_traces: int = MOST_TRACES,
    ) -> None:
        """``now`` is the time of day in nanoseconds; ``most_traces`` are read for one question."""
        self._source = source
        self._traces = traces
        self._options = options
        self._now = now
        self._most = most_traces

    def walk(self, query: TraceQuery, *, since: int, until: int, wanted: Wanted) -> Iterator[Slice]:
        """The wanted objects in traces that fit, by windows that begin between two times, newest first.

        Raises UserError where that would be too many, and TagsSkipped where tags are not heeded and all there is.
        """
        since, until = self._bounded(since, until)
        read, depth = 0, self._options.depth
        waiting = [(since, until)] if since <= until else []
        while waiting:
            first, last = waiting.pop()
            found, depth = self._find(query, first, last, depth=depth)
            read += len(found)
            if read > self._most:
                raise UserError(self.too_many(self._most))
            parts = self._traces.take_in(found)
            full = len(found) >= depth
            if full and first < last:
                middle = _middle(parts, first, last)
                waiting += [(first, middle - 1), (middle, last)]
            else:
                chosen = [part for part in parts if wanted(part.place.key)]
                yield Slice(first, self._traces.complete(chosen, found), full)

    def too_many(self, read: int) -> str:
        """What to say where a question cannot be answered whole."""
        return (
            f"{self._source.where}: more than {read} traces would have to be searched: narrow the question by time,"
            " kind, namespace or name (or let more be given at once with ?depth=)"
        )

    def _find(self, query: TraceQuery, since: int, until: int, *, depth: int) -> tuple[FoundTraces, int]:
        """What fits in a time, and how much was asked for at once: less, where the answer was too much."""
        while True:
            asked = dataclasses.replace(query, since=since, until=until, depth=depth)
            try:
                found = self._source.find(asked)
                break
            except TooMuch:
                if depth <= LEAST_DEPTH:
                    raise
                depth = max(depth // 8, LEAST_DEPTH)
        if query.attributes and not query.operation and not self._source.finds_by_tags:
            raise TagsSkipped
        return found, depth

    def _bounded(self, since: int, until: int) -> tuple[int, int]:
        """Databases with an index a day cannot be asked for all time: ``lookback`` is for them."""
        if self._options.lookback:
            now = self._now()
            since, until = max(since, now - self._options.lookback), min(until, now + DAY)
        return max(since, EARLIEST), min(until, LATEST)


def _middle(parts: list[Part], first: int, last: int) -> int:
    """A time after ``first`` that splits what was found about evenly."""
    starts = sorted(part.place.start for part in parts if first <= part.place.start <= last)
    if not starts:  # what lasts from before
        return (first + last + 1) // 2
    return max(starts[len(starts) // 2], first + 1)
