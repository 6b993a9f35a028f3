"""Errors as the clients of each dialect expect them; a person always gets to read what to do, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import orjson
from aiohttp import web

from kubeweft.model.errors import BadInput, KubeweftError, NotNow, UserError
from kubeweft.runtime.stopping import Stopped

Dialect = Literal["old", "v3", "plain"]
"""``old``: Jaeger's structured errors; ``v3``: those of the gRPC gateway; ``plain``: a line of text, or JSON if asked."""

OUR_FAULT = "the server failed at this request; its log says why"
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 500: 13, 503: 14, 504: 4}


class Refused(KubeweftError):
    """Who asks is unknown (401), or may not see anything here (403)."""

    def __init__(self, message: str, *, status: Literal[401, 403] = 403) -> None:
        """``status`` is that of HTTP."""
        super().__init__(message)
        self.status = status


class NotFound(KubeweftError):
    """There is nothing under this name; the message says where to look instead."""


def error_response(error: Exception, dialect: Dialect, *, wants_json: bool = False) -> web.Response:
    """The answer to a request that failed."""
    status = status_of(error)
    known = isinstance(error, KubeweftError | web.HTTPException)
    message = (error.text or error.reason) if isinstance(error, web.HTTPException) else str(error)
    response = say(status, message if known and message else OUR_FAULT, dialect, wants_json=wants_json)
    if isinstance(error, NotNow):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.delay)))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="kubeweft"'
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = "GET, HEAD, OPTIONS"
    return response


def status_of(error: Exception) -> int:
    """The HTTP status that fits an error; 500 where it is our own fault."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, web.HTTPException):
        return error.status
    for kind, status in (
        (NotFound, 404),
        (NotNow, 503),
        (Stopped, 504),
        (BadInput, 400),
        (UserError, 400),
    ):
        if isinstance(error, kind):
            return status
    return 500


def say(status: int, message: str, dialect: Dialect, *, wants_json: bool = False) -> web.Response:
    """A message in the words of a dialect."""
    if dialect == "plain" and not wants_json:
        return web.Response(text=f"{message.rstrip()}\n", status=status)
    return web.Response(
        body=orjson.dumps(_shape(status, message, dialect)), status=status, content_type="application/json"
    )


def old_error(status: int, message: str, *, trace_id: str = "") -> dict[str, Any]:
    """One entry of ``errors`` in the old dialect."""
    return {"code": status, "msg": message, **({"traceID": trace_id} if trace_id else {})}


def _shape(status: int, message: str, dialect: Dialect) -> Mapping[str, Any]:
    if dialect == "old":
        return {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [old_error(status, message)]}
    if dialect == "v3":
        return {"error": {"grpcCode": GRPC_CODES.get(status, 2), "httpCode": status, "message": message}}
    return {"error": message}
