"""Our spans as trace stores give them back: the inverse of ``encoding``, also where a store has changed them.

Stores reorder attributes, write numbers as text, drop empty values and the attributes of links, and add attributes of
their own. What can be known is put back: types by the vocabulary, the object from the resource, a length of one
nanosecond (which only receivers need) as none. A body over the size that is exported stays lost; its size is told.
Spans of others are skipped. Spans that an exporter has moved into another trace stay there: see ``regrouping``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, cast

from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import SOURCES, Attributes, AttributeValue, Source, Span, SpanLink

SERVICE_PREFIX: Final = "kubeweft-"
OBJECT_PARTS: Final = (v.CLUSTER, v.GROUP, v.RESOURCE, v.NAMESPACE, v.NAME)
UNTOLD_FAILURE: Final = "failed"  # where a store kept that a span failed, but not why

WHOLE_NUMBERS: Final = frozenset(
    {
        v.CODE,
        v.CLOCK_SKEW_SECONDS,
        v.EVENT_COUNT,
        v.GAP_COUNT,
        v.GENERATION,
        v.SNAPSHOT_BYTES,
        v.WINDOW_SECONDS,
    }
)
TRUTHS: Final = frozenset({v.BODY_TRUNCATED, v.DRY_RUN, v.EVENT_SERIES, v.PATCH_TRUNCATED})
TEXTS: Final = (
    frozenset(
        name
        for constant, name in vars(v).items()
        if constant.isupper() and isinstance(name, str) and not constant.startswith("_")
    )
    - WHOLE_NUMBERS
    - TRUTHS
)
_NUMBER: Final = re.compile(r"-?\d{1,19}")

# What Jaeger's older span model writes among a span's own attributes: its kind, its status and its scope.
ADDED: Final = frozenset(
    {"span.kind", "internal.span.format", "w3c.tracestate", "error", "opentracing.ref_type"}
)
ADDED_PREFIXES: Final = ("otel.", "@jaeger@")
_REFERENCE_TYPE: Final = "opentracing.ref_type"


class Owner(NamedTuple):
    """Whose a span is, and which kind of fact: what the resource tells."""

    key: ObjectKey
    source: Source


class ReceivedSpan(NamedTuple):
    """One span of a trace store, whatever form it came in, before anything of it is put right."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    start: int
    end: int
    attributes: Attributes
    links: tuple[SpanLink, ...]
    failed: bool
    message: str


def decode_spans(resource_spans: Iterable[Any]) -> Iterator[Span]:
    """Our spans among OTLP ``ResourceSpans`` messages, in the order in which they stand there."""
    for group in resource_spans:
        received = (_received(span) for scope in group.scope_spans for span in scope.spans)
        yield from restored_spans(_attributes(group.resource.attributes), received)


def restored_spans(resource: Attributes, received: Iterable[ReceivedSpan]) -> Iterator[Span]:
    """Those spans of one resource that are ours, as they were before they were exported.

    Receivers are told by the resource whose a span is; Kubeweft's own servers tell it on each span.
    """
    owner = _owner(resource)
    for span in received:
        whose = owner or _owner({**resource, **span.attributes})
        if whose is not None:
            yield _restored(whose, span, repeated=owner is None)


def _owner(resource: Attributes) -> Owner | None:
    source = str(resource.get(v.SOURCE, "")) or _text(resource, v.SERVICE_NAME).removeprefix(SERVICE_PREFIX)
    if source not in SOURCES or not resource.get(v.RESOURCE):
        return None
    return Owner(ObjectKey(*(_text(resource, part) for part in OBJECT_PARTS)), cast(Source, source))


def _restored(owner: Owner, received: ReceivedSpan, *, repeated: bool) -> Span:
    told = received.attributes
    error = _error(received)
    attributes: Attributes = {}
    for name, value in told.items():
        wanted = _type_of(name)
        if wanted is None or value.__class__ is wanted:
            attributes[name] = value
        elif wanted is not _Added:
            attributes[name] = _typed(name, value)
    if repeated:
        attributes.pop(v.SOURCE, None)
    if repeated or owner.source == "object" or not received.parent_span_id:
        _drop_repeated(attributes, owner.key)
    snapshot = attributes.pop(v.SNAPSHOT, "")
    return Span(
        received.trace_id,
        received.span_id,
        received.parent_span_id,
        owner.source,
        owner.key,
        received.name,
        received.start,
        received.start if received.end <= received.start + 1 else received.end,
        attributes,
        tuple([_link(link) for link in received.links]),
        error,
        str(snapshot).encode(),
    )


def _received(span: Any) -> ReceivedSpan:
    links = [SpanLink(link.trace_id, link.span_id, _attributes(link.attributes)) for link in span.links]
    return ReceivedSpan(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        tuple(links),
        span.status.code == otlp.Status.STATUS_CODE_ERROR,
        span.status.message,
    )


def _attributes(pairs: Iterable[Any]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> AttributeValue:
    """A value as Python has it; what we never write (bytes, lists) as text."""
    text: str = value.string_value
    if text:
        return text
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    told = getattr(value, kind)
    return told if isinstance(told, str | bool | int | float) else str(told)


def _error(received: ReceivedSpan) -> str:
    told = received.attributes
    failed = received.failed or str(told.get("error", "")).lower() == "true"
    if not failed:
        return ""
    return received.message or _text(told, "otel.status_description") or UNTOLD_FAILURE


class _Added:
    """Stands for the type of what a store has added."""


@functools.lru_cache(4096)
def _type_of(name: str) -> type | None:
    """The type in which Kubeweft writes an attribute; None where a name is not of the vocabulary."""
    if name in WHOLE_NUMBERS:
        return int
    if name in TRUTHS:
        return bool
    if name in TEXTS:
        return str
    return _Added if name in ADDED or name.startswith(ADDED_PREFIXES) else None


def _typed(name: str, value: AttributeValue) -> AttributeValue:
    """A value in the type that Kubeweft writes it with."""
    if name in WHOLE_NUMBERS:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return int(value)
        return int(value) if isinstance(value, float) and value.is_integer() else value
    if name in TRUTHS and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    if name in TEXTS and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _drop_repeated(attributes: Attributes, key: ObjectKey) -> None:
    """An object span is exported with its key among its own attributes, because some stores search only there."""
    for name, part in zip(OBJECT_PARTS, key, strict=True):
        if attributes.get(name) == part:
            del attributes[name]


def _link(link: SpanLink) -> SpanLink:
    if _REFERENCE_TYPE not in link.attributes:
        return link
    kept = {name: value for name, value in link.attributes.items() if name != _REFERENCE_TYPE}
    return SpanLink(link.trace_id, link.span_id, kept)


def _text(attributes: Attributes, name: str) -> str:
    return str(attributes.get(name, ""))
