"""Kubeweft's own traces, by the OpenTelemetry SDK as in any other program: off unless its standard variables say where to.

These are spans about our work (a batch of audit events taken, a plan put in force), not about objects: those are data and
go through ``kubeweft.export``, because the SDK's processor drops what does not fit. Without a provider the API does nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

logger = logging.getLogger(__name__)

SERVICE_NAME = "kubeweft-operator"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

tracer = trace.get_tracer("kubeweft")


@contextlib.contextmanager
def own_traces(environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Send our own traces while the block runs, if ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) is set."""
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED") == "true":
        yield
        return
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE_NAME}))
    provider.add_span_processor(BatchSpanProcessor(_exporter(environ)))
    trace.set_tracer_provider(provider)
    logger.info("own traces go to the OpenTelemetry endpoint of the environment")
    try:
        yield
    finally:
        provider.shutdown()


def _exporter(environ: Mapping[str, str]) -> SpanExporter:
    """The exporter for the protocol asked for; both read the rest of the standard variables themselves."""
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "grpc")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()
