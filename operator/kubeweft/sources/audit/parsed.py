"""What came out of some audit events: observations, and a count of everything that made none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit.bodies import BodySeen
from kubeweft.sources.events.parsing import Unresolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The yield of one slice of audit events, each of which is in exactly one of the counts or lists.

    ``ignored`` are no requests on objects, or stages that a later one repeats; ``omitted`` are not wanted by any
    policy; ``bad`` holds a reason for each that could not be read. ``unresolved`` are written Events whose object is
    of an unknown kind. ``untrusted`` counts bodies of successful writes that did not fit their object (the request
    itself is among the observations), ``bodies`` holds those that did, if asked for. ``last_time`` is the newest
    completion, in nanoseconds, or 0.
    """

    observations: Sequence[Request | EventSeen] = ()
    bodies: Sequence[BodySeen] = ()
    unresolved: Sequence[Unresolved] = ()
    ignored: int = 0
    omitted: int = 0
    untrusted: int = 0
    bad: tuple[str, ...] = ()
    last_time: int = 0


@dataclass(slots=True)
class Tally:
    """A :class:`Parsed` in the making."""

    observations: list[Request | EventSeen] = field(default_factory=list)
    bodies: list[BodySeen] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    ignored: int = 0
    omitted: int = 0
    untrusted: int = 0
    bad: list[str] = field(default_factory=list)
    last_time: int = 0

    def result(self) -> Parsed:
        """The finished value."""
        return Parsed(
            observations=self.observations,
            bodies=self.bodies,
            unresolved=self.unresolved,
            ignored=self.ignored,
            omitted=self.omitted,
            untrusted=self.untrusted,
            bad=tuple(self.bad),
            last_time=self.last_time,
        )
