"""How far one reflector has come, what it has lost, and what it counts: its memory, kept apart from what it does."""

from __future__ import annotations

from kubeweft.kube.receiving import Missed, ResumePoint
from kubeweft.kube.watch_state import Phase, ReflectorState
from kubeweft.runtime import clock


class Lost(Exception):
    """Versions after the one reached cannot be had any more: only a new list helps, and leaves a gap."""

    def __init__(self, reason: str, message: str) -> None:
        """``reason`` is one word in CamelCase, ``message`` says it to a person."""
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Progress:
    """``version`` is None as long as a list is needed."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.version: str | None = None
        self.undecodable = 0
        self._phase = Phase.STOPPED
        self._message = ""
        self._since = clock.now()
        self._known_until = 0
        self._received = 0
        self._pending: Missed | None = None
        self._ever_listed = False
        self._ever_opened = False
        self._objects_listed = 0
        self._events = 0
        self._reconnects = 0
        self._relists = 0

    def resume(self, point: ResumePoint) -> None:
        """Take up where a former run ended."""
        if point.version:
            self.version, self._known_until, self._ever_listed = point.version, point.time, True

    def enter(self, phase: Phase, message: str = "") -> None:
        """Note what is being done now."""
        if phase is not self._phase:
            self._phase, self._since = phase, clock.now()
        self._message = message

    def begin_list(self, message: str = "") -> None:
        """A list is asked for. What has failed before stays failed until something comes: states must not flicker."""
        if self._phase not in (Phase.FORBIDDEN, Phase.BACKING_OFF):
            self.enter(Phase.LISTING, message)

    def explain(self, message: str) -> None:
        """Say why it does not go on within the same phase; empty: it does."""
        self._message = message

    def opened(self) -> None:
        """A watch has been opened."""
        self._reconnects += self._ever_opened
        self._ever_opened = True

    def listed_some(self, count: int) -> None:
        """Part of a list has been handed over."""
        self.enter(Phase.LISTING)
        self._objects_listed += count
        self._received = clock.now()

    def listed_all(self, version: str) -> None:
        """A list has been handed over completely."""
        self._relists += self._ever_listed
        self._ever_listed = True
        self._pending = None
        self.advanced(version, 0)

    def advanced(self, version: str, events: int) -> None:
        """Changes up to ``version`` have been handed over."""
        self.version = version
        self._events += events
        self._received = self._known_until = clock.now()

    def lost(self, lost: Lost) -> None:
        """A list is needed. What was lost first stays the reason until it is made good."""
        self.version = None
        if self._pending is None:
            self._pending = Missed(lost.reason, lost.message, self._known_until, 0)

    def missed(self) -> Missed | None:
        """What a list that is complete now follows on, or None if nothing was lost."""
        return self._pending and self._pending._replace(end=clock.now())

    def state(self) -> ReflectorState:
        """A picture of now."""
        return ReflectorState(
            phase=self._phase,
            message=self._message,
            since=self._since,
            version=self.version or "",
            received=self._received,
            events_seen=self._events,
            objects_listed=self._objects_listed,
            reconnects=self._reconnects,
            relists=self._relists,
            undecodable=self.undecodable,
        )
