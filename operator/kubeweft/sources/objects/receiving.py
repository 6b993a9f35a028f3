"""Takes what the watch of one resource type brings, and hands on what follows from it.

Here is the order of things: rules are taken up before anything is compared, spans are durable before the next lines are
asked for, and no checkpoint (:mod:`kubeweft.sources.objects.progress`) overtakes the spans that it follows from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from prometheus_client import Counter

from kubeweft.kube.receiving import Missed, ResumePoint, WatchLine
from kubeweft.model.observations import Change, Known, Observation, Related
from kubeweft.model.references import ObjectKey, OwnerReference
from kubeweft.sources.objects.absorbing import Absorber, tell_unreadable
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.facts import owners_in
from kubeweft.sources.objects.linking import NO_RULES, Linker, Relater
from kubeweft.sources.objects.listing import Listing, Unseen
from kubeweft.sources.objects.progress import Checkpoints, Clock, Progress
from kubeweft.sources.objects.shaping import Rules
from kubeweft.sources.objects.witnessing import TOLD_AT_ONCE, Witness
from kubeweft.store.interfaces import Checkpoint, Resume

CHANGES = Counter("kubeweft_changes_total", "Changes of watched objects that became spans.", ["resource"])
KNOWN_PER_DELIVERY = 1_000

Deliver = Callable[[Sequence[Observation], Sequence[Checkpoint]], Awaitable[None]]


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
        self._differ = differ
        self._deliver = deliver
        self._resume = resume
        self._clock = clock
        self._witness = Witness(differ)
        self._relater = Relater(linker, differ)
        self._absorber = Absorber(differ, witness=self._witness, relater=self._relater)
        self._checkpoints = Checkpoints(differ, clock)
        self._listing = Listing()
        self._unseen = Unseen(differ, observer)
        self._turn = asyncio.Lock()  # a checkpoint must not overtake the spans that it follows from
        self._newer_rules: Rules | None = None
        self._is_relinking = False
        # Compared, but broken off before it was durable: no checkpoint may be made of that.
        self._is_torn = False

    async def resume_point(self) -> ResumePoint:
        """Load what a former run remembered, under the rules of today."""
        await self._witness.wait_for_namespaces()
        if self._resume is None:
            return ResumePoint("", 0)
        await self._take_up_rules()
        resume, self._resume = self._resume, None
        self._differ.load(resume)
        known: list[Observation] = []
        for key, owners, body, window in self._revise():
            known.append(Known(key, owners))
            known.extend(self._relater.relate(key, body, window))
            if len(known) >= KNOWN_PER_DELIVERY:
                await self._deliver(known, ())
                known = []
        await self._deliver(known, ())
        self._checkpoints.progress.version = resume.version
        if resume.version:
            self._witness.has_told_all()
        return ResumePoint(resume.version, resume.time)

    def use(self, rules: Rules) -> None:
        """Take up new rules before anything else is compared or written, also for what is remembered."""
        self._newer_rules = rules

    @property
    def is_up_to_date(self) -> bool:
        """Whether everything remembered has been looked at under the newest rules."""
        return self._newer_rules is None and self._witness.is_done

    @property
    def has_listed(self) -> bool:
        """Whether all objects have been told once, by this run or one before."""
        return bool(self._checkpoints.progress.version)

    def remembered(self) -> Iterator[tuple[ObjectKey, bytes]]:
        """Everything as it was last seen."""
        for key, body, _ in self._differ.bodies():
            yield key, body

    def relink(self) -> None:
        """The rules have changed: all that is remembered is told to them again, soon (see :meth:`flush`)."""
        self._is_relinking = True

    async def list_started(self) -> None:
        """Begin to collect what exists; what changed unseen and was found by half a list still needs its gap."""
        self._listing = Listing()

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of the state: unknown objects are sightings, known ones may have changed meanwhile."""
        async with self._turn:
            await self._take_up_rules()
            self._is_torn = True
            seen = Progress()
            absorb = self._absorber.absorb
            found = list(absorb(lines, seen, received=self._clock(), listing=self._listing))
            for one in found:
                if isinstance(one, Change) and one.old_version:
                    self._unseen.add(one.key)
            await self._hand_over(found, seen)
            self._differ.settle(seen.versions)  # a list may be large, and nothing says that these change soon

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """What was known and not listed was deleted; objects that changed unseen get the gap."""
        async with self._turn:
            await self._take_up_rules()
            self._is_torn = True
            seen = Progress(version=version)
            absorb_missing = self._absorber.absorb_missing
            found: list[Observation] = list(absorb_missing(self._listing, seen, received=self._clock()))
            for one in found:
                if isinstance(one, Change):
                    self._unseen.add(one.key)
            if missed is not None:
                found.extend(self._unseen.gaps(missed))
            self._listing = Listing()
            self._unseen.clear()
            await self._hand_over(found, seen, checkpoint=True)
            self._witness.has_told_all()

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """The next changes, in the order of their versions."""
        async with self._turn:
            await self._take_up_rules()
            self._is_torn = True
            seen = Progress(version=version)
            found = list(self._absorber.absorb(lines, seen, received=self._clock()))
            await self._hand_over(found, seen)

    async def flush(self) -> None:
        """Write a checkpoint now if anything has been seen since the last; link anew if the rules have changed."""
        async with self._turn:
            await self._take_up_rules()
            if self._is_relinking:
                self._is_relinking = False
                try:
                    await self._relate_all()
                except BaseException:
                    self._is_relinking = True
                    raise
            if self._checkpoints.have_news and not self._is_torn:
                await self._deliver((), [self._checkpoints.make()])

    async def _take_up_rules(self) -> None:
        if self._newer_rules is not None:
            before, after = self._differ.rules.plan, self._newer_rules.plan
            self._differ.rules, self._newer_rules = self._newer_rules, None
            if (before.redaction, before.ignore_paths) != (after.redaction, after.ignore_paths):
                for _ in self._revise():
                    pass
                self._is_relinking = True
        while not self._witness.is_done:  # namespaces may change meanwhile
            await self._witness.tell_all()

    def _revise(self) -> Iterator[tuple[ObjectKey, tuple[OwnerReference, ...], bytes, int]]:
        """Everything remembered under the rules of today: key, owners, body, and the window of its last snapshot."""
        for uid, body, window, trouble in self._differ.revise():
            if trouble:
                tell_unreadable(self._differ.resource, trouble)
            namespace, name, owners = owners_in(body)
            key = self._differ.key(namespace, name)
            self._checkpoints.progress.keep(uid, namespace, name)
            self._witness.tell(key, body)
            yield key, owners, body, window

    async def _relate_all(self) -> None:
        """Tell the rules everything that is remembered, a part at a time."""
        found: list[Related] = []
        for number, (key, body, window) in enumerate(self._differ.bodies(), start=1):
            found.extend(self._relater.relate(key, body, window))
            if number % TOLD_AT_ONCE == 0:
                await self._deliver(found, ())
                found = []
                await asyncio.sleep(0)
        await self._deliver(found, ())

    async def _hand_over(
        self, found: Sequence[Observation], seen: Progress, *, checkpoint: bool = False
    ) -> None:
        if found:
            changes = sum(1 for one in found if isinstance(one, Change))
            CHANGES.labels(resource=str(self._differ.resource)).inc(changes)
        checkpoints = self._checkpoints
        if (checkpoint or checkpoints.are_due) and (seen.version or checkpoints.progress.version):
            # One durable batch holds the spans and the checkpoint that says they are done.
            checkpoints.progress.take(seen)
            await self._deliver(found, [checkpoints.make()])
        else:
            await self._deliver(found, ())
            checkpoints.progress.take(seen)
        self._is_torn = False
