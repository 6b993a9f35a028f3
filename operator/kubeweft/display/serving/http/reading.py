"""What clients write into a query string, read: times, durations, tags, trace IDs. Pure; mistakes raise ``BadInput``.

Every function says how the clients that are known really write it, because none of them keeps to one form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

import orjson

from kubeweft.model.errors import BadInput
from kubeweft.model.timestamps import parse_timestamp

MICROSECOND = 1_000
MILLISECOND = 1_000_000
LAST_MOMENT = 2**63 - 1
DURATION_UNITS = {
    "ns": 1,
    "us": MICROSECOND,
    "µs": MICROSECOND,  # U+00B5, the micro sign
    "μs": MICROSECOND,  # U+03BC, the Greek letter
    "ms": MILLISECOND,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,  # not Go's, but the UI's lookback
    "w": 604_800_000_000_000,
}
MICROSECONDS_BEGIN = 10**14  # as microseconds this is March 1973, as milliseconds the year 5138

_DURATION_PART = re.compile(r"([0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})(ns|us|µs|μs|ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_EPOCH = re.compile(r"1970-01-01[Tt ]00:00:00(\.0+)?([Zz]|[+-]00:00)")
_RFC3339 = re.compile(r"[0-9-]{10}[Tt ][0-9:]{5,8}([.,][0-9]+)?([Zz]|[+-][0-9:]{4,6})")
_TRACE_ID = re.compile(r"[0-9a-fA-F]{1,32}")
_OFFSET_AFTER_SPACE = re.compile(r"([T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) (\d{2}:\d{2})$")


def epoch(text: str) -> int:
    """A time in microseconds since the epoch, as nanoseconds.

    Grafana asks for a trace with milliseconds where Jaeger means microseconds; no time of ours can be both.
    """
    number = whole_number(text)
    return clamped(number * (MICROSECOND if abs(number) >= MICROSECONDS_BEGIN else MILLISECOND))


def epoch_milliseconds(text: str) -> int:
    """A time or duration in milliseconds, as nanoseconds."""
    return clamped(whole_number(text) * MILLISECOND)


def rfc3339(text: str) -> int:
    """``2026-11-21T10:00:00.123Z`` as nanoseconds; Grafana sends the ``+`` of an offset raw, so it arrives as a space."""
    written = with_offset(text)
    time = parse_timestamp(written) if _RFC3339.fullmatch(written) else 0
    if not time and not _EPOCH.fullmatch(written):  # 0 says that it cannot be read, too
        raise BadInput("this is no RFC 3339 time such as 2026-11-21T10:00:00Z")
    return clamped(time)


def unset_or_rfc3339(text: str) -> int | None:
    """The same; None for the year 1, which Go writes where no time is set."""
    return None if text.startswith("0001-") else rfc3339(text)


def clamped(time: int) -> int:
    """A time that every store can hold: none before the epoch, none after the last moment of 64 bits."""
    return min(max(time, 0), LAST_MOMENT)


def with_offset(text: str) -> str:
    """A time whose ``+`` has become a space on its way through a query string, as it was."""
    return _OFFSET_AFTER_SPACE.sub(r"\1+\2", text)


def duration(text: str) -> int:
    """``1.2s``, ``100ms``, ``500us``, ``1h30m`` (Go's form), also ``2d`` and ``1w``, as nanoseconds."""
    if text == "0":
        return 0
    if not _DURATION.fullmatch(text):
        raise BadInput("this is no duration such as 1.2s, 100ms or 1h30m")
    parts = _DURATION_PART.findall(text)
    return clamped(int(sum(Fraction(number) * DURATION_UNITS[unit] for number, unit in parts)))


def lookback(text: str) -> int:
    """A duration back from now; the UI also says ``custom``, which means that it sends both ends: 0."""
    return 0 if text == "custom" else duration(text)


def whole_number(text: str) -> int:
    """A whole number of at most 19 digits."""
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        raise BadInput("this is no whole number")
    return int(text)


def truth(text: str) -> bool:
    """A truth value in the forms that Go's ``strconv.ParseBool`` takes."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise BadInput("this is neither true nor false")


def trace_id(text: str) -> bytes:
    """16 bytes of up to 32 hexadecimal digits; leading zeros may be missing."""
    if not _TRACE_ID.fullmatch(text):
        raise BadInput("this is no trace ID: it has up to 32 hexadecimal digits")
    return bytes.fromhex(text.rjust(32, "0"))


def tag(text: str) -> dict[str, str]:
    """``key:value``; the value may hold more colons."""
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise BadInput("a tag is written key:value")
    return {key: value}


def tags(text: str) -> dict[str, str]:
    """A JSON object of tags; values that are no text (the API knows only text) are taken as they are written."""
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadInput('this is no JSON object such as {"namespace":"default"}') from None
    if not isinstance(read, dict) or any(isinstance(value, dict | list) for value in read.values()):
        raise BadInput('this is no JSON object of texts such as {"namespace":"default"}')
    return {key: _as_text(value) for key, value in read.items() if value is not None}


def joined(parts: Sequence[dict[str, str]]) -> dict[str, str]:
    """Several sets of tags as one; later ones win."""
    return {key: value for part in parts for key, value in part.items()}


def moment(text: str) -> int | None:
    """A number since the epoch, in seconds, milliseconds, microseconds or nanoseconds by its size; None if no number.

    Links in dashboards and chat carry times in all four.
    """
    if not re.fullmatch(r"[0-9]{9,19}", text):
        return None
    number = int(text)
    for below, factor in ((10**11, 1_000_000_000), (10**14, MILLISECOND), (10**17, MICROSECOND)):
        if number < below:
            return number * factor
    return min(number, LAST_MOMENT)


def _as_text(value: str | float | bool) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
