"""One interface over both OTLP transports: bytes of an ``ExportTraceServiceRequest`` in, an ``Outcome`` back.

A sender makes one attempt. It never raises for what a network or a receiver does, never repeats by itself, and
never waits longer than the exporter's timeout: patience is the business of ``delivery``.
"""

from __future__ import annotations

from typing import Protocol

from kubeweft.export.client_certificates import check_client_certificate
from kubeweft.export.endpoints import FORMS, grpc_target, http_url, parse_endpoint
from kubeweft.export.grpc_sender import GrpcSender
from kubeweft.export.headers import checked_headers
from kubeweft.export.http_sender import HttpSender
from kubeweft.export.outcomes import Accepted, Outcome, Rejected, RetryLater, Unauthenticated
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter

__all__ = [
    "FORMS",
    "Accepted",
    "GrpcSender",
    "HttpSender",
    "Outcome",
    "Rejected",
    "RetryLater",
    "Sender",
    "Unauthenticated",
    "check_exporter",
    "open_sender",
    "parse_endpoint",
]


class Sender(Protocol):
    """One connection to one receiver."""

    async def send(self, payload: bytes, count: int) -> Outcome:
        """One attempt with the bytes of a request that holds ``count`` spans."""

    async def close(self) -> None:
        """Let the connection go, within a second."""


def check_exporter(exporter: Exporter) -> None:
    """UserError if the exporter cannot work as it is declared; nothing is connected to."""
    checked_headers(exporter)
    if exporter.protocol == "GRPC":
        grpc_target(exporter)
    elif exporter.protocol == "HTTPProtobuf":
        http_url(exporter)
    else:
        raise UserError(
            f"exporter {exporter.name}: protocol is GRPC or HTTPProtobuf, not {exporter.protocol}"
        )
    check_client_certificate(exporter)
    if exporter.timeout <= 0:
        raise UserError(f"exporter {exporter.name}: the timeout has to be longer than 0 s")


def open_sender(exporter: Exporter) -> Sender:
    """The sender for an exporter's protocol. It connects at the first attempt; a running event loop is needed."""
    check_exporter(exporter)
    return GrpcSender(exporter) if exporter.protocol == "GRPC" else HttpSender(exporter)
