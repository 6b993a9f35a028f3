"""The SDK's way out says the same as our own encoding, whatever the span holds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kubeweft.export.outcomes import Accepted, Outcome, Rejected
from kubeweft.export.sdk import SdkCarrier, readable_span
from kubeweft.model.spans import Span
from kubeweft.otlp.encoding import encode_batch
from otlp_spans import any_spans, change_spans, object_span

FLAGS = "flags"  # the SDK writes none of its own: W3C's "sampled" is all that differs


def comparable(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Without the flags, and without the unset status that the SDK writes out."""
    for resource_spans in request.resource_spans:
        for span in resource_spans.scope_spans[0].spans:
            span.ClearField(FLAGS)
            for link in span.links:
                link.ClearField(FLAGS)
            if not span.status.code:
                span.ClearField("status")
    return request


@given(any_spans)
def test_the_otlp_encoder_of_the_sdk_makes_what_ours_makes(span: Span) -> None:
    if int.from_bytes(span.trace_id) == 0:
        return  # no span of ours: a trace ID begins with 0x4b
    theirs = comparable(encode_spans([readable_span(span)]))
    ours = comparable(ExportTraceServiceRequest.FromString(encode_batch([span])))
    assert theirs.SerializeToString(deterministic=True) == ours.SerializeToString(deterministic=True)


async def test_every_field_comes_through_an_exporter_of_the_sdk() -> None:
    exporter = InMemorySpanExporter()
    carrier = SdkCarrier(exporter)
    span = object_span(body=b"{}")
    failed = Span(
        b"t" * 16, b"s" * 8, b"p" * 8, "request", span.key, "create", 5, 9, {"a": 1}, error="denied"
    )
    pieces = [carrier.prepare(span), carrier.prepare(failed)]
    assert await carrier.send(carrier.pack(pieces), 2) == Accepted()
    first, second = exporter.get_finished_spans()
    assert first.context is not None
    assert first.context.trace_id.to_bytes(16) == span.trace_id
    assert first.context.span_id.to_bytes(8) == span.span_id
    assert first.parent is None
    assert (first.name, first.start_time, first.end_time) == (span.name, span.start, span.end)
    assert dict(first.attributes or {})["kubeweft.object.snapshot"] == "{}"
    assert first.resource.attributes["k8s.deployment.name"] == "demo"
    assert first.links[0].context.span_id.to_bytes(8) == span.links[0].span_id
    assert dict(first.links[0].attributes or {}) == span.links[0].attributes
    assert second.parent is not None
    assert second.parent.span_id.to_bytes(8) == b"p" * 8
    assert (second.status.is_ok, second.status.description) == (False, "denied")
    assert second.to_json()  # the console exporter's form
    await carrier.close()
    exporter.clear()
    assert await carrier.send(carrier.pack(pieces), 2) == Rejected(  # it was shut down
        "InMemorySpanExporter reports a failure; its own log may say more", certain=False
    )


class Failing(SpanExporter):
    """Fails as foreign code may."""

    def __init__(self, failure: SpanExportResult | Exception) -> None:
        self.failure = failure

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure

    def shutdown(self) -> None:
        pass


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (
            SpanExportResult.FAILURE,
            Rejected("Failing reports a failure; its own log may say more", certain=False),
        ),
        (RuntimeError("boom\n!"), Rejected("Failing raised RuntimeError: boom !", certain=False)),
    ],
)
async def test_a_failure_is_an_unclear_refusal(
    failure: SpanExportResult | Exception, outcome: Outcome
) -> None:
    carrier = SdkCarrier(Failing(failure))
    assert await carrier.send([carrier.prepare(span) for span in change_spans(2)], 2) == outcome


def test_the_size_of_a_span_is_not_underestimated() -> None:
    carrier = SdkCarrier(InMemorySpanExporter())
    span = object_span(body=b"x" * 5000)
    assert carrier.size(carrier.prepare(span)) > 5000
