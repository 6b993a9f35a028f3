"""Answers on their way out: streamed in pieces at the client's pace, compressed where it is asked for.

The first piece is worked out before anything is sent, so that what cannot be answered still gets its own status. What
fails later breaks the connection off: a client must never take half a trace for a whole one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import hdrs, web

from kubeweft.display.serving.http import metrics
from kubeweft.display.serving.http.pieces import dump
from kubeweft.display.serving.working import WorkLimits

JSON = "application/json"
WORTH_COMPRESSING = 1024  # bytes
AT_ONCE = 256 * 1024  # bytes before compression

logger = logging.getLogger(__name__)


async def send_stream(
    request: web.Request, limits: WorkLimits, working: AbstractAsyncContextManager[AsyncIterator[bytes]]
) -> web.StreamResponse:
    """Send JSON while a workshop is working it out, never more than one piece ahead of the client."""
    async with working as pieces:
        first = await anext(pieces, b"")
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: JSON, hdrs.VARY: hdrs.ACCEPT_ENCODING})
        if request.method == hdrs.METH_HEAD:
            await response.prepare(request)
            return response
        compress(request, response)
        await response.prepare(request)
        try:
            async with asyncio.timeout(limits.whole):
                await _send(response, first, pieces, patience=limits.reader)
        except asyncio.CancelledError:
            raise
        except ConnectionError:
            metrics.BROKEN_OFF.labels(why="gone").inc()
        except TimeoutError:
            metrics.BROKEN_OFF.labels(why="slow").inc()
            _break_off(request, "the client took it too slowly")
        except Exception as error:  # noqa: BLE001  the last to see it: whatever failed, half an answer is no answer
            metrics.BROKEN_OFF.labels(why="failed").inc()
            _break_off(request, error)
        return response


def send_json(request: web.Request, value: Any, *, pretty: bool = False) -> web.Response:
    """A short answer, whole."""
    body = dump(value, pretty=pretty)
    response = web.Response(body=body, content_type=JSON)
    if len(body) >= WORTH_COMPRESSING:
        response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
        compress(request, response)
    return response


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Compress by gzip where the client takes it.

    Not by deflate: some clients, Grafana among them, mean another format by that name than HTTP does.
    """
    if accepts(request.headers.get(hdrs.ACCEPT_ENCODING, ""), "gzip"):
        response.enable_compression(web.ContentCoding.gzip)


def accepts(header: str, wanted: str) -> bool:
    """Whether a header such as ``gzip;q=1.0, br`` names something, and not with ``q=0``."""
    for item in header.lower().split(","):
        name, *parameters = [part.strip() for part in item.split(";")]
        if name == wanted:
            weights = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
            return not weights or weights[0].strip("0.") != ""
    return False


async def _send(
    response: web.StreamResponse, first: bytes, pieces: AsyncIterator[bytes], *, patience: float
) -> None:
    await _write(response, first, patience)
    async for piece in pieces:
        await _write(response, piece, patience)
    async with asyncio.timeout(patience):
        await response.write_eof()


async def _write(response: web.StreamResponse, piece: bytes, patience: float) -> None:
    """A piece may hold large objects, so patience is for so many bytes of it: that is the least pace of a client."""
    for begin in range(0, len(piece), AT_ONCE):
        async with asyncio.timeout(patience):
            await response.write(piece[begin : begin + AT_ONCE])


def _break_off(request: web.Request, why: Exception | str) -> None:
    logger.warning(
        "an answer was broken off: path=%s reason=%s",
        request.path,
        why,
        exc_info=why if isinstance(why, Exception) else None,
    )
    if request.transport is not None:
        request.transport.abort()
