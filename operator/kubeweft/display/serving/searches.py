"""A search: the objects that fit a question, the latest first, each as a tree within bounds.

Of stored traces (service ``stored``) one is given for each object and window, as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from kubeweft.display.answering.contract import DisplayedTrace
from kubeweft.display.answering.finer_times import with_finer_times
from kubeweft.display.reading.assembling import NothingStored
from kubeweft.display.serving.looking import Looking
from kubeweft.display.serving.questions import Meaning
from kubeweft.display.serving.ranges import Shown
from kubeweft.display.serving.stored import stored_trace
from kubeweft.display.serving.trees import Bounds, Service, Trees, displayed, keys_of
from kubeweft.model.references import ObjectKey

MOST_TRACES: Final = 1000


class TreeSearch:
    """Trees of the objects found, each once; last a notice where not all objects were looked at."""

    def __init__(self, trees: Trees, service: Service, meaning: Meaning, bounds: Bounds) -> None:
        self._trees = trees
        self._service = service
        self._bounds = bounds
        self._limit = min(meaning.query.limit, MOST_TRACES)
        query = dataclasses.replace(meaning.query, limit=self._limit)
        self._meaning = dataclasses.replace(meaning, query=query)
        self._widely = meaning.narrows or service.selection.siblings
        self._inside: set[ObjectKey] = set()  # trees shown so far, where those are shown from their roots

    def __iter__(self) -> Iterator[DisplayedTrace]:
        if self._limit <= 0:
            return
        meaning, seconds = self._meaning, self._bounds.looking
        looking = Looking(self._trees.reader, meaning.queries, widely=self._widely, seconds=seconds)
        left = self._limit
        for shown in self._candidates(looking):
            trace = self._fitting(shown)
            if trace is not None:
                yield trace
                left -= 1
                if left == 0:
                    return
            del trace  # no more than one tree in memory
        if looking.is_cut:
            yield looking.notice()

    def _candidates(self, looking: Looking) -> Iterator[Shown]:
        """What may be shown: of trees that are shown from their roots, each root once, and nothing that stood in one before."""
        query = self._meaning.query
        for found in looking:
            key = self._root_of(found.key) if self._service.selection.siblings else found.key
            if key is None:
                continue
            shown = self._trees.shown(key, self._service, since=query.since, until=query.until)
            if shown is not None:
                yield shown

    def _root_of(self, key: ObjectKey) -> ObjectKey | None:
        """Where the tree with an object begins; None if that has been there before."""
        if key in self._inside:
            return None
        query = self._meaning.query
        way = self._trees.way_up(
            key, self._service.selection, self._bounds.found, since=query.since, until=query.until
        )
        is_known = way[0] in self._inside
        self._inside.update(way)
        return None if is_known else way[0]

    def _fitting(self, shown: Shown) -> DisplayedTrace | None:
        bounds = self._bounds
        try:
            tree = self._trees.read(shown, self._service, bounds.found)
        except NothingStored:  # it was removed since it was found
            return None
        if self._service.selection.siblings:
            self._inside.update(keys_of(tree.root))
        tree = self._trees.arranged(tree, self._service)
        if self._meaning.narrows and not self._meaning.fits(with_finer_times(tree)):
            return None
        most = max(bounds.search_spans // self._limit, bounds.least_spans)
        return displayed(shown, tree, self._service, most=most)


def find_stored(trees: Trees, meaning: Meaning, bounds: Bounds) -> Iterator[DisplayedTrace]:
    """Stored traces of the objects found, the newest window of each first."""
    left = min(meaning.query.limit, MOST_TRACES)
    query = dataclasses.replace(meaning.query, limit=left)
    looking = Looking(trees.reader, [query], widely=meaning.narrows, seconds=bounds.looking)
    for found in looking if left > 0 else ():
        for window in reversed(trees.reader.windows_of(found.key, since=query.since, until=query.until)):
            trace = stored_trace(trees.reader, window, kinds=trees.kinds)
            if meaning.fits(trace.tree):
                yield trace
                left -= 1
                if left == 0:
                    return
    if looking.is_cut and left > 0:
        yield looking.notice()
