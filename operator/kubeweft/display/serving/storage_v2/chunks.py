"""Displayed spans as messages that Jaeger takes: never empty, never of two traces, and far below its limit of 4 MiB."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Final

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import AttributeValue
from kubeweft.otlp import wire
from kubeweft.otlp.encoding import NEVER_REPEATED

MOST_SPANS: Final = 500
FIRST_SPANS: Final = 50  # so that something is on its way early
MOST_BYTES: Final = 900 * 1024
# Between spans of one host Jaeger looks for no skew of clocks: what a view puts under something else was often later.
ONE_CLOCK: Final = {"host.id": "kubeweft"}
FRAMING: Final = 64  # bytes around each span and each resource, at most


def chunks_of(traces: Iterable[DisplayedTrace]) -> Iterator[bytes]:
    """Several traces, one after the other."""
    for trace in traces:
        yield from trace_chunks(trace.trace_id, trace.spans)
        del trace  # before the next is made: one tree in memory


def trace_chunks(trace_id: bytes, spans: Iterable[DisplayedSpan]) -> Iterator[bytes]:
    """``TracesData`` messages, encoded, with all spans of one trace in order; none where there are no spans."""
    members: dict[str, list[bytes]] = {}
    count = size = 0
    most = FIRST_SPANS
    for span in spans:
        written = _written(trace_id, span)
        if count and (count >= most or size + len(written) > MOST_BYTES):
            yield _message(members)
            members, count, size, most = {}, 0, 0, MOST_SPANS
        if span.service not in members:
            members[span.service] = []
            size += len(_resource(span.service)) + FRAMING
        members[span.service].append(wire.framed(wire.SPANS, written))
        count += 1
        size += len(written) + FRAMING
    if count:
        yield _message(members)


def _message(members: dict[str, list[bytes]]) -> bytes:
    return b"".join([wire.resource_spans(_resource(service), spans) for service, spans in members.items()])


def _written(trace_id: bytes, span: DisplayedSpan) -> bytes:
    """Jaeger takes a span without any length for one of negative length, and warns: all end a nanosecond later."""
    pieces, others = [b""], []
    for named in span.attributes.items():
        piece = _TEXTS.get(named) or _piece(named)
        if piece is None:
            others.append(named)
        else:
            pieces.append(piece)
    pieces[0] = wire.span_head(
        trace_id=trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.operation,
        start=span.start,
        end=span.end + 1,
        attributes=others,
    )
    pieces.append(wire.span_tail(span.links, span.error))
    return b"".join(pieces)


def _piece(named: tuple[str, AttributeValue]) -> bytes | None:
    """An attribute as it may come again, for there are hundreds of thousands in a large trace; None if it will not."""
    name, value = named
    if name in NEVER_REPEATED or not wire.is_cacheable(value):
        return None
    piece = wire.cached_attribute_piece(name, value)
    if value.__class__ is str:  # 1 and True would share their place
        if len(_TEXTS) >= wire.CACHED_PIECES:
            _TEXTS.clear()
        _TEXTS[named] = piece
    return piece


_TEXTS: dict[tuple[str, AttributeValue], bytes] = {}
"""Texts that have come before. Threads may do the same work twice here, and nothing worse."""


@functools.lru_cache(maxsize=4096)
def _resource(service: str) -> bytes:
    attributes = wire.key_values({v.SERVICE_NAME: service, v.SERVICE_NAMESPACE: "kubeweft", **ONE_CLOCK})
    written: bytes = otlp.ResourceSpans(resource=Resource(attributes=attributes)).SerializeToString()
    return written
