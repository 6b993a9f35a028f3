"""How long a watch waits for what: all limits in one value, and the waits that follow from them. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kubeweft.kube.failures import ApiFailure, Forbidden, Refused

JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Everything a reflector counts or waits for; times are in seconds.

    ``silence`` is longer than the minute between two bookmarks: a healthy watch is never that quiet. A watch that ends
    within ``steady_after`` counts as a failure, so that a server which accepts and hangs up is not asked in a loop.
    """

    page: int = 500
    request: float = 60.0
    silence: float = 95.0
    lifetime: tuple[int, int] = (300, 600)
    steady_after: float = 10.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    slow_pause: float = 60.0
    longest_told_pause: float = 600.0
    errors_before_list: int = 3


def pause_after(failure: ApiFailure, *, failures: int, limits: Limits, rng: random.Random) -> float:
    """Seconds to wait after the ``failures``-th failure in a row.

    What only a person can change is tried again slowly; else as long as the API server asked for, or growing with full
    jitter, so that a thousand watches do not come back at the same moment.
    """
    if isinstance(failure, Forbidden | Refused):
        return limits.slow_pause * (1 + rng.uniform(0, JITTER))
    if failure.retry_after is not None:
        told = min(failure.retry_after, limits.longest_told_pause)
        return told + rng.uniform(0, max(limits.first_pause, told * JITTER))
    return growing_pause(failures, limits=limits, rng=rng)


def growing_pause(failures: int, *, limits: Limits, rng: random.Random) -> float:
    """Full jitter: anything up to a limit that doubles with each failure."""
    doubled = limits.first_pause * 2.0 ** min(failures - 1, 30)
    return rng.uniform(0, min(limits.longest_pause, doubled))


def larger_page(limit: int) -> int:
    """The page size to try after a continue token has expired; 0 asks for everything at once."""
    return limit * 8 if limit and limit < 4000 else 0
