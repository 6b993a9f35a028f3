"""The span as all rooms know it: what is woven, stored, exported and shown.

It is close to an OTLP span, but belongs to an object (``key``), says which kind of fact it is (``source``) and may
carry the whole object (``body``). Attribute order is the writer's and is kept everywhere, so that a span sent twice
is the same bytes twice. Times are nanoseconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from kubeweft.model.references import ObjectKey

Source = Literal["object", "request", "change", "event", "link", "gap", "group", "foreign"]
SOURCES: Final = ("object", "request", "change", "event", "link", "gap")
"""The sources that are stored. ``group`` is made for display; ``foreign`` is a span of another tracing system."""

AttributeValue = str | int | float | bool
Attributes = dict[str, AttributeValue]


class SpanLink(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A link to a span of another trace (an OpenTelemetry span link)."""

    trace_id: bytes
    span_id: bytes
    attributes: Attributes


class Span(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact about one object in one window.

    ``parent_span_id`` is empty for the root. ``error`` is empty unless the fact is a failure; then it is the message
    of the OTLP status. ``body`` is the object as JSON (redacted, without managedFields) where the span is a snapshot
    of it, else empty.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    source: Source
    key: ObjectKey
    name: str
    start: int
    end: int
    attributes: Attributes
    links: tuple[SpanLink, ...] = ()
    error: str = ""
    body: bytes = b""
