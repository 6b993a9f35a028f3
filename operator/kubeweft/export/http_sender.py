"""OTLP over HTTP with protobuf bodies: one attempt at a time on one connection of aiohttp.

Redirects are not followed: the headers are secret, and would go along to wherever the answer points.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from kubeweft.export.client_certificates import present_client_certificate
from kubeweft.export.endpoints import http_url
from kubeweft.export.headers import checked_headers
from kubeweft.export.outcomes import Accepted, Outcome, Rejected, RetryLater, Unauthenticated, shown
from kubeweft.export.rich_errors import retry_delay, status_message, within_limits
from kubeweft.model.plan import Exporter
from kubeweft.runtime.tls_endings import wait_for_no_farewell

_PROTOBUF: Final = "application/x-protobuf"
_CLOSING_SECONDS: Final = 1.0
_LONGEST_ANSWER: Final = 64 * 1024
_IN_THREAD_FROM: Final = 64 * 1024  # bytes; below, gzip takes less than a millisecond
_REPEATABLE: Final = frozenset({408, 425, 429, 502, 503, 504})
_BUSY: Final = frozenset({429, 503})
_NOT_ALLOWED: Final = frozenset({401, 403, 407})
_WRONG_PLACE: Final = frozenset({301, 302, 303, 307, 308, 404, 405, 410, 415})
_BAD_DATA: Final = frozenset({400, 413, 422})


class HttpSender:
    """Sends to an exporter's receiver; an attempt takes at most the exporter's timeout."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._url = http_url(exporter)
        self._secrets = checked_headers(exporter)
        self._headers = {"Content-Type": _PROTOBUF, "User-Agent": "kubeweft", **dict(self._secrets)}
        if exporter.gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._session: aiohttp.ClientSession | None = None

    async def send(self, payload: bytes, count: int) -> Outcome:
        """One attempt; the same bytes may be sent again afterwards."""
        body = await _gzipped(payload) if self._exporter.gzip else payload
        try:
            session = self._connected()
            async with session.post(self._url, data=body, allow_redirects=False) as response:
                answer = await _read(response)
                return self._outcome(response.status, response.headers, answer, count)
        except TimeoutError:
            return RetryLater(f"no answer within {self._exporter.timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:  # OSError: a CA bundle that is none
            return RetryLater(self._shown(f"{type(error).__name__}: {error}"))

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            try:
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await session.close()
            except TimeoutError:
                pass  # nothing is lost: what was not accepted is sent again

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, ssl=_tls(self._exporter)),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=self._exporter.timeout),
                trust_env=True,  # as gRPC does: https_proxy and no_proxy
            )
        return self._session

    def _outcome(self, status: int, headers: Mapping[str, str], answer: bytes, count: int) -> Outcome:
        if 200 <= status < 300:
            return self._accepted(headers, answer, count)
        reason = self._shown(f"HTTP {status}: {_message(headers, answer)}")
        if status in _REPEATABLE:
            delay = _asked_delay(headers, answer)
            return RetryLater(reason, delay, busy=status in _BUSY or delay is not None)
        if status in _NOT_ALLOWED:
            return Unauthenticated(reason)
        if status in _WRONG_PLACE:
            return RetryLater(f"{reason} (no OTLP traces at {self._url}: check the address)")
        return Rejected(reason, certain=status in _BAD_DATA)

    def _accepted(self, headers: Mapping[str, str], answer: bytes, count: int) -> Accepted:
        if not _is_protobuf(headers):
            return Accepted()
        try:
            told = ExportTraceServiceResponse.FromString(answer).partial_success
        except DecodeError:
            return Accepted()  # it said 2xx: what else it says is only a courtesy
        return Accepted(min(told.rejected_spans, count), self._shown(told.error_message))

    def _shown(self, text: str) -> str:
        return shown(text, (value for _, value in self._secrets))


async def _gzipped(payload: bytes) -> bytes:
    """Level 1: our text shrinks to a seventh anyway, and higher levels cost more than the encoding itself."""
    if len(payload) < _IN_THREAD_FROM:
        return gzip.compress(payload, 1, mtime=0)
    return await asyncio.to_thread(gzip.compress, payload, 1, mtime=0)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """At most as much of the answer as is worth reading."""
    answer = b""
    while len(answer) < _LONGEST_ANSWER:
        chunk = await response.content.read(_LONGEST_ANSWER - len(answer))
        if not chunk:
            break
        answer += chunk
    return answer


def _message(headers: Mapping[str, str], answer: bytes) -> str:
    text = status_message(answer) if _is_protobuf(headers) else answer.decode("utf-8", "replace")
    return text or "no message"


def _asked_delay(headers: Mapping[str, str], answer: bytes) -> float | None:
    """Seconds: from ``Retry-After`` (a number of seconds or a date), else from a ``RetryInfo`` in the body."""
    text = headers.get("Retry-After", "").strip()
    try:
        if text:
            seconds = (
                float(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
            )
            return within_limits(seconds)
    except (ValueError, OverflowError):
        return None
    return retry_delay(answer) if _is_protobuf(headers) else None


def _is_protobuf(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith(_PROTOBUF)


def _tls(exporter: Exporter) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=exporter.ca.decode("ascii", "replace") or None)
    if not exporter.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    present_client_certificate(context, exporter)
    wait_for_no_farewell(context)
    return context
