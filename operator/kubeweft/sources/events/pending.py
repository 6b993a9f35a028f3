"""Events about objects of a kind that is not known yet: kept aside, and tried again when kinds have been learned.

A custom resource's first Events often come before discovery has seen its definition. They are few and short-lived, so
what does not fit is dropped, oldest first, and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from kubeweft.model.observations import EventSeen
from kubeweft.sources.events.parsing import EventReader, Unresolved

MOST_PENDING = 5_000


class Pending:
    """A bounded store of unresolved Events of one cluster. ``dropped`` counts what did not fit."""

    def __init__(self, most: int = MOST_PENDING) -> None:
        """``most`` is how many Events are kept, of about 1 kB each."""
        self._kept: deque[Unresolved] = deque(maxlen=most)
        self._ready: dict[tuple[str, int], EventSeen] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, unresolved: Iterable[Unresolved]) -> None:
        """Take these aside."""
        for event in unresolved:
            self.dropped += len(self._kept) == self._kept.maxlen
            self._kept.append(event)

    def ready(self, reader: EventReader) -> Sequence[EventSeen]:
        """The Events whose kind is known by now, given again and again until :meth:`delivered` is called.

        Each unknown kind is asked for once.
        """
        unknown: set[tuple[str, str]] = set()
        for _ in range(len(self._kept)):
            event = self._kept.popleft()
            if (event.group, event.kind) not in unknown:
                resolved = reader.resolve(event.body)
                if isinstance(resolved, EventSeen):
                    self._ready[resolved.event_uid, resolved.count] = resolved
                    continue
                unknown.add((event.group, event.kind))
            self._kept.append(event)
        return tuple(self._ready.values())

    def delivered(self, events: Iterable[EventSeen]) -> None:
        """These, ready before, are durable (or not wanted)."""
        for event in events:
            self._ready.pop((event.event_uid, event.count), None)
