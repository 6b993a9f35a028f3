"""A trace store of somebody else in memory: it holds what our exporter would send, and has the habits of real ones.

Spans go in as OTLP bytes and come out decoded. Habits are switched on one by one: attributes of links dropped, at most
so many traces or spans from one search and in no order, tags of a search skipped, the second of two equal IDs kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kubeweft.model import vocabulary as v
from kubeweft.model.references import group_resource
from kubeweft.model.spans import Span, SpanLink
from kubeweft.otlp.decoding import OBJECT_PARTS, decode_spans
from kubeweft.otlp.encoding import encode_batch
from kubeweft.otlp.jaeger_storage import TraceQuery
from kubeweft.store.remote.sources import TooMuch


class MemorySource:
    """Implements ``TraceSource``; ``calls`` counts what was asked, ``fetched`` the traces asked for by ID.

    ``given`` counts the spans that searches brought.
    """

    where = "the store in memory"
    finds_by_tags = True

    def __init__(
        self,
        spans: Iterable[Span] = (),
        *,
        drops_link_attributes: bool = False,
        keeps_last: bool = False,
        skips_tags: bool = False,
        lists_names: bool = True,
        ids_at_once: int = 3,
        most_probed: int = 100,
        most_spans: int = 1_000_000,
    ) -> None:
        self._drops, self._keeps_last, self._skips = drops_link_attributes, keeps_last, skips_tags
        self.names_are_operations = lists_names
        self.object_service = "kubeweft-object" if lists_names else "stored"
        self.ids_at_once, self.most_probed, self._most_spans = ids_at_once, most_probed, most_spans
        self._traces: dict[bytes, list[Span]] = {}
        self.calls: Counter[str] = Counter()
        self.fetched: list[bytes] = []
        self.given = 0
        self.closed = False
        self.add(spans)

    def add(self, spans: Iterable[Span]) -> None:
        """Receive spans, in several requests."""
        waiting = list(spans)
        for begin in range(0, len(waiting), 50):
            payload = encode_batch(waiting[begin : begin + 50])
            for span in decode_spans(ExportTraceServiceRequest.FromString(payload).resource_spans):
                self._store(span)

    def get(
        self, trace_ids: Sequence[bytes], *, since: int | None, until: int | None
    ) -> dict[bytes, list[Span]]:
        assert len(trace_ids) <= self.ids_at_once
        self.calls["get"] += 1
        self.fetched += trace_ids
        return {one: list(self._traces[one]) for one in trace_ids if one in self._traces}

    def find(self, query: TraceQuery) -> dict[bytes, list[Span]]:
        self.calls["find"] += 1
        fitting = [one for one, spans in self._traces.items() if any(self._fits(s, query) for s in spans)]
        fitting.sort(key=lambda one: hashlib.sha256(one).digest())  # in no order
        if query.attributes and self._skips:
            self.finds_by_tags = False
        found = {one: list(self._traces[one]) for one in fitting[: query.depth]}
        if sum(map(len, found.values())) > self._most_spans:
            raise TooMuch("the answer is too large")
        self.given += sum(map(len, found.values()))
        return found

    def operations(self, service: str) -> list[str]:
        self.calls["operations"] += 1
        spans = [span for trace in self._traces.values() for span in trace if span.source == "object"]
        if self.names_are_operations:
            return sorted({span.name for span in spans})
        return sorted({span.key.cluster for span in spans})

    def close(self) -> None:
        self.closed = True

    def _store(self, span: Span) -> None:
        if self._drops:
            links = tuple([SpanLink(link.trace_id, link.span_id, {}) for link in span.links])
            span = msgspec.structs.replace(span, links=links)
        trace = self._traces.setdefault(span.trace_id, [])
        if self._keeps_last:
            trace[:] = [one for one in trace if one.span_id != span.span_id]
        trace.append(span)

    def _fits(self, span: Span, query: TraceQuery) -> bool:
        if span.source != "object" or query.since is None or query.until is None:
            return False
        tags = {} if self._skips else query.attributes
        key = {name: {part} for name, part in zip(OBJECT_PARTS, span.key, strict=True)}
        key[v.RESOURCE].add(group_resource(span.key.group, span.key.resource))  # as Kubeweft itself reads it
        return (
            query.service == self.object_service
            and query.operation in ("", span.name)
            and query.since <= span.start <= query.until
            and all(value in key[name] for name, value in tags.items())
        )
