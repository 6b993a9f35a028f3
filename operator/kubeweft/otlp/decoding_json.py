"""The same spans out of OTLP's JSON form, as HTTP query services answer with it.

IDs are hexadecimal there (base64 from services that follow protobuf's own rules), and 64-bit numbers are text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from kubeweft.model.spans import Attributes, AttributeValue, Span, SpanLink
from kubeweft.otlp.decoding import ReceivedSpan, restored_spans

Json = Mapping[str, Any]

_FAILED: Final = (2, "2", "STATUS_CODE_ERROR")


def decode_json(resource_spans: Iterable[Json]) -> Iterator[Span]:
    """Our spans among the ``resourceSpans`` of an answer; ValueError, KeyError or TypeError if it is none."""
    for group in resource_spans:
        received = (
            _received(span) for scope in group.get("scopeSpans", ()) for span in scope.get("spans", ())
        )
        yield from restored_spans(_attributes(group.get("resource", {}).get("attributes", ())), received)


def _received(span: Json) -> ReceivedSpan:
    status = span.get("status", {})
    links = [
        SpanLink(_id(link["traceId"]), _id(link["spanId"]), _attributes(link.get("attributes", ())))
        for link in span.get("links", ())
    ]
    return ReceivedSpan(
        _id(span["traceId"]),
        _id(span["spanId"]),
        _id(span.get("parentSpanId", "")),
        span.get("name", ""),
        int(span.get("startTimeUnixNano", 0)),
        int(span.get("endTimeUnixNano", 0)),
        _attributes(span.get("attributes", ())),
        tuple(links),
        status.get("code") in _FAILED,
        status.get("message", ""),
    )


def _id(text: str) -> bytes:
    if len(text) in (16, 32):
        return bytes.fromhex(text)
    return base64.b64decode(text, validate=True)


def _attributes(pairs: Iterable[Json]) -> Attributes:
    return {pair.get("key", ""): _value(pair.get("value", {})) for pair in pairs}


def _value(value: Json) -> AttributeValue:
    for kind, told in value.items():
        if kind == "intValue":
            return int(told)
        if kind == "doubleValue":
            return float(told)  # also "NaN" and "Infinity"
        return told if isinstance(told, str | bool) else str(told)
    return ""
