"""OTLP over gRPC: one attempt at a time on one channel of grpc.aio.

The channel reconnects by itself; its own back-off is kept short (core would wait up to two minutes), so that a
receiver that is back is noticed at our next attempt.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from kubeweft.export.endpoints import grpc_target
from kubeweft.export.headers import checked_headers
from kubeweft.export.outcomes import Accepted, Outcome, Rejected, RetryLater, Unauthenticated, shown
from kubeweft.export.pinning import Pin, pin_certificate
from kubeweft.export.rich_errors import retry_delay
from kubeweft.model.plan import Exporter

EXPORT_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CLOSING_SECONDS: Final = 1.0
_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.primary_user_agent", "kubeweft"),
)

_Code = grpc.StatusCode
# https://opentelemetry.io/docs/specs/otlp/#failures lists the codes that may be repeated.
_REPEATABLE: Final = frozenset(
    {
        _Code.CANCELLED,
        _Code.DEADLINE_EXCEEDED,
        _Code.ABORTED,
        _Code.OUT_OF_RANGE,
        _Code.UNAVAILABLE,
        _Code.DATA_LOSS,
    }
)
_NOT_ALLOWED: Final = frozenset({_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED})
_WRONG_PLACE: Final = frozenset({_Code.UNIMPLEMENTED, _Code.NOT_FOUND})


class GrpcSender:
    """Sends to an exporter's receiver; every attempt has the exporter's timeout as its deadline."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._target, self._plain = grpc_target(exporter)
        self._metadata = checked_headers(exporter)
        self._channel: grpc.aio.Channel | None = None
        self._export: Any = None

    async def send(self, payload: bytes, count: int) -> Outcome:
        """One attempt; the same bytes may be sent again afterwards."""
        try:
            async with asyncio.timeout(self._exporter.timeout):
                await self._connect()
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            return RetryLater(
                f"cannot read the certificate of {self._target}: {str(error) or 'no answer in time'}"
            )
        try:
            response = await self._export(payload, timeout=self._exporter.timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return await self._outcome(error)
        told = response.partial_success
        return Accepted(min(told.rejected_spans, count), self._shown(told.error_message))

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        channel, self._channel = self._channel, None
        if channel is not None:
            try:
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await channel.close(grace=None)
            except TimeoutError:
                pass  # nothing is lost: what was not accepted is sent again

    async def _connect(self) -> None:
        if self._channel is not None:
            return
        compression = grpc.Compression.Gzip if self._exporter.gzip else grpc.Compression.NoCompression
        if self._plain:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS, compression=compression)
        else:
            pin = None if self._exporter.verify else await pin_certificate(self._target, self._exporter)
            self._channel = grpc.aio.secure_channel(
                self._target,
                _credentials(self._exporter, pin),
                options=(*_OPTIONS, *([("grpc.ssl_target_name_override", pin.name)] if pin else [])),
                compression=compression,
            )
        self._export = self._channel.unary_unary(
            EXPORT_METHOD, response_deserializer=ExportTraceServiceResponse.FromString
        )

    async def _outcome(self, error: grpc.aio.AioRpcError) -> Outcome:
        code = error.code()
        reason = f"{code.name}: {self._shown(error.details() or 'no details')}"
        delay = _asked_delay(error)
        if code is _Code.UNAVAILABLE and not self._exporter.verify:
            await self.close()  # its certificate may be a new one: pin that
        if code in _REPEATABLE or (code is _Code.RESOURCE_EXHAUSTED and delay is not None):
            return RetryLater(reason, delay, busy=delay is not None)
        if code in _NOT_ALLOWED:
            return Unauthenticated(reason)
        if code in _WRONG_PLACE:
            return RetryLater(f"{reason} (no OTLP trace service at {self._target}: check the address)")
        return Rejected(reason, certain=code is _Code.INVALID_ARGUMENT or _is_too_large(code, reason))

    def _shown(self, text: str) -> str:
        return shown(text, (value for _, value in self._metadata))


def _credentials(exporter: Exporter, pin: Pin | None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=pin.certificate.encode() if pin else exporter.ca or None,
        private_key=exporter.client_key or None,
        certificate_chain=exporter.client_certificate or None,
    )


def _is_too_large(code: grpc.StatusCode, reason: str) -> bool:
    """gRPC servers refuse large messages with the code of quotas; only the text tells (in Go, C++ and Java alike)."""
    return code is _Code.RESOURCE_EXHAUSTED and (
        "larger than max" in reason or "exceeds maximum size" in reason
    )


def _asked_delay(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds, from the ``RetryInfo`` of gRPC's rich error model."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return retry_delay(value)
    return None
