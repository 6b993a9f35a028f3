"""Spans as OTLP bytes: the hot path out.

Everything inside a span is written by protobuf, but in pieces that are cached and joined: protobuf promises that
joined messages read as the merged one, and pieces in the order of their field numbers are the very bytes that the
whole message would be (a property test compares them). Each span is encoded by itself, so its bytes depend on
nothing but the span; only the framing of spans by their resource depends on the neighbours.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.model import vocabulary
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Source, Span
from kubeweft.otlp import wire
from kubeweft.otlp.attributes import resource_attributes, span_attributes, times

# Values that never come twice would only push others out of the cache.
NEVER_REPEATED: Final = frozenset(
    {
        vocabulary.AUDIT_ID,
        vocabulary.RESOURCE_VERSION,
        vocabulary.OLD_VERSION,
        vocabulary.REQUEST_BASE_VERSION,
        vocabulary.PATCH,
        vocabulary.WORDS,
        vocabulary.SNAPSHOT,
        vocabulary.EVENT_UID,
        vocabulary.EVENT_NAME,
    }
)


class EncodedSpan(NamedTuple):
    """One span: the start of its ``ResourceSpans`` message (shared by all spans of a resource), and its own bytes."""

    resource: bytes
    span: bytes


def encode_span(span: Span) -> EncodedSpan:
    """The same span gives the same bytes, always and everywhere; no value of it makes this fail."""
    start, end = times(span)
    pieces = [
        wire.span_head(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_span_id=span.parent_span_id,
            name=span.name,
            start=start,
            end=end,
        )
    ]
    pieces += [
        wire.cached_attribute_piece(key, value)
        if key not in NEVER_REPEATED and wire.is_cacheable(value)
        else wire.attribute_piece(key, value)
        for key, value in span_attributes(span).items()
    ]
    pieces.append(wire.span_tail(span.links, span.error))
    return EncodedSpan(_resource_piece(span.key, span.source), b"".join(pieces))


def join_spans(spans: Iterable[EncodedSpan]) -> bytes:
    """An ``ExportTraceServiceRequest`` in which each resource stands once, in the order of first appearance."""
    by_resource: dict[bytes, list[bytes]] = {}
    for resource, span in spans:
        by_resource.setdefault(resource, []).append(wire.framed(wire.SPANS, span))
    return b"".join(wire.resource_spans(resource, members) for resource, members in by_resource.items())


def encode_batch(spans: Sequence[Span]) -> bytes:
    """The bytes of an ``ExportTraceServiceRequest`` with these spans."""
    return join_spans([encode_span(span) for span in spans])


@functools.lru_cache(wire.CACHED_PIECES)
def _resource_piece(key: ObjectKey, source: Source) -> bytes:
    resource = Resource(attributes=wire.key_values(resource_attributes(key, source)))
    written: bytes = otlp.ResourceSpans(resource=resource).SerializeToString()
    return written
