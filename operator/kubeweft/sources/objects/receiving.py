"""Takes what the watch of one resource type brings, and hands on what changed.

Spans are durable before the next lines are asked for. The last versions are not written with every change but now
and then, together with the resourceVersion reached (a checkpoint): after a crash the watch begins at the last
checkpoint and makes the same spans again, byte for byte, which the store knows already.
"""

from __future__ import annotations

import asyncio
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
from kubeweft.sources.objects.facts import Facts, owners_in, uid_in
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
    """What has been seen since the last checkpoint: objects by UID, with their namespace and name."""

    version: str = ""
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def take(self, newer: Progress) -> None:
        """Add what is durable now."""
        self.version = newer.version or self.version
        for uid in newer.removed:
            self.versions.pop(uid, None)
        for uid in newer.versions:
            self.removed.discard(uid)
        self.versions.update(newer.versions)
        self.removed.update(newer.removed)


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
        self._turn = asyncio.Lock()  # a checkpoint must not overtake the spans that it follows from
        self._newer_rules: Rules | None = None
        self._is_torn = (
            False  # compared, but broken off before it was durable: no checkpoint may be made of that
        )
        self._progress = Progress()
        self._last_checkpoint = clock()
        self._listed: set[str] = set()
        self._list_is_readable = True
        self._changed_in_list: dict[ObjectKey, None] = {}

    async def resume_point(self) -> ResumePoint:
        """Load what a former run remembered, under the rules of today."""
        if self._resume is None:
            return ResumePoint("", 0)
        self._take_up_rules()
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
        """Take up new rules before anything else is compared or written, also for what is remembered."""
        self._newer_rules = rules

    async def list_started(self) -> None:
        """Begin to collect what exists. What changed unseen and was found by a half list still needs its gap."""
        self._listed.clear()
        self._list_is_readable = True

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of the state: unknown objects are sightings, known ones may have changed meanwhile."""
        async with self._turn:
            self._take_up_rules()
            self._is_torn = True
            seen = Progress()
            found: list[Change] = []
            received = self._clock()
            for change in self._absorb(lines, seen, received=received, listing=True):
                found.append(change)
                if change.old_version:
                    self._changed_in_list[change.key] = None
            await self._hand_over(found, seen)
            self._differ.settle(seen.versions)  # a list may be large, and nothing says that these change soon

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """What was known and not listed was deleted; objects that changed unseen get the gap."""
        async with self._turn:
            self._take_up_rules()
            self._is_torn = True
            seen = Progress(version=version)
            found: list[Observation] = []
            if self._list_is_readable:
                found.extend(self._missing(seen))
            if missed is not None:
                found.extend(self._gaps(missed))
            self._listed.clear()
            self._changed_in_list.clear()
            await self._hand_over(found, seen, checkpoint=True)

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """The next changes, in the order of their versions."""
        async with self._turn:
            self._take_up_rules()
            self._is_torn = True
            seen = Progress(version=version)
            found = list(self._absorb(lines, seen, received=self._clock(), listing=False))
            await self._hand_over(found, seen)

    async def flush(self) -> None:
        """Write a checkpoint now if anything has been seen since the last."""
        async with self._turn:
            self._take_up_rules()
            progress = self._progress
            if progress.version and (progress.versions or progress.removed) and not self._is_torn:
                await self._deliver((), [self._checkpoint()])

    def _take_up_rules(self) -> None:
        if self._newer_rules is None:
            return
        before, after = self._differ.rules.plan, self._newer_rules.plan
        self._differ.rules, self._newer_rules = self._newer_rules, None
        if (before.redaction, before.ignore_paths) != (after.redaction, after.ignore_paths):
            for _ in self._revise():
                pass

    def _absorb(
        self, lines: Sequence[WatchLine], seen: Progress, *, received: int, listing: bool
    ) -> Iterator[Change]:
        """The changes that some lines make. All are read before the first is compared, which is a fifth quicker."""
        differ = self._differ
        wants_object = differ.rules.plan.wants_object
        for line, reading in [(line, self._read(line)) for line in lines]:
            if reading is None:
                yield from self._absorb_unreadable(line, seen, received=received)
                continue
            facts, body = reading
            if listing and line.type == "ADDED":
                changes = differ.take_listed(facts, body, received=received)
            else:
                changes = differ.take(line.type, facts, body, received=received)
            self._note(line.type, facts, seen)
            for change in changes:
                if wants_object(change.key):
                    yield change

    def _read(self, line: WatchLine) -> tuple[Facts, bytes] | None:
        try:
            return self._differ.read(line.object)
        except BadInput as error:
            resource = self._differ.resource
            BAD_OBJECTS.labels(resource=str(resource)).inc()
            logger.warning("skipped an object: resource=%s reason=%s", resource, error)
            return None

    def _note(self, kind: str, facts: Facts, seen: Progress) -> None:
        """Keep for the next checkpoint what is remembered of an object now."""
        if kind == "DELETED":
            self._listed.discard(facts.uid)
        else:
            self._listed.add(facts.uid)
        if (
            facts.uid not in self._differ.remembered
        ):  # also where a version is told again of what was deleted since
            seen.versions.pop(facts.uid, None)
            seen.removed.add(facts.uid)
        else:
            seen.removed.discard(facts.uid)
            seen.versions[facts.uid] = (facts.namespace, facts.name)

    def _absorb_unreadable(self, line: WatchLine, seen: Progress, *, received: int) -> Iterator[Change]:
        """What cannot be read is there all the same, or gone: that much its UID tells."""
        uid = uid_in(line.object)
        if line.type != "DELETED":
            self._listed.add(uid)
            self._list_is_readable = self._list_is_readable and bool(uid)
            return
        self._listed.discard(uid)
        yield from self._gone(uid, seen, received=received)

    def _missing(self, seen: Progress) -> Iterator[Change]:
        """What was known and not listed."""
        received = self._clock()
        for uid in [uid for uid in self._differ.remembered if uid not in self._listed]:
            for change in self._gone(uid, seen, received=received):
                self._changed_in_list[change.key] = None
                yield change

    def _gone(self, uid: str, seen: Progress, *, received: int) -> Iterator[Change]:
        change = self._differ.missing(uid, received=received)
        if change is not None:
            seen.versions.pop(uid, None)
            seen.removed.add(uid)
            if self._differ.rules.plan.wants_object(change.key):
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
        self._is_torn = False

    def _checkpoint(self) -> Checkpoint:
        progress = self._progress
        self._progress = Progress(version=progress.version)
        self._last_checkpoint = self._clock()
        versions = tuple(
            StoredVersion(
                *progress.versions[uid],
                uid,
                known.version,
                known.snapshot_window,
                known.dictionary,
                known.body,
                b"",
            )
            for uid, known in self._differ.settle(progress.versions)
        )
        dictionary = self._differ.take_new_dictionary()
        return Checkpoint(
            cluster=self._differ.cluster,
            group=self._differ.resource.group,
            resource=self._differ.resource.resource,
            version=progress.version,
            time=self._last_checkpoint,
            versions=versions,
            removed=tuple(progress.removed),
            dictionaries=(dictionary,) if dictionary is not None else (),
        )

    def _revise(self) -> Iterator[tuple[ObjectKey, tuple[OwnerReference, ...]]]:
        for uid, body in self._differ.revise():
            namespace, name, owners = owners_in(body)
            self._progress.versions[uid] = (namespace, name)
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
