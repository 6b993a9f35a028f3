"""Takes what the watch of one resource type brings, and hands on what changed.

Spans are durable before the next lines are asked for. The last versions are not written with every change but now
and then, together with the resourceVersion reached (a checkpoint): after a crash the watch begins at the last
checkpoint and makes the same spans again, byte for byte, which the store knows already.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter

from kubeweft.kube.receiving import Missed, ResumePoint, WatchLine
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Change, Gap, Known, Observation
from kubeweft.model.references import ObjectKey, OwnerReference
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.facts import owners_in
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import Checkpoint, Resume, StoredVersion

logger = logging.getLogger(__name__)

CHANGES = Counter("kubeweft_changes_total", "Changes of watched objects that became spans.", ["resource"])
BAD_OBJECTS = Counter("kubeweft_bad_objects_total", "Watched objects that could not be read.", ["resource"])
CHECKPOINT_EVERY = 1_000_000_000  # ns
MOST_DIRTY = 2_000
KNOWN_PER_DELIVERY = 1_000

Deliver = Callable[[Sequence[Observation], Sequence[Checkpoint]], Awaitable[None]]


class Clock(Protocol):
    """Nanoseconds since the epoch."""

    def __call__(self) -> int:
        """The time now."""


@dataclass
class Progress:
    """What has been seen since the last checkpoint."""

    version: str = ""
    versions: dict[str, StoredVersion] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    dictionaries: dict[int, bytes] = field(default_factory=dict)

    def take(self, newer: Progress) -> None:
        """Add what is durable now."""
        self.version = newer.version or self.version
        for uid in newer.removed:
            self.versions.pop(uid, None)
        for uid in newer.versions:
            self.removed.discard(uid)
        self.versions.update(newer.versions)
        self.removed.update(newer.removed)
        self.dictionaries.update(newer.dictionaries)


class ObjectReceiver:
    """Implements :class:`kubeweft.kube.receiving.Receiver` for one resource type."""

    def __init__(
        self, differ: Differ, *, deliver: Deliver, resume: Resume | None, clock: Clock, observer: str
    ) -> None:
        """``deliver`` returns when everything is durable; it never gives up. ``observer`` names us in gaps."""
        self._differ = differ
        self._deliver = deliver
        self._resume = resume
        self._clock = clock
        self._observer = observer
        self._progress = Progress()
        self._last_checkpoint = clock()
        self._listed: set[str] = set()
        self._changed_in_list: dict[ObjectKey, None] = {}

    async def resume_point(self) -> ResumePoint:
        """Load what a former run remembered, under the rules of today."""
        if self._resume is None:
            return ResumePoint("", 0)
        resume, self._resume = self._resume, None
        self._differ.load(resume)
        known: list[Observation] = []
        for key, owners in self._revise():
            known.append(Known(key, owners))
            if len(known) == KNOWN_PER_DELIVERY:
                await self._deliver(known, ())
                known = []
        await self._deliver(known, ())
        self._progress.version = resume.version
        return ResumePoint(resume.version, resume.time)

    def use(self, rules: Rules) -> None:
        """Take up new rules; what is remembered is brought under them at once."""
        before, self._differ.rules = self._differ.rules, rules
        if (before.plan.redaction, before.plan.ignore_paths) != (
            rules.plan.redaction,
            rules.plan.ignore_paths,
        ):
            for _ in self._revise():
                pass

    async def list_started(self) -> None:
        """Begin to collect what exists."""
        self._listed.clear()
        self._changed_in_list.clear()

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of the state: unknown objects are sightings, known ones may have changed meanwhile."""
        seen = Progress()
        found: list[Change] = []
        received = self._clock()
        for line in lines:
            for change in self._absorb(line, seen, received=received, listing=True):
                found.append(change)
                if change.old_version:
                    self._changed_in_list[change.key] = None
        await self._hand_over(found, seen)

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """What was known and not listed was deleted; objects that changed unseen get the gap."""
        received = self._clock()
        seen = Progress(version=version)
        found: list[Observation] = []
        for uid in [uid for uid in self._differ.remembered if uid not in self._listed]:
            change = self._differ.missing(uid, received=received)
            if change is not None:
                seen.removed.add(uid)
                self._changed_in_list[change.key] = None
                if self._differ.rules.plan.wants_object(change.key):
                    found.append(change)
        if missed is not None:
            found.extend(self._gaps(missed))
        self._listed.clear()
        self._changed_in_list.clear()
        await self._hand_over(found, seen, checkpoint=True)

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """The next changes, in the order of their versions."""
        seen = Progress(version=version)
        found: list[Change] = []
        received = self._clock()
        for line in lines:
            found.extend(self._absorb(line, seen, received=received, listing=False))
        await self._hand_over(found, seen)

    async def flush(self) -> None:
        """Write a checkpoint now if anything has been seen since the last."""
        progress = self._progress
        if progress.version and (progress.versions or progress.removed or progress.dictionaries):
            await self._deliver((), [self._checkpoint()])

    def _absorb(self, line: WatchLine, seen: Progress, *, received: int, listing: bool) -> Iterator[Change]:
        differ = self._differ
        try:
            if listing and line.type == "ADDED":
                facts, changes = differ.absorb_listed(line.object, received=received)
            else:
                facts, changes = differ.absorb(line.type, line.object, received=received)
        except BadInput as error:
            BAD_OBJECTS.labels(resource=str(differ.resource)).inc()
            logger.warning("skipped an object: resource=%s reason=%s", differ.resource, error)
            return
        if line.type == "DELETED":
            self._listed.discard(facts.uid)
            seen.versions.pop(facts.uid, None)
            seen.removed.add(facts.uid)
        else:
            self._listed.add(facts.uid)
            seen.removed.discard(facts.uid)
            remembered = differ.remembered[facts.uid]
            seen.versions[facts.uid] = StoredVersion(facts.namespace, facts.name, facts.uid, *remembered, b"")
        if differ.new_dictionary is not None:
            number, content = differ.new_dictionary
            seen.dictionaries[number] = content
            differ.new_dictionary = None
        for change in changes:
            if differ.rules.plan.wants_object(change.key):
                yield change

    async def _hand_over(
        self, found: Sequence[Observation], seen: Progress, *, checkpoint: bool = False
    ) -> None:
        if found:
            CHANGES.labels(resource=str(self._differ.resource)).inc(len(found))
        due = checkpoint or (
            len(self._progress.versions) >= MOST_DIRTY
            or self._clock() - self._last_checkpoint >= CHECKPOINT_EVERY
        )
        if due and (seen.version or self._progress.version):
            # One durable batch holds the spans and the checkpoint that says they are done.
            self._progress.take(seen)
            await self._deliver(found, [self._checkpoint()])
        else:
            await self._deliver(found, ())
            self._progress.take(seen)

    def _checkpoint(self) -> Checkpoint:
        progress = self._progress
        self._progress = Progress(version=progress.version)
        self._last_checkpoint = self._clock()
        return Checkpoint(
            cluster=self._differ.cluster,
            group=self._differ.resource.group,
            resource=self._differ.resource.resource,
            version=progress.version,
            time=self._last_checkpoint,
            versions=tuple(progress.versions.values()),
            removed=tuple(progress.removed),
            dictionaries=tuple(progress.dictionaries.items()),
        )

    def _revise(self) -> Iterator[tuple[ObjectKey, tuple[OwnerReference, ...]]]:
        for uid, remembered, body in self._differ.revise():
            namespace, name, owners = owners_in(body)
            self._progress.versions[uid] = StoredVersion(namespace, name, uid, *remembered, b"")
            yield self._differ.key(namespace, name), owners

    def _gaps(self, missed: Missed) -> Iterator[Gap]:
        whole_type = self._differ.key("", "")
        for key in (whole_type, *self._changed_in_list):
            if key is whole_type or self._differ.rules.plan.wants_object(key):
                yield Gap(
                    key=key,
                    observer=self._observer,
                    reason=missed.reason,
                    message=missed.message,
                    start=missed.start,
                    end=missed.end,
                    count=len(self._changed_in_list) if key is whole_type else 0,
                )
