"""Whole traces of single objects out of a remote store: fetched in batches, put together, remembered for a moment.

A story asks for windows first and for their spans right after, and objects that share a trace are asked for one by
one. So what was read is remembered, by the trace that holds it, for the seconds in which a story is read.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from kubeweft.model.references import ObjectKey
from kubeweft.otlp.regrouping import Part, merged, parts_of
from kubeweft.store.remote.sources import FoundTraces, RemoteOptions, TooMuch, TraceSource

MOST_REMEMBERED: Final = 100_000  # spans
MOST_AT_ONCE: Final = 4  # calls to the store at the same time
MOST_HOPS: Final = 4  # how often one may be sent on from trace to trace


class _Remembered(NamedTuple):
    parts: list[Part]
    spans: int
    until: float


class Traces:
    """Reads from one source; may be used from any thread."""

    def __init__(
        self,
        source: TraceSource,
        options: RemoteOptions,
        *,
        now: Callable[[], float] = time.monotonic,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        """``now`` is a clock in seconds that only grows; ``most_remembered`` counts spans."""
        self._source = source
        self._options = options
        self._now = now
        self._most = most_remembered
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="remote-store")
        self._lock = threading.Lock()
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._hosts: dict[ObjectKey, dict[bytes, None]] = {}
        self._spans = 0

    def read(
        self, trace_ids: Iterable[bytes], *, since: int | None = None, until: int | None = None
    ) -> dict[bytes, Part]:
        """The objects whose own traces these are, with all their spans, wherever those lie; unknown IDs are left out.

        ``since`` and ``until`` bound the traces, where that is known: some databases look into fewer places then.
        """
        wanted = list(dict.fromkeys(trace_ids))
        gathered: dict[bytes, list[Part]] = {}
        visited: set[bytes] = set()
        asked = wanted
        for _ in range(MOST_HOPS):
            visited.update(asked)
            for parts in self._physical(asked, since=since, until=until).values():
                for part in parts:
                    gathered.setdefault(part.trace_id, []).append(part)
            elsewhere = {home for one in wanted for part in gathered.get(one, ()) for home in part.elsewhere}
            asked = sorted(elsewhere - visited)
            if not asked:
                break
        return {one: merged(gathered[one]) for one in wanted if one in gathered}

    def take_in(self, found: FoundTraces) -> list[Part]:
        """Remember traces that a search brought; gives the objects in them, as far as these traces tell."""
        taken = self._taken_apart(found)
        self._remember(taken)
        return [part for parts in taken.values() for part in parts]

    def guests_at(self, key: ObjectKey) -> list[Part]:
        """What is remembered of an object in the traces of others."""
        now = self._now()
        with self._lock:
            hosts = self._hosts.get(key, {})
            return [
                part
                for trace in hosts
                if (known := self._remembered.get(trace)) is not None and known.until > now
                for part in known.parts
                if part.place.key == key
            ]

    def complete(self, parts: Iterable[Part], found: Container[bytes]) -> list[Part]:
        """The same objects with what lies in traces other than those ``found``."""
        by_trace: dict[bytes, list[Part]] = {}
        for part in parts:
            by_trace.setdefault(part.trace_id, []).append(part)
        scattered = [
            trace
            for trace, some in by_trace.items()
            if trace not in found or any(part.elsewhere for part in some)
        ]
        whole = self.read(scattered) if scattered else {}
        return [whole.get(trace) or merged(some) for trace, some in by_trace.items()]

    def close(self) -> None:
        """End the threads; nobody may be reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _physical(
        self, trace_ids: list[bytes], *, since: int | None, until: int | None
    ) -> Mapping[bytes, list[Part]]:
        found = self._known(trace_ids)
        missing = [one for one in trace_ids if one not in found]
        size = self._source.ids_at_once
        batches = [missing[begin : begin + size] for begin in range(0, len(missing), size)]

        def fetch(batch: list[bytes]) -> FoundTraces:
            try:
                return self._source.get(batch, since=since, until=until)
            except TooMuch:
                if len(batch) < 2:
                    raise
                half = len(batch) // 2
                return {**fetch(batch[:half]), **fetch(batch[half:])}

        answers = [fetch(batches[0])] if len(batches) == 1 else self._pool.map(fetch, batches)
        for answer in answers:
            fetched = self._taken_apart(answer)
            self._remember(fetched)
            found.update(fetched)
        return found

    def _taken_apart(self, found: FoundTraces) -> dict[bytes, list[Part]]:
        length = self._options.window_length
        return {trace: parts_of(trace, spans, length=length) for trace, spans in found.items()}

    def _known(self, trace_ids: Iterable[bytes]) -> dict[bytes, list[Part]]:
        now = self._now()
        with self._lock:
            return {
                one: known.parts
                for one in trace_ids
                if (known := self._remembered.get(one)) is not None and known.until > now
            }

    def _remember(self, fetched: Mapping[bytes, list[Part]]) -> None:
        if self._options.fresh <= 0:
            return
        until = self._now() + self._options.fresh
        with self._lock:
            for trace, parts in fetched.items():
                self._forget(trace)
                count = (
                    sum(len(part.spans) for part in parts) or 1
                )  # also what holds nothing of ours takes room
                self._remembered[trace] = _Remembered(parts, count, until)
                for part in parts:
                    if part.trace_id != trace:
                        self._hosts.setdefault(part.place.key, {})[trace] = None
                self._spans += count
            while self._spans > self._most and len(self._remembered) > 1:
                self._forget(next(iter(self._remembered)))

    def _forget(self, trace: bytes) -> None:
        known = self._remembered.pop(trace, None)
        if known is None:
            return
        self._spans -= known.spans
        for part in known.parts:
            hosts = self._hosts.get(part.place.key, {})
            if hosts.pop(trace, "") is None and not hosts:
                del self._hosts[part.place.key]
