"""The audit webhook: takes batches of audit events over HTTP and answers when they are durable.

It answers 200 only after everything that came of a batch has been delivered, and ``429`` with ``Retry-After`` when that
cannot be done now: the API server keeps the batch and tries again. Which cluster the events are from is decided by
configuration and credentials, never by what the sender says.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import HttpProcessingError

from kubeweft.model.errors import BadInput, NotNow, UserError
from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit import metrics
from kubeweft.sources.audit.admission import Admission, Limits, Ticket
from kubeweft.sources.audit.credentials import ServingCertificate
from kubeweft.sources.audit.parsed import Parsed
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.audit.senders import SenderRefused, Senders, common_name_of
from kubeweft.sources.events.pending import Pending

logger = logging.getLogger(__name__)

PATH: Final = "/audit"
KEEP_ALIVE: Final = (
    75.0  # seconds; an API server sends every 30 at least, and headers have to be complete by then
)
LINGER: Final = (
    5.0  # seconds to swallow what a refused sender still sends, so that it gets to read the answer
)
SLOW_DELIVERY: Final = 5.0  # seconds to come back after, where delivering has taken too long
SHUTDOWN: Final = 3.0

http_logger = logging.getLogger(f"{__name__}.http")


def _without_quotes(record: logging.LogRecord) -> bool:
    """What aiohttp says of a request that is no HTTP quotes it, and that could be the middle of a body."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


http_logger.addFilter(_without_quotes)


class Audited(Protocol):
    """One cluster's audit events: what becomes of them."""

    @property
    def parser(self) -> AuditParser:
        """The parser for the plan now in force."""

    @property
    def pending(self) -> Pending:
        """Keeps the Kubernetes Events that cannot be placed yet."""

    async def deliver(self, observations: Sequence[Request | EventSeen], /) -> None:
        """Returns when all is durable; may raise ``NotNow``."""


class _Refused(Exception):
    """A request that is answered before its body has been read whole."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _Counts:
    """What the answer to one batch says."""

    accepted: int = 0
    ignored: int = 0
    omitted: int = 0
    unresolved: int = 0
    bad: int = 0

    def add(self, parsed: Parsed) -> None:
        self.accepted += len(parsed.observations)
        self.ignored += parsed.ignored
        self.omitted += parsed.omitted
        self.unresolved += len(parsed.unresolved)
        self.bad += len(parsed.bad)

    def as_json(self) -> Mapping[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class AuditWebhook:
    """The HTTP server that the API servers of all clusters send audit events to."""

    def __init__(
        self,
        *,
        senders: Senders,
        audited: Callable[[str], Audited],
        certificate: ServingCertificate | None = None,
        limits: Limits | None = None,
    ) -> None:
        """``senders`` says for which cluster somebody speaks, ``audited`` what becomes of this cluster's events.

        ``audited`` may raise ``NotNow``.
        """
        self._senders = senders
        self._audited = audited
        self._certificate = certificate
        self._limits = limits or Limits()
        self._admission = Admission(self._limits)
        self._runner: web.AppRunner | None = None
        self.port = 0

    def application(self) -> web.Application:
        """The routes: ``POST /audit`` and ``GET /healthz``."""
        application = web.Application()
        application.router.add_post(PATH, self._audit, expect_handler=self._expect)
        application.router.add_get("/healthz", _healthz)
        return application

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one (see :attr:`port`). Raises ``UserError`` if the address cannot be had."""
        runner = web.AppRunner(
            self.application(),
            access_log=None,
            logger=http_logger,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
            shutdown_timeout=SHUTDOWN,
        )
        await runner.setup()
        context = self._certificate.context if self._certificate is not None else None
        try:
            await web.TCPSite(runner, host, port, ssl_context=context).start()
        except OSError as error:
            await runner.cleanup()
            raise UserError(
                f"cannot listen for audit events on {host}:{port}: {error.strerror or error}; "
                "choose another address with --audit-listen"
            ) from error
        self._runner, self.port = runner, runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; batches that are being worked on have a few seconds to be answered."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """Refuse before the sender, asking for leave by ``Expect: 100-continue``, has sent anything."""
        try:
            self._check_head(request)
        except _Refused as refused:
            return _answer(refused.status, {"error": str(refused)}, close=True)
        except NotNow as error:
            return _come_again(error, close=True)
        if request.version == HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # as aiohttp's own handler: the answer proper begins after this
        return None

    async def _audit(self, request: web.Request) -> web.StreamResponse:
        try:
            cluster = self._check_head(request)
            with self._admission.body(request.content_length or 0) as ticket:
                metrics.BYTES_IN_FLIGHT.set(self._admission.bytes)
                body = await self._read(request, ticket)
                return _answer(200, (await self._take(self._audited(cluster), body)).as_json())
        except _Refused as refused:
            return _answer(refused.status, {"error": str(refused)}, close=True)
        except BadInput as error:
            logger.warning("audit batch refused: reason=%s", error)
            return _answer(400, {"error": str(error)})
        except NotNow as error:
            return _come_again(error, close=not request.content.at_eof())
        finally:
            metrics.BYTES_IN_FLIGHT.set(self._admission.bytes)

    def _check_head(self, request: web.Request) -> str:
        """The cluster that sends."""
        cluster = self._identify(request)
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise _Refused(415, "compressed bodies are not accepted: send the JSON as it is")
        if (request.content_length or 0) > self._limits.body_bytes:
            raise self._too_large()
        return cluster

    def _identify(self, request: web.Request) -> str:
        transport = request.transport
        connection = transport.get_extra_info("ssl_object") if transport is not None else None
        try:
            return self._senders.cluster_of(
                request.headers.get(hdrs.AUTHORIZATION, ""), common_name_of(connection)
            )
        except SenderRefused as refused:
            raise _Refused(refused.status, str(refused)) from None

    def _too_large(self) -> _Refused:
        return _Refused(
            413,
            f"the body is larger than {self._limits.body_bytes} bytes: "
            "set --audit-webhook-truncate-enabled or lower --audit-webhook-batch-max-size",
        )

    async def _read(self, request: web.Request, ticket: Ticket) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > self._limits.body_bytes:
                        raise self._too_large()
                    ticket.grow_to(size)
                    chunks.append(chunk)
        except TimeoutError:
            raise _Refused(
                408, f"the body did not arrive within {self._limits.read_seconds:g} seconds"
            ) from None
        except web.RequestPayloadError:
            raise _Refused(400, "the body is broken off or its chunks are no valid HTTP") from None
        metrics.BYTES.inc(size)
        return b"".join(chunks)

    async def _take(self, audited: Audited, body: bytes) -> _Counts:
        counts = _Counts()
        parser = audited.parser
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                await _deliver_pending(audited, parser)
                decoded = parser.decode_fast(body)
                if decoded is None:  # seldom, and too slow to keep everybody waiting
                    decoded = await asyncio.to_thread(parser.decode_carefully, body)
                for parsed in parser.slices(decoded):
                    if parsed.observations:
                        await audited.deliver(parsed.observations)
                    _keep(audited.pending, parsed)
                    counts.add(parsed)
                    metrics.count(parsed)
                    await asyncio.sleep(0)  # between two slices, others get their turn
        except TimeoutError:
            raise NotNow("the events could not be stored in time", delay=SLOW_DELIVERY) from None
        return counts


async def _deliver_pending(audited: Audited, parser: AuditParser) -> None:
    ready = parser.ready(audited.pending)
    wanted = parser.wanted(ready)
    if wanted:
        await audited.deliver(wanted)
    audited.pending.delivered(ready)


def _keep(pending: Pending, parsed: Parsed) -> None:
    dropped = pending.dropped
    pending.keep(parsed.unresolved)
    metrics.UNRESOLVED_DROPPED.inc(pending.dropped - dropped)


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _come_again(error: NotNow, *, close: bool) -> web.Response:
    headers = {"Retry-After": str(max(1, math.ceil(error.delay)))}
    return _answer(429, {"error": str(error)}, headers=headers, close=close)


def _answer(
    status: int,
    content: Mapping[str, int | str],
    *,
    headers: dict[str, str] | None = None,
    close: bool = False,
) -> web.Response:
    """A JSON answer; ``close`` ends the connection, whose rest of a body nobody will read."""
    metrics.REQUESTS.labels(status=str(status)).inc()
    response = web.json_response(content, status=status, headers=headers)
    if close:
        response.force_close()
    return response
