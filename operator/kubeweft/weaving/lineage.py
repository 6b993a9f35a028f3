"""Which objects were active in which window, and who owns them.

An object that is active in a window carries its whole chain of owners into that window, so that a quiet ReplicaSet
between a busy Pod and its Deployment breaks nothing. Activity and ownership may become known in any order: whichever
comes second completes the chain, so the links are the same however arrivals are shuffled.

Memory is bounded by forgetting windows that are long over; forgetting only means that a known link is written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kubeweft.links.owners import Parent
from kubeweft.model import identity
from kubeweft.model.references import ObjectKey

WINDOWS_KEPT = 6


class Trace(NamedTuple):
    """The ID of a stored trace, and that of its root span."""

    id: bytes
    root: bytes


class Touched(NamedTuple):
    """An object was active in a window for the first time."""

    key: ObjectKey
    window: int
    trace: Trace


class Linked(NamedTuple):
    """An object and one of its owners were joined in a window; both have been touched there before."""

    child: ObjectKey
    parent: Parent
    window: int


Step = Touched | Linked


class Lineage:
    """Activity and ownership of one cluster's objects, closed under "an active object's owners are active too"."""

    def __init__(self, *, window_length: int) -> None:
        """``window_length`` is in nanoseconds."""
        self._length = window_length
        self._traces: dict[ObjectKey, dict[int, Trace]] = {}
        self._parents: dict[ObjectKey, tuple[Parent, ...]] = {}
        self._gone: set[ObjectKey] = set()
        self._newest = 0

    def trace_of(self, key: ObjectKey, window: int) -> Trace | None:
        """The trace of an object that has been active in a window, else None."""
        windows = self._traces.get(key)
        return None if windows is None else windows.get(window)

    def touch(self, key: ObjectKey, window: int) -> Iterator[Step]:
        """Record that ``key`` was active; gives what follows from it, nothing if that was known."""
        windows = self._traces.get(key)
        if windows is None:
            windows = self._traces[key] = {}
        elif window in windows:
            return
        trace_id = identity.trace_id(key, window, self._length)
        trace = windows[window] = Trace(trace_id, identity.object_span_id(trace_id))
        self._newest = max(self._newest, window)
        yield Touched(key, window, trace)
        for parent in self._parents.get(key, ()):
            yield from self._join(key, parent, window)

    def learn(self, key: ObjectKey, parent: Parent) -> Iterator[Step]:
        """Record an owner of ``key``; gives the links it makes in all windows where ``key`` was active."""
        known = self._parents.get(key, ())
        if parent in known:
            return
        self._parents[key] = (*known, parent)
        self._gone.discard(key)
        for window in tuple(self._traces.get(key, ())):
            yield from self._join(key, parent, window)

    def parents_of(self, key: ObjectKey) -> tuple[Parent, ...]:
        """The owners of ``key`` that are known."""
        return self._parents.get(key, ())

    def forget_activity(self) -> None:
        """Forget what was active: what is written next is complete by itself, at the price of repeating some."""
        self._traces.clear()

    def object_gone(self, key: ObjectKey) -> None:
        """The object was deleted: its owners are kept while it was active lately, for what arrives late."""
        if key in self._parents:
            self._gone.add(key)

    def prune(self) -> None:
        """Forget windows that are long over, and the owners of deleted objects that were not active since."""
        oldest = self._newest - WINDOWS_KEPT * self._length
        for key in list(self._traces):
            windows = self._traces[key]
            for window in [w for w in windows if w < oldest]:
                del windows[window]
            if not windows:
                del self._traces[key]
        for key in [gone for gone in self._gone if gone not in self._traces]:
            self._gone.discard(key)
            self._parents.pop(key, None)

    @property
    def size(self) -> int:
        """How many objects are held."""
        return len(self._traces.keys() | self._parents.keys())

    def _join(self, child: ObjectKey, parent: Parent, window: int) -> Iterator[Step]:
        yield from self.touch(parent.key, window)
        yield Linked(child, parent, window)
