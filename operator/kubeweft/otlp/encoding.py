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

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.model import vocabulary
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, AttributeValue, Source, Span, SpanLink
from kubeweft.otlp.attributes import (
    SCHEMA_URL,
    SCOPE_NAME,
    SCOPE_VERSION,
    clean_text,
    clean_value,
    resource_attributes,
    span_attributes,
    times,
)

SAMPLED: Final = 0x01
PARENT_IS_LOCAL: Final = 0x100  # "is remote" is known, and it is not
_CACHED_PIECES: Final = 32_768
_LONGEST_CACHED: Final = 96  # characters

# Values that never come twice would only push others out of the cache. (Long texts would fill the memory, and floats
# are left out because -0.0 equals 0.0 and would share its place.)
_NEVER_REPEATED: Final = frozenset(
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
    pieces = [_head(span)]
    pieces += [
        _attribute_piece(key, value)
        if key in _NEVER_REPEATED or value.__class__ is float or len(str(value)) > _LONGEST_CACHED
        else _cached_attribute_piece(key, value)
        for key, value in span_attributes(span).items()
    ]
    pieces.append(_tail(span) if span.links or span.error else _PLAIN_TAIL)
    return EncodedSpan(_resource_piece(span.key, span.source), b"".join(pieces))


def join_spans(spans: Iterable[EncodedSpan]) -> bytes:
    """An ``ExportTraceServiceRequest`` in which each resource stands once, in the order of first appearance."""
    by_resource: dict[bytes, list[bytes]] = {}
    for resource, span in spans:
        by_resource.setdefault(resource, []).append(_framed(_SPANS, span))
    return b"".join(
        _framed(
            _RESOURCE_SPANS,
            resource + _framed(_SCOPE_SPANS, _SCOPE + b"".join(members) + _SCOPE_SCHEMA) + _SCHEMA,
        )
        for resource, members in by_resource.items()
    )


def encode_batch(spans: Sequence[Span]) -> bytes:
    """The bytes of an ``ExportTraceServiceRequest`` with these spans."""
    return join_spans([encode_span(span) for span in spans])


def _head(span: Span) -> bytes:
    try:
        return _header(span, span.name)
    except ValueError:  # surrogates
        return _header(span, clean_text(span.name))


def _header(span: Span, name: str) -> bytes:
    start, end = times(span)
    header: bytes = otlp.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=name,
        kind=otlp.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
    ).SerializeToString()
    return header


def _tail(span: Span) -> bytes:
    tail = otlp.Span(links=[_link(link) for link in span.links], flags=SAMPLED | PARENT_IS_LOCAL)
    if span.error:
        tail.status.code = otlp.Status.STATUS_CODE_ERROR
        tail.status.message = clean_text(span.error)
    written: bytes = tail.SerializeToString()
    return written


def _link(link: SpanLink) -> otlp.Span.Link:
    return otlp.Span.Link(
        trace_id=link.trace_id, span_id=link.span_id, attributes=_key_values(link.attributes), flags=SAMPLED
    )


def _key_values(attributes: Attributes) -> list[KeyValue]:
    written = otlp.Span()
    for key, value in attributes.items():
        _write(written.attributes.add(), clean_text(key), clean_value(value))
    return list(written.attributes)


def _attribute_piece(key: str, value: AttributeValue) -> bytes:
    piece = otlp.Span()
    try:
        _write(piece.attributes.add(), key, value)
    except ValueError:  # surrogates, or an integer that does not fit
        piece = otlp.Span()
        _write(piece.attributes.add(), clean_text(key), clean_value(value))
    written: bytes = piece.SerializeToString()
    return written


# ``typed``: 1, 1.0 and True are equal and hash alike.
_cached_attribute_piece = functools.lru_cache(_CACHED_PIECES, typed=True)(_attribute_piece)


def _write(target: KeyValue, key: str, value: AttributeValue) -> None:
    target.key = key
    if isinstance(value, str):
        target.value.string_value = value
    elif isinstance(value, bool):
        target.value.bool_value = value
    elif isinstance(value, int):
        target.value.int_value = value
    else:
        target.value.double_value = value


@functools.lru_cache(_CACHED_PIECES)
def _resource_piece(key: ObjectKey, source: Source) -> bytes:
    resource = Resource(attributes=_key_values(resource_attributes(key, source)))
    written: bytes = otlp.ResourceSpans(resource=resource).SerializeToString()
    return written


def _framed(tag: bytes, content: bytes) -> bytes:
    """One length-delimited field: the only part of the wire format written by hand, to join what is encoded already."""
    length = len(content)
    size = bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return b"".join((tag, size, content))


_RESOURCE_SPANS: Final = b"\x0a"  # ExportTraceServiceRequest.resource_spans, field 1
_SCOPE_SPANS: Final = b"\x12"  # ResourceSpans.scope_spans, field 2
_SPANS: Final = b"\x12"  # ScopeSpans.spans, field 2
_SCOPE: Final = otlp.ScopeSpans(
    scope=InstrumentationScope(name=SCOPE_NAME, version=SCOPE_VERSION)
).SerializeToString()
_SCOPE_SCHEMA: Final = otlp.ScopeSpans(schema_url=SCHEMA_URL).SerializeToString()
_SCHEMA: Final = otlp.ResourceSpans(schema_url=SCHEMA_URL).SerializeToString()
_PLAIN_TAIL: Final = otlp.Span(flags=SAMPLED | PARENT_IS_LOCAL).SerializeToString()
