"""RFC 3339 timestamps of Kubernetes to nanoseconds and back.

Kubernetes writes UTC with ``Z``: whole seconds (metav1.Time) or microseconds (metav1.MicroTime, audit). Those forms
take a fast path; any other valid RFC 3339 (an offset, nanoseconds) is read as well.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000


def parse_timestamp(text: str) -> int:
    """Nanoseconds since the epoch; 0 if ``text`` is no RFC 3339 timestamp (Kubernetes: "no time known")."""
    try:
        if text[-1] == "Z" and text[10] == "T":
            seconds = _whole_seconds(text[:19])
            fraction = text[20:-1]
            if not fraction:
                return seconds if len(text) == 20 else 0
            return seconds + int(fraction) * 10 ** (9 - len(fraction)) if len(fraction) <= 9 else 0
        return _any_form(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return 0


def format_timestamp(time: int) -> str:
    """RFC 3339 in UTC with nine digits of a second, so that texts sort like times."""
    seconds, nanoseconds = divmod(time, NANOSECONDS)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (
        ValueError,
        OverflowError,
        OSError,
    ):  # beyond the years 1 to 9999: clamp, a span must stay readable
        moment = datetime.max if seconds > 0 else datetime.min
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


@functools.lru_cache(maxsize=4096)
def _whole_seconds(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * NANOSECONDS


def _any_form(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return 0
    return int(moment.timestamp()) * NANOSECONDS + moment.microsecond * 1000
