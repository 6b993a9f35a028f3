"""OTLP over gRPC: ``TraceService.Export``, as kube-apiserver and the kubelet send their spans.

``RESOURCE_EXHAUSTED`` with ``RetryInfo`` asks a sender to come again, as OTLP has it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from kubeweft.model.errors import BadInput, NotNow, UserError
from kubeweft.sources.audit.credentials import BearerToken
from kubeweft.sources.otlp import metrics
from kubeweft.sources.otlp.intake import Intake, refusal_of

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
GRACE: Final = 2.0  # seconds for exports under way when the server ends
STATUS_DETAILS: Final = "grpc-status-details-bin"


@contextlib.asynccontextmanager
async def grpc_endpoint(
    intake: Intake,
    address: str,
    *,
    token: BearerToken | None = None,
    certificate: tuple[bytes, bytes] | None = None,
) -> AsyncIterator[int]:
    """Serve at ``HOST:PORT`` within the block; gives the port. Raises ``UserError`` if nobody can listen there.

    ``certificate`` is its private key and it with its chain, both PEM; None: no TLS.
    """
    server = aio.server(
        maximum_concurrent_rpcs=2
        * intake.limits.exports_in_flight,  # more than that is refused for good by gRPC itself
        options=[
            ("grpc.max_receive_message_length", intake.limits.body_bytes),
            ("grpc.so_reuseport", 0),
        ],
    )
    handler = grpc.unary_unary_rpc_method_handler(_Export(intake, token).export)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Export": handler})])
    try:
        if certificate is None:
            port = int(server.add_insecure_port(address))
        else:
            port = int(server.add_secure_port(address, grpc.ssl_server_credentials([certificate])))
    except RuntimeError:
        raise UserError(
            f"cannot listen for OTLP at {address}: is another program there? Choose another --otlp-listen"
        ) from None
    await server.start()
    try:
        yield port
    finally:
        await server.stop(GRACE)


class _Export:
    """The one method; the body stays bytes until it is admitted."""

    def __init__(self, intake: Intake, token: BearerToken | None) -> None:
        self._intake = intake
        self._token = token

    async def export(self, body: bytes, context: Any) -> bytes:
        if self._token is not None and not self._token.admits(_authorization(context)):
            await _end(context, grpc.StatusCode.UNAUTHENTICATED, "bad", "a bearer token is demanded")
        try:
            received = await self._intake.take(body, "protobuf")
        except BadInput as error:
            await _end(context, grpc.StatusCode.INVALID_ARGUMENT, "bad", str(error))
            raise  # never reached: ending raises
        except NotNow as error:
            context.set_trailing_metadata([(STATUS_DETAILS, _come_again(error))])
            await _end(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "later", str(error))
            raise
        refused = received.refused.total()
        metrics.REQUESTS.labels(protocol="grpc", outcome="partial" if refused else "ok").inc()
        answer = ExportTraceServiceResponse()
        if refused:
            answer.partial_success.rejected_spans = refused
            answer.partial_success.error_message = refusal_of(received)
        return bytes(answer.SerializeToString())


async def _end(context: Any, code: Any, outcome: str, message: str) -> None:
    metrics.REQUESTS.labels(protocol="grpc", outcome=outcome).inc()
    await context.abort(code, message)


def _authorization(context: Any) -> str:
    return next(
        (str(value) for name, value in context.invocation_metadata() or () if name == "authorization"), ""
    )


def _come_again(error: NotNow) -> bytes:
    """The details of a status by which a sender knows that it may try again, and when."""
    seconds = max(1, round(error.delay))
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds)))
    status = status_pb2.Status(
        code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message=str(error), details=[detail]
    )
    return bytes(status.SerializeToString())
