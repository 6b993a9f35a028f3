"""OTLP over HTTP: ``POST /v1/traces`` in protobuf or JSON, plain or gzipped.

``429`` with ``Retry-After`` asks a sender to come again; errors are answered as a ``google.rpc.Status``, as OTLP has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web
from google.protobuf import json_format
from google.rpc import status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from kubeweft.model.errors import BadInput, NotNow, UserError
from kubeweft.otlp.foreign import Received
from kubeweft.sources.audit.credentials import BearerToken
from kubeweft.sources.otlp import metrics
from kubeweft.sources.otlp.intake import Form, Intake, refusal_of, unpacked

PATH: Final = "/v1/traces"
FORMS: Final[dict[str, Form]] = {"application/x-protobuf": "protobuf", "application/json": "json"}
READ_SECONDS: Final = 10.0
LINGER: Final = 2.0
SHUTDOWN: Final = 2.0
_CODES: Final = {400: 3, 401: 16, 408: 4, 413: 3, 415: 3, 429: 8}  # of google.rpc


@contextlib.asynccontextmanager
async def http_endpoint(
    intake: Intake,
    host: str,
    port: int,
    *,
    token: BearerToken | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve within the block; gives the port. Raises ``UserError`` if nobody can listen there."""
    application = web.Application()
    application.router.add_post(PATH, _Traces(intake, token).post)
    runner = web.AppRunner(
        application, access_log=None, auto_decompress=False, lingering_time=LINGER, shutdown_timeout=SHUTDOWN
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise UserError(
                f"cannot listen for OTLP at {host}:{port}: {error.strerror or error}; choose another "
                "--otlp-listen-http"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class _Refused(Exception):
    """A request whose body is not looked into."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Traces:
    """The one route."""

    def __init__(self, intake: Intake, token: BearerToken | None) -> None:
        self._intake = intake
        self._token = token

    async def post(self, request: web.Request) -> web.Response:
        form: Form = "protobuf"
        try:
            form = self._form(request)
            body = await self._body(request)
            received = await self._intake.take(body, form)
        except _Refused as refused:
            return _failed(refused.status, str(refused), form=form)
        except BadInput as error:
            return _failed(400, str(error), form=form)
        except NotNow as error:
            return _failed(
                429, str(error), form=form, headers={"Retry-After": str(max(1, math.ceil(error.delay)))}
            )
        return _answered(received, form=form)

    def _form(self, request: web.Request) -> Form:
        if self._token is not None and not self._token.admits(request.headers.get(hdrs.AUTHORIZATION, "")):
            raise _Refused(401, "a bearer token is demanded")
        form = FORMS.get(request.content_type)
        if form is None:
            raise _Refused(415, f"the content type has to be one of {', '.join(FORMS)}")
        return form

    async def _body(self, request: web.Request) -> bytes:
        limits = self._intake.limits
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise _Refused(415, "only gzip is understood as a compression")
        body = bytearray()
        with self._intake.admission.body(request.content_length or 0) as ticket:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    async for chunk in request.content.iter_any():
                        body += chunk
                        if len(body) > limits.body_bytes:
                            raise _Refused(
                                413, f"the body is larger than {limits.body_bytes} bytes: export fewer spans"
                            )
                        ticket.grow_to(len(body))
            except TimeoutError:
                raise _Refused(408, f"the body did not arrive within {READ_SECONDS:g} seconds") from None
            except web.RequestPayloadError:
                raise _Refused(400, "the body is broken off") from None
            if encoding == "identity":
                return bytes(body)
            return await asyncio.to_thread(unpacked, bytes(body), most=limits.unpacked_bytes)


def _answered(received: Received, *, form: Form) -> web.Response:
    refused = received.refused.total()
    metrics.REQUESTS.labels(protocol="http", outcome="partial" if refused else "ok").inc()
    answer = ExportTraceServiceResponse()
    if refused:
        answer.partial_success.rejected_spans = refused
        answer.partial_success.error_message = refusal_of(received)
    return _response(200, answer, form=form)


def _failed(status: int, message: str, *, form: Form, headers: dict[str, str] | None = None) -> web.Response:
    outcome = "later" if status == 429 else "bad"
    metrics.REQUESTS.labels(protocol="http", outcome=outcome).inc()
    response = _response(
        status, status_pb2.Status(code=_CODES[status], message=message), form=form, headers=headers
    )
    response.force_close()  # nobody may have read the body
    return response


def _response(
    status: int,
    message: ExportTraceServiceResponse | status_pb2.Status,
    *,
    form: Form,
    headers: dict[str, str] | None = None,
) -> web.Response:
    if form == "json":
        text = json_format.MessageToJson(message, indent=None)
        return web.Response(status=status, text=text, content_type="application/json", headers=headers)
    body = bytes(message.SerializeToString())
    return web.Response(status=status, body=body, content_type="application/x-protobuf", headers=headers)
