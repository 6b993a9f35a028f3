"""Pieces of OTLP messages as bytes, cached and joined: protobuf promises that joined messages read as the merged one.

Everything inside a piece is written by protobuf itself; by hand is only the framing of what is encoded already.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.model.spans import Attributes, AttributeValue, SpanLink
from kubeweft.otlp.attributes import SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, clean_text, clean_value

SAMPLED: Final = 0x01
PARENT_IS_LOCAL: Final = 0x100  # "is remote" is known, and it is not
CACHED_PIECES: Final = 32_768
LONGEST_CACHED: Final = 96  # characters


def framed(tag: bytes, content: bytes) -> bytes:
    """One length-delimited field: the only part of the wire format written by hand."""
    length = len(content)
    size = bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return b"".join((tag, size, content))


def span_head(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_span_id: bytes,
    name: str,
    start: int,
    end: int,
    attributes: Iterable[tuple[str, AttributeValue]] = (),
) -> bytes:
    """What every span begins with, and attributes that are not worth a piece of their own.

    What UTF-8 or OTLP cannot hold is mended.
    """
    head = otlp.Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        kind=otlp.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
    )
    try:
        head.name = name
        for key, value in attributes:
            _write(head.attributes.add(), key, value)
    except ValueError:  # surrogates, or an integer that does not fit
        head.name = clean_text(name)
        del head.attributes[:]
        for key, value in attributes:
            _write(head.attributes.add(), clean_text(key), clean_value(value))
    written: bytes = head.SerializeToString()
    return written


def span_tail(links: tuple[SpanLink, ...], error: str) -> bytes:
    """What every span ends with: its links, its status, its flags."""
    if not links and not error:
        return PLAIN_TAIL
    tail = otlp.Span(links=[_link(link) for link in links], flags=SAMPLED | PARENT_IS_LOCAL)
    if error:
        tail.status.code = otlp.Status.STATUS_CODE_ERROR
        tail.status.message = clean_text(error)
    written: bytes = tail.SerializeToString()
    return written


def attribute_piece(key: str, value: AttributeValue) -> bytes:
    """One attribute of a span; what OTLP cannot hold is mended."""
    piece = otlp.Span()
    try:
        _write(piece.attributes.add(), key, value)
    except ValueError:  # surrogates, or an integer that does not fit
        piece = otlp.Span()
        _write(piece.attributes.add(), clean_text(key), clean_value(value))
    written: bytes = piece.SerializeToString()
    return written


# ``typed``: 1, 1.0 and True are equal and hash alike.
cached_attribute_piece = functools.lru_cache(CACHED_PIECES, typed=True)(attribute_piece)


def is_cacheable(value: AttributeValue) -> bool:
    """Long texts would fill the memory, and floats are left out because -0.0 equals 0.0 and would share its place."""
    return value.__class__ is not float and len(str(value)) <= LONGEST_CACHED


def key_values(attributes: Attributes) -> list[KeyValue]:
    """Attributes as messages."""
    written = otlp.Span()
    for key, value in attributes.items():
        _write(written.attributes.add(), clean_text(key), clean_value(value))
    return list(written.attributes)


def _link(link: SpanLink) -> otlp.Span.Link:
    return otlp.Span.Link(
        trace_id=link.trace_id, span_id=link.span_id, attributes=key_values(link.attributes), flags=SAMPLED
    )


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


RESOURCE_SPANS: Final = b"\x0a"  # resource_spans, field 1 of ExportTraceServiceRequest and of TracesData
SCOPE_SPANS: Final = b"\x12"  # ResourceSpans.scope_spans, field 2
SPANS: Final = b"\x12"  # ScopeSpans.spans, field 2
SCOPE: Final[bytes] = otlp.ScopeSpans(
    scope=InstrumentationScope(name=SCOPE_NAME, version=SCOPE_VERSION)
).SerializeToString()
SCOPE_SCHEMA: Final[bytes] = otlp.ScopeSpans(schema_url=SCHEMA_URL).SerializeToString()
SCHEMA: Final[bytes] = otlp.ResourceSpans(schema_url=SCHEMA_URL).SerializeToString()
PLAIN_TAIL: Final[bytes] = otlp.Span(flags=SAMPLED | PARENT_IS_LOCAL).SerializeToString()


def resource_spans(resource: bytes, spans: list[bytes]) -> bytes:
    """A whole ``ResourceSpans`` field: ``resource`` is the start of the message, ``spans`` are framed already."""
    scope_spans = framed(SCOPE_SPANS, SCOPE + b"".join(spans) + SCOPE_SCHEMA)
    return framed(RESOURCE_SPANS, resource + scope_spans + SCHEMA)
