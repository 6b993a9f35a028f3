"""Which objects were active in which window, and how they relate.

An object that is active in a window carries its relations into that window: its whole chain of parents, so that a quiet
ReplicaSet between a busy Pod and its Deployment breaks nothing, and its peers. Of a relation to a child it is the child
that carries: a busy Pod brings the Service that selects it, a busy Service not all of its Pods. What was carried in
carries its own parents on, but not its peers: a Node of a busy Pod does not bring all that is known of Nodes.

Activity and relations may become known in any order: whichever comes second completes the chain, so the links are the
same however arrivals are shuffled. Memory is bounded by forgetting windows that are long over; forgetting only means
that a known link is written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kubeweft.model import identity
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation

WINDOWS_KEPT = 6


class Trace(NamedTuple):
    """The ID of a stored trace, and that of its root span; whether the object did something in it itself."""

    id: bytes
    root: bytes
    active: bool = True


class Touched(NamedTuple):
    """An object got a trace in a window."""

    key: ObjectKey
    window: int
    trace: Trace


class Linked(NamedTuple):
    """Two objects were joined in a window; both have been touched there before."""

    source: ObjectKey
    relation: Relation
    window: int


Step = Touched | Linked


class _Edge(NamedTuple):
    """A relation as its carrier sees it: ``other`` is carried along, ``upward`` if it is the carrier's parent."""

    other: ObjectKey
    upward: bool
    source: ObjectKey
    relation: Relation


class Lineage:
    """Activity and relations of objects, closed under "what an active object carries has a trace too"."""

    def __init__(self, *, window_length: int) -> None:
        """``window_length`` is in nanoseconds."""
        self._length = window_length
        self._traces: dict[ObjectKey, dict[int, Trace]] = {}
        self._owners: dict[ObjectKey, tuple[Relation, ...]] = {}
        self._by_rules: dict[ObjectKey, tuple[Relation, ...]] = {}
        self._carried: dict[ObjectKey, tuple[_Edge, ...]] = {}  # by carrier; owners are not repeated in it
        self._gone: set[ObjectKey] = set()
        self._newest = 0

    def trace_of(self, key: ObjectKey, window: int) -> Trace | None:
        """The trace that an object has in a window, else None."""
        windows = self._traces.get(key)
        return None if windows is None else windows.get(window)

    def touch(self, key: ObjectKey, window: int, *, active: bool = True) -> Iterator[Step]:
        """Record that ``key`` was active, or carried in; gives what follows from it, nothing if that was known."""
        windows = self._traces.get(key)
        if windows is None:
            windows = self._traces[key] = {}
        known = windows.get(window)
        if known is not None and (known.active or not active):
            return
        if known is None:
            trace_id = identity.trace_id(key, window, self._length)
            windows[window] = Trace(trace_id, identity.object_span_id(trace_id), active)
            self._newest = max(self._newest, window)
            yield Touched(key, window, windows[window])
        else:
            windows[window] = known._replace(active=True)
        for edge in self._edges(key):
            if (known is None and edge.upward) or (active and not edge.upward):
                yield from self._join(edge, window)

    def learn(self, key: ObjectKey, owner: Relation) -> Iterator[Step]:
        """Record an owner of ``key``; gives the links it makes in all windows where ``key`` has a trace."""
        self._gone.discard(key)
        known = self._owners.get(key, ())
        if owner in known:
            return
        self._owners[key] = (*known, owner)
        for window in tuple(self._traces.get(key, ())):
            yield from self._join(_edge(key, owner), window)

    def relate(
        self, key: ObjectKey, relations: tuple[Relation, ...], window: int, *, begins: bool = True
    ) -> Iterator[Step]:
        """Record all that rules say of ``key`` from ``window`` on, in place of what they said before.

        Links are written in ``window`` in any case, unless it ``begins`` not: then only where they are carried.
        """
        self._gone.discard(key)
        before = self._by_rules.get(key, ())
        if relations == before:
            return
        known, now = frozenset(before), frozenset(relations)  # a Service may have a thousand
        for relation in before:
            if relation not in now:
                self._drop_edge(key, relation)
        if relations:
            self._by_rules[key] = relations
        else:
            del self._by_rules[key]
        for relation in relations:
            if relation not in known:
                edge = _edge(key, relation)
                carrier = _carrier(key, relation)
                self._carried[carrier] = (*self._carried.get(carrier, ()), edge)
                if begins:
                    yield from self.touch(carrier, window, active=False)
                    yield from self._join(edge, window)
                yield from self._catch_up(carrier, edge, window if begins else window - 1)

    def owners_of(self, key: ObjectKey) -> tuple[Relation, ...]:
        """The owners of ``key`` that are known."""
        return self._owners.get(key, ())

    def forget_activity(self) -> None:
        """Forget what was active: what is written next is complete by itself, at the price of repeating some."""
        self._traces.clear()

    def object_lives(self, key: ObjectKey) -> None:
        """There is such an object (again)."""
        self._gone.discard(key)

    def object_gone(self, key: ObjectKey) -> None:
        """The object was deleted: its relations are kept while it was active lately, for what arrives late."""
        if key in self._owners or key in self._by_rules:
            self._gone.add(key)

    def forget_cluster(self, cluster: str) -> None:
        """Nobody watches a cluster any more: what its objects relate to will not be told again."""
        for key in [key for key in self._owners if key.cluster == cluster]:
            del self._owners[key]
        for key in [key for key in self._by_rules if key.cluster == cluster]:
            for relation in self._by_rules.pop(key):
                self._drop_edge(key, relation)

    def prune(self) -> None:
        """Forget windows that are long over, and the relations of deleted objects that were not active since."""
        oldest = self._newest - WINDOWS_KEPT * self._length
        for key in list(self._traces):
            windows = self._traces[key]
            for window in [w for w in windows if w < oldest]:
                del windows[window]
            if not windows:
                del self._traces[key]
        for key in [gone for gone in self._gone if gone not in self._traces]:
            self._gone.discard(key)
            self._owners.pop(key, None)
            for relation in self._by_rules.pop(key, ()):
                self._drop_edge(key, relation)

    @property
    def size(self) -> int:
        """How many objects are held."""
        return len(self._traces.keys() | self._owners.keys() | self._by_rules.keys())

    def _edges(self, key: ObjectKey) -> tuple[_Edge, ...]:
        owners = self._owners.get(key)
        carried = self._carried.get(key, ())
        return carried if owners is None else (*[_edge(key, owner) for owner in owners], *carried)

    def _catch_up(self, carrier: ObjectKey, edge: _Edge, after: int) -> Iterator[Step]:
        """Into all windows into which a relation that has just become known should have been carried."""
        for window, trace in tuple(self._traces.get(carrier, {}).items()):
            if window > after and (trace.active or edge.upward):
                yield from self._join(edge, window)

    def _drop_edge(self, key: ObjectKey, relation: Relation) -> None:
        carrier = _carrier(key, relation)
        left = tuple(e for e in self._carried.get(carrier, ()) if (e.source, e.relation) != (key, relation))
        if left:
            self._carried[carrier] = left
        else:
            self._carried.pop(carrier, None)

    def _join(self, edge: _Edge, window: int) -> Iterator[Step]:
        yield from self.touch(edge.other, window, active=False)
        yield Linked(edge.source, edge.relation, window)


def _carrier(source: ObjectKey, relation: Relation) -> ObjectKey:
    return relation.target if relation.role == "Child" else source


def _edge(source: ObjectKey, relation: Relation) -> _Edge:
    if relation.role == "Child":
        return _Edge(source, upward=True, source=source, relation=relation)
    return _Edge(relation.target, upward=relation.role == "Parent", source=source, relation=relation)
