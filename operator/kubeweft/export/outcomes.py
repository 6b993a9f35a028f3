"""What can come of one attempt to send: a closed set, so that whoever handles it handles all of it.

===================  =======================================================  =================================
outcome              what the receiver did                                    what happens to the spans
===================  =======================================================  =================================
``Accepted``         took the batch (perhaps not every span of it)            the position moves on
``RetryLater``       nothing, or asked for time                               the same bytes again, later
``Unauthenticated``  does not know or does not allow us                       the same bytes again, slowly
``Rejected``         refused them: ``certain`` when it blames the data        the batch is taken apart
===================  =======================================================  =================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST_DELAY: Final = 300.0  # seconds; a receiver that asks for more gets asked again after this
_LONGEST_REASON: Final = 300  # characters
_SHORTEST_SECRET: Final = 4  # characters; shorter header values are words such as "1" that occur everywhere


@dataclass(frozen=True, slots=True)
class Accepted:
    """``rejected`` spans of the batch were refused for good (OTLP partial success), for the reason in ``message``."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """``delay`` is what the receiver asked for, in seconds; ``busy`` that it answered at all, and is overloaded."""

    reason: str
    delay: float | None = None
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not ``certain`` are answers that may be the receiver's own trouble (such as HTTP 500)."""

    reason: str
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """Nothing is wrong with the spans: credentials are missing, wrong, or not allowed to write."""

    reason: str


Outcome = Accepted | RetryLater | Rejected | Unauthenticated


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """What a receiver wrote, fit for a log or a status: one short line, without any header value it may quote."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[redacted]")
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _LONGEST_REASON else f"{words[: _LONGEST_REASON - 1]}…"
