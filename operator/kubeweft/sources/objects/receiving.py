"""Takes what the watch of one resource type brings, and hands on what changed.

Spans are durable before the next lines are asked for. The last versions are not written with every change but now
and then, together with the resourceVersion reached (a checkpoint): after a crash the watch begins at the last
checkpoint and makes the same spans again, byte for byte, which the store knows already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from prometheus_client import Counter

from kubeweft.kube.receiving import Missed, ResumePoint, WatchLine
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Change, Gap, Known, Observation, Related
from kubeweft.model.plan import NAMESPACES
from kubeweft.model.references import ObjectKey, OwnerReference
from kubeweft.sources.objects.differing import PARTIAL_MARK, Differ
from kubeweft.sources.objects.facts import Facts, owners_in, uid_in
from kubeweft.sources.objects.linking import Linker, NoRules, follow
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import Checkpoint, Resume, StoredVersion

logger = logging.getLogger(__name__)

CHANGES = Counter("kubeweft_changes_total", "Changes of watched objects that became spans.", ["resource"])
BAD_OBJECTS = Counter("kubeweft_bad_objects_total", "Watched objects that could not be read.", ["resource"])
CHECKPOINT_EVERY = 1_000_000_000  # ns
MOST_DIRTY = 2_000
KNOWN_PER_DELIVERY = 1_000
TOLD_AT_ONCE = 500

NO_RULES = NoRules()

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
        self,
        differ: Differ,
        *,
        deliver: Deliver,
        resume: Resume | None,
        clock: Clock,
        observer: str,
        linker: Linker = NO_RULES,
    ) -> None:
        """``deliver`` returns when everything is durable; it never gives up. ``observer`` names us in gaps."""
        self._linker = linker
        self._is_relinking = False
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
        self._listed_keys: set[tuple[str, str]] = set()  # namespace and name
        self._judged_for: tuple[object, ...] = ()
        self._list_is_readable = True
        self._changed_in_list: dict[ObjectKey, None] = {}

    async def resume_point(self) -> ResumePoint:
        """Load what a former run remembered, under the rules of today."""
        if not self._tells_namespaces and self._differ.rules.chooser is not None:
            await self._differ.rules.chooser.wait_for_namespaces()
        if self._resume is None:
            return ResumePoint("", 0)
        await self._take_up_rules()
        resume, self._resume = self._resume, None
        self._differ.load(resume)
        known: list[Observation] = []
        for key, owners, body, window in self._revise():
            known.append(Known(key, owners))
            known.extend(self._related(key, body, window))
            if len(known) >= KNOWN_PER_DELIVERY:
                await self._deliver(known, ())
                known = []
        await self._deliver(known, ())
        self._progress.version = resume.version
        if resume.version:
            self._namespaces_are_told()
        return ResumePoint(resume.version, resume.time)

    def use(self, rules: Rules) -> None:
        """Take up new rules before anything else is compared or written, also for what is remembered."""
        self._newer_rules = rules

    @property
    def is_up_to_date(self) -> bool:
        """Whether everything remembered has been looked at under the newest rules."""
        return self._newer_rules is None and not self._has_to_judge

    @property
    def has_listed(self) -> bool:
        """Whether all objects have been told once, by this run or one before."""
        return bool(self._progress.version)

    def remembered(self) -> Iterator[tuple[ObjectKey, bytes]]:
        """Everything as it was last seen."""
        for key, body, _ in self._differ.bodies():
            yield key, body

    def relink(self) -> None:
        """The rules have changed: all that is remembered is told to them again, soon (see :meth:`flush`)."""
        self._is_relinking = True

    async def list_started(self) -> None:
        """Begin to collect what exists. What changed unseen and was found by a half list still needs its gap."""
        self._listed.clear()
        self._listed_keys.clear()
        self._list_is_readable = True

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of the state: unknown objects are sightings, known ones may have changed meanwhile."""
        async with self._turn:
            await self._take_up_rules()
            self._is_torn = True
            seen = Progress()
            found: list[Observation] = []
            received = self._clock()
            for change in self._absorb(lines, seen, received=received, listing=True):
                found.append(change)
                if isinstance(change, Change) and change.old_version:
                    self._changed_in_list[change.key] = None
            await self._hand_over(found, seen)
            self._differ.settle(seen.versions)  # a list may be large, and nothing says that these change soon

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """What was known and not listed was deleted; objects that changed unseen get the gap."""
        async with self._turn:
            await self._take_up_rules()
            self._is_torn = True
            seen = Progress(version=version)
            found: list[Observation] = []
            if self._list_is_readable:
                found.extend(self._missing(seen))
            if missed is not None:
                found.extend(self._gaps(missed))
            self._listed.clear()
            self._listed_keys.clear()
            self._changed_in_list.clear()
            await self._hand_over(found, seen, checkpoint=True)
            self._namespaces_are_told()

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """The next changes, in the order of their versions."""
        async with self._turn:
            await self._take_up_rules()
            self._is_torn = True
            seen = Progress(version=version)
            found = list(self._absorb(lines, seen, received=self._clock(), listing=False))
            await self._hand_over(found, seen)

    async def flush(self) -> None:
        """Write a checkpoint now if anything has been seen since the last; link anew if the rules have changed."""
        async with self._turn:
            await self._take_up_rules()
            if self._is_relinking:
                self._is_relinking = False
                try:
                    await self._link_all()
                except BaseException:
                    self._is_relinking = True
                    raise
            progress = self._progress
            if progress.version and (progress.versions or progress.removed) and not self._is_torn:
                await self._deliver((), [self._checkpoint()])

    async def _take_up_rules(self) -> None:
        if self._newer_rules is not None:
            before, after = self._differ.rules.plan, self._newer_rules.plan
            self._differ.rules, self._newer_rules = self._newer_rules, None
            if (before.redaction, before.ignore_paths) != (after.redaction, after.ignore_paths):
                for _ in self._revise():
                    pass
                self._is_relinking = True
        while self._has_to_judge:  # namespaces may change meanwhile
            await self._judge_all()

    @property
    def _has_to_judge(self) -> bool:
        chooser = self._differ.rules.chooser
        return chooser is not None and self._judges and self._judged_for != chooser.question

    async def _judge_all(self) -> None:
        """Tell the chooser everything that is remembered, a part at a time."""
        chooser = self._differ.rules.chooser
        assert chooser is not None
        question = chooser.question
        for number, (key, body, _) in enumerate(self._differ.bodies(), start=1):
            chooser.judge(key, body)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._judged_for = chooser.question if self._tells_namespaces else question

    def _absorb(
        self, lines: Sequence[WatchLine], seen: Progress, *, received: int, listing: bool
    ) -> Iterator[Change | Related | Known]:
        """What some lines make. All are read before the first is compared, which is a fifth quicker."""
        differ = self._differ
        wants_object = differ.rules.wants_object
        judges = self._judges
        links = self._linker.reads(differ.resource.group, differ.resource.resource)
        for line, reading in [(line, self._read(line)) for line in lines]:
            if reading is None:
                yield from self._absorb_unreadable(line, seen, received=received)
                continue
            facts, body = reading
            if judges:
                self._judge(line.type, facts, body)
            if listing and line.type == "ADDED":
                changes = differ.take_listed(facts, body, received=received)
            else:
                changes = differ.take(line.type, facts, body, received=received)
            self._note(line.type, facts, seen)
            if listing:
                self._listed_keys.add((facts.namespace, facts.name))
            for change in changes:
                if wants_object(change.key):
                    yield change
            if links:
                yield from self._follow(changes, body)

    def _follow(self, changes: Sequence[Change], body: bytes) -> Iterator[Related]:
        """What the rules make of the changes that one watch event brought."""
        yield from self._marked(follow(self._linker, changes, body))
        if changes and changes[0].type == "Deleted" and not self._differ.rules.wants_object(changes[0].key):
            yield Related(changes[0].key, (), changes[0].time, selected=False)  # no change tells of its end

    def _judge(self, kind: str, facts: Facts, body: bytes) -> None:
        chooser = self._differ.rules.chooser
        assert chooser is not None
        key = self._differ.key(facts.namespace, facts.name)
        chooser.judge(key, body)
        if kind == "DELETED":
            chooser.gone(key)

    def _related(self, key: ObjectKey, body: bytes, window: int) -> Iterator[Related]:
        """What the rules make of an object that last changed in a window, if that is known."""
        if self._linker.reads(key.group, key.resource):
            for one in self._marked(self._linker.take(key, body, time=max(window, 0))):
                yield msgspec.structs.replace(one, selected=False) if window < 0 else one

    def _marked(self, related: Iterable[Related]) -> Iterator[Related]:
        """Marked where the object is not selected, or lives in a cluster whose policies are not known here."""
        rules = self._differ.rules
        for one in related:
            if one.key.cluster == self._differ.cluster and rules.wants_object(one.key):
                yield one
            else:
                yield msgspec.structs.replace(one, selected=False)

    async def _link_all(self) -> None:
        """Tell the rules everything that is remembered, a part at a time."""
        found: list[Related] = []
        for number, (key, body, window) in enumerate(self._differ.bodies(), start=1):
            found.extend(self._related(key, body, window))
            if number % TOLD_AT_ONCE == 0:
                await self._deliver(found, ())
                found = []
                await asyncio.sleep(0)
        await self._deliver(found, ())

    @property
    def _judges(self) -> bool:
        chooser, resource = self._differ.rules.chooser, self._differ.resource
        return chooser is not None and chooser.judges(resource.group, resource.resource)

    @property
    def _tells_namespaces(self) -> bool:
        return (self._differ.resource.group, self._differ.resource.resource) == NAMESPACES

    def _namespaces_are_told(self) -> None:
        if self._tells_namespaces and self._differ.rules.chooser is not None:
            self._differ.rules.chooser.namespaces_are_told()

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

    def _absorb_unreadable(
        self, line: WatchLine, seen: Progress, *, received: int
    ) -> Iterator[Change | Related | Known]:
        """What cannot be read is there all the same, or gone: that much its UID tells."""
        uid = uid_in(line.object)
        if line.type != "DELETED":
            self._listed.add(uid)
            self._list_is_readable = self._list_is_readable and bool(uid)
            return
        self._listed.discard(uid)
        yield from self._gone(uid, seen, received=received)

    def _missing(self, seen: Progress) -> Iterator[Change | Related | Known]:
        """What was known and not listed."""
        received = self._clock()
        for uid in [uid for uid in self._differ.remembered if uid not in self._listed]:
            for change in self._gone(uid, seen, received=received, living=self._listed_keys):
                if isinstance(change, Change):
                    self._changed_in_list[change.key] = None
                yield change

    def _gone(
        self,
        uid: str,
        seen: Progress,
        *,
        received: int,
        living: Collection[tuple[str, str]] = (),
    ) -> Iterator[Change | Related | Known]:
        """An object is gone; others may bear its name by now (``living``: namespace and name)."""
        change = self._differ.missing(uid, received=received)
        if change is not None:
            seen.versions.pop(uid, None)
            seen.removed.add(uid)
            if self._differ.rules.wants_object(change.key):
                yield change
            if change.key[3:] in living:
                yield Known(change.key, ())
                return
            yield from self._follow([change], change.body)
            if self._differ.rules.chooser is not None:
                self._differ.rules.chooser.gone(change.key)

    async def _hand_over(
        self, found: Sequence[Observation], seen: Progress, *, checkpoint: bool = False
    ) -> None:
        if found:
            changes = sum(1 for one in found if isinstance(one, Change))
            CHANGES.labels(resource=str(self._differ.resource)).inc(changes)
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
                PARTIAL_MARK if known.partial else b"",
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

    def _revise(self) -> Iterator[tuple[ObjectKey, tuple[OwnerReference, ...], bytes, int]]:
        """Everything remembered under the rules of today: key, owners, body, and the window of its last snapshot."""
        chooser = self._differ.rules.chooser
        for uid, body, window in self._differ.revise():
            namespace, name, owners = owners_in(body)
            key = self._differ.key(namespace, name)
            self._progress.versions[uid] = (namespace, name)
            if chooser is not None:
                chooser.judge(key, body)
            yield key, owners, body, window

    def _gaps(self, missed: Missed) -> Iterator[Gap]:
        whole_type = self._differ.key("", "")
        for key in (whole_type, *self._changed_in_list):
            if key is whole_type or self._differ.rules.wants_object(key):
                yield Gap(
                    key=key,
                    observer=self._observer,
                    reason=missed.reason,
                    message=missed.message,
                    start=missed.start,
                    end=missed.end,
                    count=len(self._changed_in_list) if key is whole_type else 0,
                )
