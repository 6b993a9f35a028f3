"""Finding objects in a remote store: by tags where the store heeds them, else by the names of object spans.

Windows are walked from the newest backwards, and the walk ends when nothing older can still be among the first
``limit``; what else there is of the objects found is then asked for one by one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey, group_resource
from kubeweft.model.windows import window_start
from kubeweft.otlp.decoding import OBJECT_PARTS
from kubeweft.otlp.jaeger_storage import TraceQuery
from kubeweft.otlp.regrouping import Part
from kubeweft.store.interfaces import FoundObject, ObjectQuery
from kubeweft.store.remote.matching import fits, match
from kubeweft.store.remote.slicing import LATEST, Slice, Slicing, TagsSkipped
from kubeweft.store.remote.sources import RemoteOptions, TraceSource

MOST_NAMES: Final = 500  # asked for one by one
MOST_AT_ONCE: Final = 4

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Resource = tuple[str | None, str]
Windows = dict[ObjectKey, dict[bytes, Part]]


class Finding:
    """Searches for objects; may be used from any thread."""

    def __init__(self, source: TraceSource, slicing: Slicing, options: RemoteOptions) -> None:
        self._source = source
        self._slicing = slicing
        self._options = options
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="remote-search")

    def windows(self, key: ObjectKey, *, since: int, until: int) -> Iterator[Part]:
        """The windows of one object that begin between two times, the newest first, as far as they are read."""
        query = self._query(self._tags(key), name=str(key))
        try:
            for one in self._slicing.walk(query, since=since, until=until, wanted=key.__eq__):
                if one.full and not one.parts:
                    raise UserError(self._slicing.too_many(self._options.depth))
                yield from sorted(one.parts, key=lambda part: -part.place.start)
        except TagsSkipped:
            raise UserError(f"{self._source.where}: it cannot find objects: it skips tags") from None

    def objects(self, query: ObjectQuery) -> list[FoundObject]:
        """Objects that match, those with the latest span first; at most ``query.limit`` + 1."""
        if query.limit < 0:
            return []
        length = self._options.window_length
        since = window_start(max(query.since - length, 0), length)
        windows: Windows = {}
        stopped = [
            self._gather(query, resource, windows, since=since)
            for resource in query.resources or ((None, ""),)
        ]
        chosen = _latest(windows, query)[: query.limit + 1]
        if any(stopped):
            self._complete([one.key for one in chosen], windows, since=since, until=query.until)
            chosen = [one for one in _latest(windows, query) if one.key in {c.key for c in chosen}]
        return chosen

    def names(self) -> list[str]:
        """The names of all object spans, ``resource.group/namespace/name``, as far as the store lists them."""
        if not self._source.names_are_operations:
            return []
        return self._source.operations(self._source.object_service)

    def clusters(self) -> list[str]:
        """The clusters of what is stored, or of the newest of it, where that is much."""
        if not self._source.names_are_operations:
            return self._source.operations(self._source.object_service)
        parts: list[Part] = []
        for one in self._slicing.walk(self._query({}), since=0, until=LATEST, wanted=lambda _: True):
            parts += one.parts
            if len(parts) >= self._options.depth:
                break
        return sorted({part.place.key.cluster for part in parts})

    def at_once(self, ask: Callable[[Asked], Answer], questions: Iterable[Asked]) -> list[Answer]:
        """Ask several things at the same time, a few at once; answers in the order of the questions."""
        return list(self._pool.map(ask, questions))

    def close(self) -> None:
        """End the threads; nobody may be reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _gather(self, query: ObjectQuery, resource: Resource, windows: Windows, *, since: int) -> bool:
        """Add what one kind of resource has to ``windows``; whether it ended before all of it was read."""
        ends = _Ends(query)
        ends.take(part for parts in windows.values() for part in parts.values())
        for one in self._slices(query, resource, since):
            ends.take(one.parts)
            for part in one.parts:
                windows.setdefault(part.place.key, {})[part.trace_id] = part
            if ends.at_or_after(one.since + self._options.window_length) > query.limit:
                return True
            if one.full and len(windows) <= query.limit:
                raise UserError(self._slicing.too_many(self._options.depth))
        return False

    def _slices(self, query: ObjectQuery, resource: Resource, since: int) -> Iterator[Slice]:
        group, name = resource
        exact = self._tags(ObjectKey(query.cluster, group or "", name, query.namespace, query.name))

        def wanted(key: ObjectKey) -> bool:
            return fits(key, query)

        if exact and not self._source.finds_by_tags:
            yield from self._slices_by_name(query, resource, since, wanted)
            return
        try:
            walked = self._slicing.walk(self._query(exact), since=since, until=query.until, wanted=wanted)
            yield from walked
        except TagsSkipped:
            yield from self._slices_by_name(query, resource, since, wanted)

    def _slices_by_name(
        self, query: ObjectQuery, resource: Resource, since: int, wanted: Callable[[ObjectKey], bool]
    ) -> Iterator[Slice]:
        """Each name by itself, if they are not too many; else everything, to choose from here."""
        known = [key for key in map(_key_of, self.names()) if key is not None]
        group, resource_name = resource
        names = [
            key
            for key in known
            if fits(key._replace(cluster=query.cluster), query)
            and resource_name in ("", key.resource)
            and group in (None, key.group)
        ]
        if len(names) > MOST_NAMES:
            yield from self._slicing.walk(self._query({}), since=since, until=query.until, wanted=wanted)
            return

        def search(key: ObjectKey) -> list[Part]:
            asked = self._query({}, name=str(key))
            walked = self._slicing.walk(asked, since=since, until=query.until, wanted=wanted)
            return [part for one in walked for part in one.parts]

        yield Slice(since, [part for parts in self.at_once(search, names) for part in parts], full=False)

    def _complete(self, keys: Iterable[ObjectKey], windows: Windows, *, since: int, until: int) -> None:
        def read(key: ObjectKey) -> list[Part]:
            return list(self.windows(key, since=since, until=until))

        for parts in self.at_once(read, keys):
            for part in parts:
                windows[part.place.key][part.trace_id] = part

    def _tags(self, key: ObjectKey) -> dict[str, str]:
        """What an object span has to bear: parts of a key that are exact. (Not every store indexes empty ones.)"""
        if not self._source.names_are_operations and key.group:
            # Kubeweft reads a resource as kubectl does, by which a group apart is none of those that it knows
            key = key._replace(group="", resource=group_resource(key.group, key.resource))
        parts = zip(OBJECT_PARTS, key, strict=True)
        return {name: part for name, part in parts if part and "*" not in part}

    def _query(self, tags: dict[str, str], *, name: str = "") -> TraceQuery:
        service = self._source.object_service
        return TraceQuery(
            service=service, operation=name if self._source.names_are_operations else "", attributes=tags
        )


class _Ends:
    """How many objects matched at a time or later. Times are asked for from the newest backwards."""

    def __init__(self, query: ObjectQuery) -> None:
        self._query = query
        self._waiting: list[tuple[int, ObjectKey]] = []  # those that matched last first
        self._counted: set[ObjectKey] = set()

    def take(self, parts: Iterable[Part]) -> None:
        """Look at windows, each of them once."""
        for part in parts:
            if (times := match(part, self._query)) is not None:
                heapq.heappush(self._waiting, (-times.last, part.place.key))

    def at_or_after(self, time: int) -> int:
        """How many so far."""
        while self._waiting and -self._waiting[0][0] >= time:
            self._counted.add(heapq.heappop(self._waiting)[1])
        return len(self._counted)


def _latest(windows: Windows, query: ObjectQuery) -> list[FoundObject]:
    """What matches, that with the latest span first."""
    kinds = _kinds(windows)
    found = []
    for key, parts in windows.items():
        matches = [times for part in parts.values() if (times := match(part, query)) is not None]
        if matches:
            first, last = min(times.first for times in matches), max(times.last for times in matches)
            kind = kinds.get((key.cluster, key.group, key.resource), "")
            found.append(FoundObject(key, kind, len(matches), first, last))
    return sorted(found, key=lambda one: (-one.last, one.key))


def _kinds(windows: Windows) -> dict[tuple[str, str, str], str]:
    """The kinds of types, as their objects tell; a request may tell that of a subresource (``Scale``)."""
    told: dict[tuple[str, str, str], str] = {}
    surely: dict[tuple[str, str, str], str] = {}
    for key, parts in windows.items():
        kind_of = (key.cluster, key.group, key.resource)
        for span in (span for part in parts.values() for span in part.spans if v.KIND in span.attributes):
            if span.source in ("change", "object"):
                surely[kind_of] = str(span.attributes[v.KIND])
            elif v.SUBRESOURCE not in span.attributes:
                told.setdefault(kind_of, str(span.attributes[v.KIND]))
    return {**told, **surely}


def _key_of(name: str) -> ObjectKey | None:
    """The object that an object span is called after, without its cluster."""
    parts = name.split("/")
    if len(parts) != 3:
        return None
    resource, _, group = parts[0].partition(".")
    return ObjectKey("", group, resource, parts[1], parts[2])
