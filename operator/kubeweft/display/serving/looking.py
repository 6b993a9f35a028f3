"""The objects that a search looks at, the latest first: as many as it needs, in steps, for as long as there is time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Final

from kubeweft.display.answering.contract import DisplayedTrace
from kubeweft.display.serving import notices
from kubeweft.display.serving.access import searches_cut
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import ANYTHING, FoundObject, ObjectQuery, SpanReader

FIRST_STEP: Final = 200  # objects of which not each is a result
GROWTH: Final = 4
MOST_LOOKED_AT: Final = 51_200


class Looking:
    """Goes through the objects that fit some queries, each once; then ``is_cut`` says whether any were left out."""

    def __init__(
        self, reader: SpanReader, queries: Sequence[ObjectQuery], *, widely: bool, seconds: float
    ) -> None:
        """``widely``: not each object is a result, so look at more than the queries' limits, but no longer than so long."""
        self._reader = reader
        self._queries = queries
        self._widely = widely
        self._end = time.monotonic() + seconds
        self._met: set[ObjectKey] = set()
        self._number, self._last = 0, 0
        self._is_over = False
        self._is_left_out = False  # by a reader that may not look everywhere

    def __iter__(self) -> Iterator[FoundObject]:
        for query in self._queries:
            yield from self._of(query)

    @property
    def is_cut(self) -> bool:
        """Whether objects may fit that were not looked at."""
        return self._is_over or self._is_left_out

    def notice(self) -> DisplayedTrace:
        """How far it has looked."""
        query = self._queries[-1]
        return notices.not_everything(self._number, at=min(max(self._last, query.since), query.until))

    def _of(self, query: ObjectQuery) -> Iterator[FoundObject]:
        is_result = not self._widely or query.told != ANYTHING  # most that tell it are
        limit = query.limit if is_result else max(query.limit, FIRST_STEP)
        begin = 0
        while not self._is_over:
            before = time.monotonic()
            try:
                found = self._find(dataclasses.replace(query, limit=limit))
            except UserError:  # some stores cannot find so many
                if begin == 0 and not self._met:
                    raise
                self._is_over = True
                return
            took = time.monotonic() - before
            for number, one in enumerate(found[begin:limit], start=begin + 1):
                if number > 1 and self._widely and self._is_late(0.0):
                    return
                self._number, self._last = number, one.last
                if one.key not in self._met:
                    self._met.add(one.key)
                    yield one
            if len(found) <= limit or not self._widely:
                return
            self._is_over = limit >= MOST_LOOKED_AT or self._is_late(took * GROWTH)
            begin, limit = limit, min(limit * GROWTH, MOST_LOOKED_AT)

    def _find(self, query: ObjectQuery) -> list[FoundObject]:
        cut_before = searches_cut(self._reader)
        found = self._reader.find_objects(query)
        self._is_left_out |= searches_cut(self._reader) > cut_before
        return found

    def _is_late(self, more: float) -> bool:
        """Whether there are not so many more seconds."""
        self._is_over = time.monotonic() + more > self._end
        return self._is_over
