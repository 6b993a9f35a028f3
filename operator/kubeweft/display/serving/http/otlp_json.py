"""Displayed traces as OTLP JSON, piece by piece: the v3 dialect, which newer UIs and Grafana read.

A piece is a number of ``ResourceSpans``, one for each service in it; a resource may come again in a later piece, which
OTLP allows. Nothing is ever empty: a reader of Grafana takes the first span of every resource without looking.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace, TraceSummary
from kubeweft.display.serving.http.pieces import batches, dump, warnings_of
from kubeweft.model import vocabulary
from kubeweft.model.spans import Attributes, SpanLink
from kubeweft.otlp.attributes import SCOPE_NAME, SCOPE_VERSION

INTERNAL: Final = 1  # SPAN_KIND_INTERNAL
ERROR: Final = 2  # STATUS_CODE_ERROR
WARNINGS: Final = "@jaeger@warnings"  # the attribute under which Jaeger itself hands warnings to its UI
LEAST, GREATEST = -(2**63), 2**63 - 1
_SCOPE: Final = {"name": SCOPE_NAME, "version": SCOPE_VERSION}
_NO_ERROR: Final[dict[str, Any]] = {}


class Text(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The value of nearly all attributes."""

    string_value: str


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """One attribute."""

    key: str
    value: Text | dict[str, Any]


class Link(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """A link to a span of another trace."""

    trace_id: str
    span_id: str
    attributes: list[KeyValue] = []


class OtlpSpan(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One span. An empty parent or link is left out: to those who check, it is no ID."""

    trace_id: str
    span_id: str
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: list[KeyValue]
    status: dict[str, Any]
    parent_span_id: str = ""
    links: list[Link] = []


def resource_pieces(trace: DisplayedTrace) -> Iterator[bytes]:
    """The elements of ``resourceSpans`` for one trace, with commas between them."""
    trace_id = trace.trace_id.hex()
    warnings = warnings_of(trace.tree)
    comma = b""
    for spans in batches(trace.spans):
        by_service: dict[str, list[OtlpSpan]] = {}
        for span in spans:
            written = _span(trace_id, span)
            if warnings and not span.parent_span_id:
                written.attributes.append(_texts(WARNINGS, warnings))
            by_service.setdefault(span.service, []).append(written)
        pieces = dump([_resource_spans(service, members) for service, members in by_service.items()])
        yield comma + pieces[1:-1]
        comma = b","


def summary_json(summary: TraceSummary) -> dict[str, Any]:
    """One line of a search result; every field is there, since the first UIs that read it want them all."""
    services = [
        {"name": name, "spanCount": spans, "errorSpanCount": errors}
        for name, (spans, errors) in sorted(summary.services.items())
    ]
    return {
        "traceId": summary.trace_id.hex(),
        "traceID": summary.trace_id.hex(),  # the name that the first UIs with summaries read
        "rootServiceName": summary.service,
        "rootOperationName": summary.operation,
        "minStartTimeUnixNano": str(summary.start),
        "maxEndTimeUnixNano": str(max(summary.end, summary.start)),
        "spanCount": summary.spans,
        "errorSpanCount": sum(service["errorSpanCount"] for service in services),
        "orphanSpanCount": 0,
        "services": services,
    }


def _resource_spans(service: str, spans: list[OtlpSpan]) -> dict[str, Any]:
    resource = {"attributes": [KeyValue(vocabulary.SERVICE_NAME, Text(service))]}
    return {"resource": resource, "scopeSpans": [{"scope": _SCOPE, "spans": spans}]}


def _span(trace_id: str, span: DisplayedSpan) -> OtlpSpan:
    return OtlpSpan(
        trace_id,
        span.span_id.hex(),
        span.operation,
        INTERNAL,
        str(span.start),
        str(max(span.end, span.start)),
        _attributes(span.attributes),
        {"code": ERROR, "message": span.error} if span.error else _NO_ERROR,
        span.parent_span_id.hex(),
        [_link(link) for link in span.links],
    )


def _link(link: SpanLink) -> Link:
    return Link(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes))


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [
        KeyValue(key, Text(value) if isinstance(value, str) else _value(value))
        for key, value in attributes.items()
    ]


def _value(value: int | float | bool) -> Text | dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if LEAST <= value <= GREATEST else Text(str(value))
    return {"doubleValue": value if math.isfinite(value) else _not_a_number(value)}


def _not_a_number(value: float) -> str:
    """How JSON of protobuf writes what is no number."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _texts(key: str, texts: list[str]) -> KeyValue:
    return KeyValue(key, {"arrayValue": {"values": [Text(text) for text in texts]}})
