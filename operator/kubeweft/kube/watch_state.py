"""How one watch is doing, as a value that can be shown: in the status of a policy, in metrics, to a person."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Phase(enum.StrEnum):
    """What a reflector is doing."""

    LISTING = "Listing"
    WATCHING = "Watching"
    FORBIDDEN = "Forbidden"
    NOT_SERVED = "NotServed"
    BACKING_OFF = "BackingOff"
    STOPPED = "Stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectorState:
    """One reflector at one moment. ``since`` is when the phase began, ``received`` when something last came.

    Times are nanoseconds (0: never). ``message`` says why, in the API server's words where it spoke. ``version`` is the
    last one handed over and durable. Counts are since the reflector was made.
    """

    phase: Phase
    message: str
    since: int
    version: str = ""
    received: int = 0
    events_seen: int = 0
    objects_listed: int = 0
    reconnects: int = 0
    relists: int = 0
    undecodable: int = 0
