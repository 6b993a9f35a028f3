"""Our own traces leave by the OpenTelemetry SDK, if the environment says where to, and only then."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from otlp_receiver import OtlpReceiver

WORK = """
from kubeweft.runtime.telemetry import own_traces, tracer
with own_traces(), tracer.start_as_current_span("a piece of work"):
    pass
"""


def run_with(environ: dict[str, str]) -> None:
    """In a process of its own: a tracer provider is set once and for all."""
    subprocess.run([sys.executable, "-c", WORK], env=environ, check=True, timeout=30)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_own_traces_arrive(protocol: str) -> None:
    async with OtlpReceiver() as receiver:
        port = receiver.grpc_port if protocol == "grpc" else receiver.http_port
        endpoint = f"http://127.0.0.1:{port}"
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        await asyncio.to_thread(run_with, environ)
        payloads = [request.payload for request in receiver.recording.requests]
        assert len(payloads) == 1
        assert b"a piece of work" in payloads[0]
        assert b"kubeweft-operator" in payloads[0]


def test_without_an_endpoint_nothing_is_sent() -> None:
    run_with({})
