"""Takes Kubernetes Events from their watch and hands them on as observations.

Every state of an Event (its UID and count) is told once; what is told again after a restart or a new list is the same
observation, which the store knows already. An Event that is deleted has only reached its age: that is no news.
"""

from __future__ import annotations

import logging
from collections import Counter as Outcomes
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import Counter, Gauge

from kubeweft.kube.receiving import Missed, ResumePoint, WatchLine
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import EventSeen, Gap, Observation
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.sources.events.parsing import EventReader, Unresolved
from kubeweft.sources.events.pending import Pending
from kubeweft.store.interfaces import Checkpoint, Resume

logger = logging.getLogger(__name__)

SEEN = Counter(
    "kubeweft_events_total", "Kubernetes Events: delivered, known, omitted, unresolved, bad.", ["outcome"]
)
PENDING = Gauge("kubeweft_events_unresolved", "Kubernetes Events kept aside because their kind is unknown.")
DROPPED = Counter(
    "kubeweft_events_unresolved_dropped_total", "Such Events given up because there were too many."
)

CHECKPOINT_EVERY: Final = 1_000_000_000  # ns
MOST_REMEMBERED: Final = 50_000  # Events live for an hour; forgetting one costs a write that changes nothing

Deliver = Callable[[Sequence[Observation], Sequence[Checkpoint]], Awaitable[None]]


class Clock(Protocol):
    """Nanoseconds since the epoch."""

    def __call__(self) -> int:
        """The time now."""


async def _at_once() -> None:
    """No namespaces are waited for."""


@dataclass(frozen=True, slots=True)
class EventRules:
    """What holds for Events under one plan; a changed plan makes new ones.

    ``wait_for_namespaces`` returns when ``wants_event`` knows the namespaces that it looks at.
    """

    reader: EventReader
    wants_event: Callable[[ObjectKey], bool]
    wait_for_namespaces: Callable[[], Awaitable[None]] = _at_once


class EventReceiver:
    """Implements :class:`kubeweft.kube.receiving.Receiver` for Events of one cluster."""

    def __init__(
        self,
        *,
        cluster: str,
        resource: ResourceType,
        rules: EventRules,
        deliver: Deliver,
        resume: Resume | None,
        clock: Clock,
        observer: str,
    ) -> None:
        """``resource`` is the type watched, of either group. ``deliver`` returns when everything is durable."""
        self.rules = rules
        self._cluster = cluster
        self._resource = resource
        self._deliver = deliver
        self._resume = resume
        self._clock = clock
        self._observer = observer
        self._pending = Pending()
        self._told: OrderedDict[str, int] = OrderedDict()
        self._version = ""
        self._last_checkpoint = 0

    async def resume_point(self) -> ResumePoint:
        """How far a former run came: Events since then are told again by the API server.

        Waits for the namespaces first: an Event that was left out is not told again.
        """
        await self.rules.wait_for_namespaces()
        if self._resume is None:
            return ResumePoint("", 0)
        self._version = self._resume.version
        return ResumePoint(self._resume.version, self._resume.time)

    async def list_started(self) -> None:
        """Nothing to prepare: an Event missing in a list has only reached its age."""

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of what exists: at the first start, the last hour's Events."""
        await self._take(lines, "")

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """All that exists has been told; Events that came and went unseen are told by a gap."""
        gaps = [self._gap(missed)] if missed is not None else []
        await self._hand_over(gaps, version, checkpoint=True)

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """The next Events."""
        await self._take(lines, version)

    async def kinds_learned(self) -> None:
        """Deliver the Events that waited for a kind which is known now. Raises what ``deliver`` raises."""
        await self._take((), "")

    async def flush(self) -> None:
        """Write a checkpoint now."""
        if self._version:
            await self._deliver((), [self._checkpoint(self._version)])

    async def _take(self, lines: Iterable[WatchLine], version: str) -> None:
        outcomes: Outcomes[str] = Outcomes()
        waiting: list[Unresolved] = []
        ready = self._pending.ready(self.rules.reader)
        found = {(seen.event_uid, seen.count): seen for seen in ready}
        for line in lines:
            seen = self._read(line, outcomes) if line.type != "DELETED" else None
            if isinstance(seen, EventSeen):
                found[seen.event_uid, seen.count] = seen
            elif seen is not None:
                waiting.append(seen)
        news = [seen for seen in found.values() if self._is_news(seen, outcomes)]
        await self._hand_over(news, version)
        self._remember(news)
        self._pending.delivered(ready)
        self._keep(waiting)
        outcomes.update(delivered=len(news), unresolved=len(waiting))
        for outcome, number in outcomes.items():
            SEEN.labels(outcome=outcome).inc(number)

    def _read(self, line: WatchLine, outcomes: Outcomes[str]) -> EventSeen | Unresolved | None:
        try:
            return self.rules.reader.read_json(line.object)
        except BadInput as error:
            outcomes["bad"] += 1
            logger.warning("skipped an Event: reason=%s", error)
            return None

    def _is_news(self, seen: EventSeen, outcomes: Outcomes[str]) -> bool:
        if self._told.get(seen.event_uid) == seen.count:
            outcomes["known"] += 1
            return False
        if not self.rules.wants_event(seen.key):
            outcomes["omitted"] += 1
            return False
        return True

    def _remember(self, delivered: Sequence[EventSeen]) -> None:
        for seen in delivered:
            self._told[seen.event_uid] = seen.count
            self._told.move_to_end(seen.event_uid)
        while len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)

    def _keep(self, waiting: Sequence[Unresolved]) -> None:
        before = self._pending.dropped
        self._pending.keep(waiting)
        DROPPED.inc(self._pending.dropped - before)
        PENDING.set(len(self._pending))

    async def _hand_over(
        self, found: Sequence[Observation], version: str, *, checkpoint: bool = False
    ) -> None:
        """One durable batch holds the observations and, if it is due, the checkpoint that says they are done."""
        due = checkpoint or self._clock() - self._last_checkpoint >= CHECKPOINT_EVERY
        checkpoints = [self._checkpoint(version)] if version and due else []
        if found or checkpoints:
            await self._deliver(found, checkpoints)
        self._version = version or self._version
        if checkpoints:
            self._last_checkpoint = checkpoints[0].time

    def _checkpoint(self, version: str) -> Checkpoint:
        return Checkpoint(
            cluster=self._cluster,
            group=self._resource.group,
            resource=self._resource.resource,
            version=version,
            time=self._clock(),
        )

    def _gap(self, missed: Missed) -> Gap:
        return Gap(
            key=ObjectKey(self._cluster, self._resource.group, self._resource.resource, "", ""),
            observer=self._observer,
            reason=missed.reason,
            message=missed.message,
            start=missed.start,
            end=missed.end,
        )
