"""Spans of other tracing systems out of OTLP, protobuf or JSON: bounded, and without what looks like a secret.

What is no span (an ID of the wrong length, no beginning) is refused and counted with its reason. Spans of Kubeweft itself
are refused too: it would take its own exports for somebody else's.
"""

from __future__ import annotations

import base64
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from msgspec import structs
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.secret_texts import HIDDEN
from kubeweft.model.spans import Attributes, AttributeValue
from kubeweft.otlp.jaeger_storage import value_text

OURS: Final = "kubeweft"
MOST_ATTRIBUTES: Final = 128  # of a span, and of a resource: OpenTelemetry's own default
LONGEST_NAME: Final = 256
LONGEST_VALUE: Final = 4096
LATEST: Final = 2**63 - 1
_UNTOLD_FAILURE: Final = "failed"
_FAILED: Final = (otlp.Status.STATUS_CODE_ERROR, "2", "STATUS_CODE_ERROR")
_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|passw(?:or)?d|secret|credential|api[-_.]?key|private[-_.]?key|(?:^|[-_.])token$",
    re.IGNORECASE,
)
_WITH_QUERY: Final = frozenset({"http.target", "http.url", "url.full", "url.path"})
_QUERY: Final = "url.query"
_WHO: Final = frozenset(
    {
        "client.address",
        "enduser.id",
        "http.client_ip",
        "net.peer.ip",
        "net.sock.peer.addr",
        "network.peer.address",
        "user.id",
        "user.name",
    }
)

Json = Mapping[str, Any]


class Hiding(Protocol):
    """What takes secrets out of texts; :class:`kubeweft.model.redaction.Redactor` is one."""

    def redact_text(self, text: str) -> str:
        """A text without what looks like a secret."""

    def redact_uri_query(self, path: str, query: str) -> str:
        """The query of a request without what is passed through to others."""

    def identity(self, name: str) -> str:
        """Who somebody is, as far as that may be seen."""


@dataclass(frozen=True, slots=True)
class Received:
    """The spans of one request or answer, and how many were refused for which reason."""

    spans: list[ForeignSpan]
    refused: Counter[str] = field(default_factory=Counter)


class _Told(NamedTuple):
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    start: int
    end: int
    kind: int
    attributes: Attributes
    error: str


def foreign_spans(resource_spans: Iterable[Any], *, hiding: Hiding) -> Received:
    """The spans of OTLP ``ResourceSpans`` messages."""
    groups = (
        (
            _attributes(group.resource.attributes),
            (_told(span) for scope in group.scope_spans for span in scope.spans),
        )
        for group in resource_spans
    )
    return _received(groups, hiding)


def foreign_spans_of_json(resource_spans: Iterable[Json], *, hiding: Hiding) -> Received:
    """The spans of OTLP's JSON form; ValueError, KeyError, AttributeError or TypeError if it is none."""
    groups = (
        (
            _json_attributes(group.get("resource", {}).get("attributes") or ()),
            (_told_in_json(span) for scope in _scopes(group) for span in scope.get("spans") or ()),
        )
        for group in resource_spans
    )
    return _received(groups, hiding)


def cleaned(span: ForeignSpan, *, hiding: Hiding) -> ForeignSpan:
    """A span, whatever way it came, within the limits and without what looks like a secret."""
    return structs.replace(
        span,
        service=hiding.redact_text(span.service[:LONGEST_NAME]),
        name=hiding.redact_text(span.name[:LONGEST_NAME]),
        end=max(span.start, span.end),
        attributes=_clean(span.attributes, hiding),
        resource=_clean(span.resource, hiding),
        error=hiding.redact_text(span.error[:LONGEST_VALUE]),
    )


def is_ours(resource: Attributes) -> bool:
    """Whether a resource is an object that Kubeweft told about, so that its spans are no foreign ones."""
    return v.SOURCE in resource or resource.get(v.SERVICE_NAMESPACE) == OURS


def id_of(text: str) -> bytes:
    """An ID in hexadecimal, or in base64 as services write it that follow protobuf's own rules; ValueError if it is none."""
    return bytes.fromhex(text) if len(text) in (16, 32) else base64.b64decode(text, validate=True)


def _received(groups: Iterable[tuple[Attributes, Iterator[_Told]]], hiding: Hiding) -> Received:
    received = Received([])
    for resource, told in groups:
        ours = is_ours(resource)
        service = str(resource.get(v.SERVICE_NAME, ""))
        others = _clean({name: value for name, value in resource.items() if name != v.SERVICE_NAME}, hiding)
        for one in told:
            reason = "ours" if ours else _fault(one)
            if reason:
                received.refused[reason] += 1
            else:
                span = ForeignSpan(
                    one.trace_id,
                    one.span_id,
                    one.parent_span_id,
                    service,
                    one.name,
                    one.start,
                    min(one.end, LATEST),
                    kind=one.kind,
                    attributes=one.attributes,
                    error=one.error,
                )
                cleaned_span = cleaned(span, hiding=hiding)
                received.spans.append(structs.replace(cleaned_span, resource=others))  # all share one dict
    return received


def _fault(told: _Told) -> str:
    """Why a span cannot be kept, in one word for a metric, or nothing."""
    if len(told.trace_id) != 16 or not any(told.trace_id):
        return "trace_id"
    if len(told.span_id) != 8 or not any(told.span_id):
        return "span_id"
    if told.parent_span_id and len(told.parent_span_id) != 8:
        return "parent_span_id"
    return "" if 0 < told.start <= LATEST else "start"


def _clean(attributes: Attributes, hiding: Hiding) -> Attributes:
    kept: Attributes = {}
    for name, value in attributes.items():
        if len(kept) >= MOST_ATTRIBUTES:
            break
        if not _is_kept(name):
            continue
        if isinstance(value, str) or not -LATEST <= value <= LATEST:
            kept[name] = _clean_value(name, str(value), hiding)
        else:
            kept[name] = value
    return kept


@functools.lru_cache(4096)
def _is_kept(name: str) -> bool:
    """Whether an attribute may have this name: Kubeweft's own belong to Kubeweft's own spans."""
    return bool(name) and len(name) <= LONGEST_NAME and not name.startswith(f"{OURS}.")


@functools.lru_cache(4096)
def _names_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _clean_value(name: str, text: str, hiding: Hiding) -> str:
    if _names_secret(name):
        return HIDDEN
    if name in _WHO:
        return hiding.identity(text[:LONGEST_VALUE])
    if name == _QUERY:
        text = hiding.redact_uri_query("", text)
    elif name in _WITH_QUERY and "?" in text:
        path, _, query = text.partition("?")
        text = f"{path}?{hiding.redact_uri_query(path, query)}"
    text = hiding.redact_text(text)  # before it is cut: half a secret does not look like one
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _told(span: Any) -> _Told:
    failed = span.status.code == otlp.Status.STATUS_CODE_ERROR
    return _Told(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.kind,
        _attributes(span.attributes),
        (span.status.message or _UNTOLD_FAILURE) if failed else "",
    )


def _attributes(pairs: Iterable[Any]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> AttributeValue:
    kind = value.WhichOneof("value")
    told = getattr(value, kind) if kind else ""
    return told if isinstance(told, str | bool | int | float) else value_text(value)


def _scopes(group: Json) -> Iterable[Json]:
    return group.get("scopeSpans") or group.get("instrumentationLibrarySpans") or ()


def _told_in_json(span: Json) -> _Told:
    status = span.get("status") or {}
    failed = status.get("code") in _FAILED
    return _Told(
        id_of(span.get("traceId", "")),
        id_of(span.get("spanId", "")),
        id_of(span.get("parentSpanId") or ""),
        str(span.get("name", "")),
        int(span.get("startTimeUnixNano", 0)),
        int(span.get("endTimeUnixNano", 0)),
        _kind(span.get("kind", 0)),
        _json_attributes(span.get("attributes") or ()),
        (str(status.get("message") or "") or _UNTOLD_FAILURE) if failed else "",
    )


def _kind(told: int | str) -> int:
    if isinstance(told, str) and told.startswith("SPAN_KIND_"):
        return int(otlp.Span.SpanKind.Value(told))
    return int(told)


def _json_attributes(pairs: Iterable[Json]) -> Attributes:
    return {str(pair.get("key", "")): _json_value(pair.get("value") or {}) for pair in pairs}


def _json_value(value: Json) -> AttributeValue:
    for kind, told in value.items():
        if kind == "intValue":
            return int(told)
        if kind == "doubleValue":
            return float(told)
        if kind == "arrayValue":
            return f"[{','.join(str(_json_value(one)) for one in told.get('values') or ())}]"
        if kind == "kvlistValue":
            pairs = (
                (one.get("key", ""), _json_value(one.get("value") or {})) for one in told.get("values") or ()
            )
            return f"{{{','.join(f'{name}:{text}' for name, text in pairs)}}}"
        return told if isinstance(told, str | bool) else str(told)
    return ""
