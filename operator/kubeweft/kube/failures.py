"""What can go wrong between us and an API server, as few exceptions that each ask for another reaction.

================  ==================================================  =================================
failure           HTTP status                                         reaction of a watch
================  ==================================================  =================================
``Forbidden``     403                                                 tell it, try again slowly
``Unauthorized``  401                                                 back off: credentials may be renewed
``NotServed``     404, 405                                            end: the type is gone
``Gone``          410                                                 list again, with a gap
``Refused``       every other 4xx                                     ask in another way, else slowly again
``Unavailable``   429, 5xx, no connection, silence, broken answers    back off, or as long as told
================  ==================================================  =================================

Messages hold what the API server said, never a header or a token.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kubeweft.model.errors import KubeweftError

LONGEST_MESSAGE = 500
TOO_MANY_REQUESTS = 429
UNEXPECTED_BODY = "the answer has no explanation"


class ApiFailure(KubeweftError):
    """A request that did not succeed. ``status`` is 0 where no answer came."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        """``retry_after`` is what the API server asked for, in seconds."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Forbidden(ApiFailure):
    """We lack a permission; the message of the API server names it."""


class Unauthorized(ApiFailure):
    """The API server does not accept our credentials (any more)."""


class NotServed(ApiFailure):
    """There is no such type, object or verb."""


class Gone(ApiFailure):
    """The version or continue token asked for is too old to continue from."""


class Refused(ApiFailure):
    """The request itself is not accepted, for example a parameter the API server does not know."""


class Unavailable(ApiFailure):
    """It may work later."""


class _Details(msgspec.Struct):
    retry_after_seconds: int | None = msgspec.field(name="retryAfterSeconds", default=None)


class _Status(msgspec.Struct):
    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_status = msgspec.json.Decoder(_Status)
_FAILURES: dict[int, type[ApiFailure]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotServed,
    405: NotServed,
    410: Gone,
}


def from_response(status: int, body: bytes, headers: Mapping[str, str]) -> ApiFailure:
    """The failure that an HTTP answer with a status of 400 or more stands for."""
    told = _read_status(body)
    message = (told.message if told else "") or _plain(body) or UNEXPECTED_BODY
    return _failure(status, message, _retry_after(headers.get("Retry-After"), told))


def from_error_line(body: bytes) -> ApiFailure:
    """The failure told inside a watch, by a line of type ERROR whose object is a ``Status``."""
    told = _read_status(body)
    if told is None or not told.code:
        return Unavailable("the watch ended with an error line that cannot be read")
    return _failure(told.code, told.message or told.reason or UNEXPECTED_BODY, _retry_after(None, told))


def _failure(status: int, message: str, retry_after: float | None) -> ApiFailure:
    made = _FAILURES.get(status)
    if made is None:
        made = Refused if 400 <= status < 500 and status != TOO_MANY_REQUESTS else Unavailable
    return made(f"{message[:LONGEST_MESSAGE]} (HTTP {status})", status=status, retry_after=retry_after)


def _read_status(body: bytes) -> _Status | None:
    try:
        told = _status.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return told if told.kind == "Status" else None


def _plain(body: bytes) -> str:
    """Proxies and the API server's own early handlers answer with a line of text; a page of HTML says nothing."""
    text = body[:LONGEST_MESSAGE].decode("utf-8", "replace").strip()
    return "" if text.startswith(("<", "{")) else text


def _retry_after(header: str | None, told: _Status | None) -> float | None:
    if header and header.isdecimal():  # the API server never sends the date form
        return float(header)
    seconds = told.details.retry_after_seconds if told and told.details else None
    return float(seconds) if seconds is not None and seconds >= 0 else None
