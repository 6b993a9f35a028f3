"""Times as people write them: ``10m``, ``2h30m``, ``10:32``, ``2026-11-21``, RFC 3339.

Everything is relative to a time that is given; no clock is read here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from kubeweft.display.tree.trees import FOREVER
from kubeweft.model.errors import UserError
from kubeweft.model.timestamps import format_timestamp
from kubeweft.model.windows import NANOSECONDS

EXAMPLES = "10m, 2h30m, 1d, 10:32, 2026-11-21, 2026-11-21T10:32:00Z"
UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[wdhms]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?")
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)


def parse_time(text: str, *, now: int, zone: tzinfo = UTC) -> int:
    """The moment that ``text`` means, in nanoseconds: a duration counts back from ``now``, a time of day is its last one.

    What names no offset is in ``zone``; a date is its midnight. What lies before or after all that a store can hold is the
    first or last moment of that. Raises ``UserError``.
    """
    words = text.strip().removeprefix("-").removesuffix("ago").strip()
    if words == "now":
        return now
    try:
        if _DURATION.fullmatch(words):
            return _within_stores(now - parse_duration(words))
        if clock := _CLOCK.fullmatch(words):
            return _time_of_day(clock, now=now, zone=zone)
        if moment := _MOMENT.fullmatch(words):
            return _within_stores(_moment(moment, zone))
    except (ValueError, OverflowError):
        pass
    raise UserError(f"'{text}' is no time: write it like {EXAMPLES}")


def parse_duration(text: str) -> int:
    """A duration such as ``2h30m`` in nanoseconds; raises ``UserError``."""
    if not _DURATION.fullmatch(text):
        raise UserError(f"'{text}' is no duration: write it like 10m, 2h30m or 1d")
    try:
        return (
            round(sum(float(number) * UNITS[unit] * 1000 for number, unit in _PART.findall(text))) * 1_000_000
        )
    except OverflowError:
        raise UserError(f"'{text[:20]}…' is too long a duration: write it like 10m, 2h30m or 1d") from None


def _within_stores(time: int) -> int:
    return min(max(time, 0), FOREVER)


def in_words(time: int) -> str:
    """A moment as one may type it again: RFC 3339 in UTC, with no more of a second than there is."""
    seconds, _, fraction = format_timestamp(time).rstrip("Z").partition(".")
    return f"{seconds}{f'.{fraction}'.rstrip('0').rstrip('.')}Z"


def parse_range(since: str, until: str, *, now: int, zone: tzinfo = UTC) -> tuple[int, int]:
    """``--since`` and ``--until`` as two moments, empty ones open; raises ``UserError`` where nothing lies between.

    A time of day that ends a range may be still to come today.
    """
    begin = parse_time(since, now=now, zone=zone) if since else 0
    end = parse_time(until, now=now, zone=zone) if until else FOREVER
    if begin > end and _CLOCK.fullmatch(until.strip()):
        end = parse_time(until, now=_end_of_day(now, zone), zone=zone)
    if begin > end:
        raise UserError(f"--since {since} lies after --until {until}: nothing can be between")
    return begin, end


def in_zone(time: int, zone: tzinfo) -> datetime:
    """Nanoseconds as a date and time of day, cut to whole seconds; years beyond 1 to 9999 are clamped."""
    try:
        return datetime.fromtimestamp(time // NANOSECONDS, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=zone) if time > 0 else datetime.min.replace(tzinfo=zone)


def _end_of_day(time: int, zone: tzinfo) -> int:
    return _nanoseconds(in_zone(time, zone).replace(hour=23, minute=59, second=59), "999999999")


def _time_of_day(clock: re.Match[str], *, now: int, zone: tzinfo) -> int:
    hour, minute, second, fraction = clock.groups()
    today = in_zone(now, zone).replace(
        hour=int(hour), minute=int(minute), second=int(second or 0), tzinfo=zone
    )
    time = _nanoseconds(today, fraction)
    return time if time <= now else _nanoseconds(today - timedelta(days=1), fraction)


def _moment(found: re.Match[str], zone: tzinfo) -> int:
    day, clock, second, fraction, offset = found.groups()
    if clock is None and offset:
        raise ValueError("an offset needs a time of day")
    written = f"{day}T{clock or '00:00'}:{second or '00'}{(offset or '').upper()}"
    moment = datetime.fromisoformat(written)
    return _nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=zone), fraction)


def _nanoseconds(moment: datetime, fraction: str | None) -> int:
    return int(moment.timestamp()) * NANOSECONDS + int((fraction or "").ljust(9, "0"))
