"""Any ``SpanExporter`` of the OpenTelemetry SDK as a way out: for receivers that do not speak OTLP.

``ReadableSpan`` objects are made directly (converters do so, though its docstring advises against), because the
SDK's tracer would choose the IDs. The exporters are synchronous and tell only success or failure, so they run in a
thread, and a failure counts as an unclear refusal: it is repeated, and never costs a span unless others go through.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from kubeweft.export.outcomes import Accepted, Outcome, Rejected, shown
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, Source, Span
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

_CLOSING_SECONDS: Final = 1.5
_SCOPE: Final = InstrumentationScope(SCOPE_NAME, SCOPE_VERSION, SCHEMA_URL)
_OK: Final = Status(StatusCode.UNSET)


class SdkCarrier:
    """Carries spans to one ``SpanExporter``; it is shut down with the carrier."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def prepare(self, span: Span) -> ReadableSpan:
        """The span as the SDK knows spans."""
        return readable_span(span)

    def size(self, piece: ReadableSpan) -> int:
        """Not known before the exporter encodes it: the texts are what counts."""
        return 256 + sum(len(value) for value in (piece.attributes or {}).values() if isinstance(value, str))

    def pack(self, pieces: list[ReadableSpan]) -> Sequence[ReadableSpan]:
        """The batch as it is."""
        return pieces

    async def send(self, payload: Sequence[ReadableSpan], count: int) -> Outcome:  # noqa: ARG002  # the exporter counts
        """One call of ``export``; how long it takes is the exporter's own setting."""
        name = type(self._exporter).__name__
        try:
            result = await asyncio.to_thread(self._exporter.export, payload)
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything; it must not end the export
            return Rejected(shown(f"{name} raised {type(error).__name__}: {error}"), certain=False)
        if result is SpanExportResult.SUCCESS:
            return Accepted()
        return Rejected(f"{name} reports a failure; its own log may say more", certain=False)

    async def close(self) -> None:
        """Shut the exporter down; one that is stuck is left to its thread after a while."""
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await asyncio.to_thread(self._exporter.shutdown)
        except TimeoutError:
            pass  # nothing is lost: what was not accepted is sent again


def readable_span(span: Span) -> ReadableSpan:
    """The same IDs, times, attributes and links as our own encoding writes."""
    start, end = times(span)
    return ReadableSpan(
        name=clean_text(span.name),
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_span_id) if span.parent_span_id else None,
        resource=_resource(span.key, span.source),
        attributes=_cleaned(span_attributes(span)),
        links=[Link(_context(link.trace_id, link.span_id), _cleaned(link.attributes)) for link in span.links],
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, clean_text(span.error)) if span.error else _OK,
        start_time=start,
        end_time=end,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: bytes, span_id: bytes) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id),
        int.from_bytes(span_id),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


@functools.lru_cache(32_768)
def _resource(key: ObjectKey, source: Source) -> Resource:
    """Not ``Resource.create``: that adds our own process."""
    return Resource(_cleaned(resource_attributes(key, source)), SCHEMA_URL)


def _cleaned(attributes: Attributes) -> Attributes:
    return {clean_text(key): clean_value(value) for key, value in attributes.items()}
