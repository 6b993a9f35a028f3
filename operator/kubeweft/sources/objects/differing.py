"""From the versions of objects to changes: compares what a watch brings with what was there before.

One :class:`Differ` serves one resource type of one cluster. It is pure but for its memory: the caller hands over raw
objects and the time of receipt, and writes what comes out. What it has seen before (a repeated or older version) makes
nothing, so a watch may be replayed from any earlier version.

Order of work, on which the secrecy of values depends: take the facts, redact, drop ignored paths; only then is anything
compared, remembered or handed on. An object is decoded only where it has to be: what is certainly clean stays the bytes
it came as, and of two versions only the top-level fields that differ are decoded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kubeweft.links.traceparents import contexts_in
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Change, ChangeType, TraceContext
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.timestamps import NANOSECONDS
from kubeweft.sources.objects.comparing import NO_STEP, WHOLE, Step, compare_bodies
from kubeweft.sources.objects.facts import Facts, owners_in, read_object
from kubeweft.sources.objects.memory import PLAIN, Compression, Remembered
from kubeweft.sources.objects.shaping import Rules, metadata_alone, shape_body
from kubeweft.store.interfaces import Resume

MOST_DELETED = 10_000  # what is told again of objects deleted lately makes nothing
PARTIAL_MARK = b"partial"  # kept with a version of which only metadata was seen
NO_SNAPSHOT = -1  # in no window has the body become a span
LARGEST_LEAD = (
    86_400 * NANOSECONDS
)  # clients may write any time into managedFields: one a day ahead is no time


class Revised(NamedTuple):
    """An object that was remembered, under other rules. ``window`` is that of its last snapshot, as it was before.

    ``trouble`` says why nothing but its metadata is left; it is empty if all went well.
    """

    uid: str
    body: bytes
    window: int
    trouble: str


class Differ:
    """The last versions of one resource type, and the changes that new ones make."""

    def __init__(
        self,
        cluster: str,
        resource: ResourceType,
        *,
        window_length: int,
        rules: Rules,
        partial: bool = False,
    ) -> None:
        """``window_length`` is in nanoseconds: the first change in a window comes with a snapshot.

        ``partial`` says that the watch brings nothing but metadata.
        """
        self.partial = partial
        self.cluster = cluster
        self.resource = resource
        self.rules = rules
        self.compression = Compression()
        self.remembered: dict[str, Remembered] = {}
        self._lately_deleted: OrderedDict[str, str] = OrderedDict()
        self._new_dictionary: tuple[int, bytes] | None = None
        self._length = window_length

    def load(self, resume: Resume) -> None:
        """Take up the versions of a former run."""
        for number, content in resume.dictionaries:
            self.compression.load(number, content)
        for stored in resume.versions:
            self.remembered[stored.uid] = Remembered(
                stored.version,
                stored.snapshot_window,
                stored.dictionary,
                stored.body,
                stored.owners == PARTIAL_MARK,
            )

    def settle(self, uids: Iterable[str]) -> list[tuple[str, Remembered]]:
        """Compress these objects' bodies where that has not been done yet; gives what is remembered of each."""
        settled = []
        for uid in uids:
            known = self.remembered[uid]
            if known.dictionary == PLAIN:
                dictionary = self.compression.sample(known.body)
                if dictionary is not None:
                    self._new_dictionary = dictionary
                packed = self.compression.pack(known.body)
                known = known._replace(dictionary=self.compression.current, body=packed)
                self.remembered[uid] = known
            settled.append((uid, known))
        return settled

    def take_new_dictionary(self) -> tuple[int, bytes] | None:
        """The dictionary made since the last call, if there is one: what is settled from then on needs it."""
        dictionary, self._new_dictionary = self._new_dictionary, None
        return dictionary

    def absorb(self, kind: str, raw: bytes, *, received: int) -> tuple[Facts, list[Change]]:
        """One watch event (``ADDED``, ``MODIFIED`` or ``DELETED``) with its raw object.

        Raises ``BadInput`` if the object is none. The list is empty if the version was known already; it holds a
        sighting as well as the change where a snapshot is due.
        """
        facts, body = self.read(raw)
        return facts, self.take(kind, facts, body, received=received)

    def read(self, raw: bytes) -> tuple[Facts, bytes]:
        """The facts of a raw object, and its body as it may be kept. Raises ``BadInput`` if it is none."""
        facts, body = read_object(raw, self.resource)
        return facts, self._shape(body)

    def take(self, kind: str, facts: Facts, body: bytes, *, received: int) -> list[Change]:
        """The changes that one watch event makes, of which the object has been read."""
        before = self.remembered.get(facts.uid)
        known = before.version if before is not None else self._lately_deleted.get(facts.uid)
        if kind == "DELETED" and before is not None and facts.version == known:
            return [self._deleted(facts, body, before, received)]  # not every server gives it one of its own
        if known is not None and not _is_newer(facts.version, known):
            return []
        if kind == "DELETED":
            return [self._deleted(facts, body, before, received)]
        if before is None:
            created = kind == "ADDED"
            return [self._first(facts, body, "Added" if created else "Sighting", received)]
        return self._modified(facts, body, before, received)

    def take_listed(self, facts: Facts, body: bytes, *, received: int) -> list[Change]:
        """One object of a complete list: unknown ones are sightings, others the step since they were last seen."""
        before = self.remembered.get(facts.uid)
        if before is None:
            return [self._first(facts, body, "Sighting", received)]
        return (
            self._modified(facts, body, before, received) if _is_newer(facts.version, before.version) else []
        )

    def missing(self, uid: str, *, received: int) -> Change | None:
        """A complete list did not hold ``uid`` any more: it was deleted, we cannot know when or at which version."""
        before = self.remembered.pop(uid, None)
        if before is None:
            return None
        body = self.compression.unpack(before)
        namespace, name, owners = owners_in(body)
        return Change(
            key=self.key(namespace, name),
            kind=self.resource.kind,
            api_version=self.resource.api_version,
            uid=uid,
            old_version=before.version,
            version="",
            type="Deleted",
            time=received,
            time_source="receipt",
            body=body,
            owners=owners,
        )

    def bodies(self) -> Iterator[tuple[ObjectKey, bytes, int]]:
        """Everything remembered as it is, with the window of its last snapshot."""
        for before in list(self.remembered.values()):
            body = self.compression.unpack(before)
            namespace, name, _ = owners_in(body)
            yield self.key(namespace, name), body, before.snapshot_window

    def revise(self) -> Iterator[Revised]:
        """Bring everything remembered under the present rules; gives each object, with what it is now.

        Versions that were kept under other rules could otherwise show, as "the value before", what is secret now.
        The next change of one that differs now brings a snapshot: its patch would not fit the one before.
        """
        for uid, before in list(self.remembered.items()):
            body = self.compression.unpack(before)
            partial, trouble = before.partial or self.partial, ""
            try:
                shaped = self._shape(body)
            except BadInput as error:
                # Rules that had nothing to do with it did not look into it. Its metadata, which the API server wrote,
                # can always be looked into: the rest counts as never seen.
                partial, trouble = True, str(error)
                shaped = self._shape(metadata_alone(body))
            window = before.snapshot_window if shaped == body else NO_SNAPSHOT
            packed = self.compression.pack(shaped)
            self.remembered[uid] = Remembered(
                before.version, window, self.compression.current, packed, partial
            )
            yield Revised(uid, shaped, before.snapshot_window, trouble)

    def _shape(self, body: bytes) -> bytes:
        return shape_body(body, self.resource.group, self.resource.resource, self.rules)

    def key(self, namespace: str, name: str) -> ObjectKey:
        """The key of an object of this type."""
        return ObjectKey(self.cluster, self.resource.group, self.resource.resource, namespace, name)

    def _first(self, facts: Facts, body: bytes, change: ChangeType, received: int) -> Change:
        made = self._change(facts, change, received, step=WHOLE, body=body, contexts=contexts_in(body))
        self._remember(facts, body, window=self._window(made))
        return made

    def _modified(self, facts: Facts, body: bytes, before: Remembered, received: int) -> list[Change]:
        known = self.compression.unpack(before)
        grown = self._has_grown(before)
        step = self._compare(known, body, grown=grown)
        contexts = _without(contexts_in(body), known)
        made = self._change(
            facts, "Modified", received, old_version=before.version, step=step, contexts=contexts
        )
        window = self._window(made)
        self._remember(facts, body, window=window)
        if window == before.snapshot_window and not step.cut and not grown:
            return [made]
        return [made, self._change(facts, "Sighting", received, body=body)]

    def _deleted(self, facts: Facts, body: bytes, before: Remembered | None, received: int) -> Change:
        self.remembered.pop(facts.uid, None)
        self._lately_deleted[facts.uid] = facts.version
        if len(self._lately_deleted) > MOST_DELETED:
            self._lately_deleted.popitem(last=False)
        if before is None:
            return self._change(facts, "Deleted", received, body=body)
        known = self.compression.unpack(before)
        step = self._compare(known, body, grown=self._has_grown(before))
        return self._change(facts, "Deleted", received, old_version=before.version, step=step, body=known)

    def _has_grown(self, before: Remembered) -> bool:
        """Whether more is known of an object now: the rest was there before, it just was not asked for."""
        return before.partial and not self.partial

    def _compare(self, before: bytes, after: bytes, *, grown: bool) -> Step:
        step = compare_bodies(
            before, metadata_alone(after) if grown else after, max_bytes=self.rules.plan.max_patch_bytes
        )
        return step._replace(fields=None) if grown else step

    def _change(
        self,
        facts: Facts,
        change: ChangeType,
        received: int,
        *,
        old_version: str = "",
        step: Step = NO_STEP,
        body: bytes = b"",
        contexts: tuple[TraceContext, ...] = (),
    ) -> Change:
        told = 0 < facts.time <= received + LARGEST_LEAD and (change != "Deleted" or facts.deleting)
        return Change(
            key=self.key(facts.namespace, facts.name),
            kind=facts.kind,
            api_version=facts.api_version,
            uid=facts.uid,
            old_version=old_version,
            version=facts.version,
            type=change,
            time=facts.time if told else received,
            time_source="object" if told else "receipt",
            patch=step.patch,
            patch_truncated=step.cut,
            words=step.words,
            body=body,
            managers=step.actors(facts.managers) if change != "Deleted" else (),
            generation=facts.generation,
            owners=facts.owners,
            contexts=contexts,
            fields=step.fields,
        )

    def _remember(self, facts: Facts, body: bytes, *, window: int) -> None:
        """Keep the body as it is: what has just changed is likely to change again soon (see :meth:`settle`)."""
        self.remembered[facts.uid] = Remembered(facts.version, window, PLAIN, body, self.partial)

    def _window(self, made: Change) -> int:
        """The window in which a snapshot goes with the change; none where nobody wants the object's changes."""
        if not self.rules.wants_object(made.key):
            return NO_SNAPSHOT
        return made.time - made.time % self._length


def _without(contexts: tuple[TraceContext, ...], before: bytes) -> tuple[TraceContext, ...]:
    """Those that the version before did not name yet."""
    if not contexts:
        return ()
    known = contexts_in(before)
    return tuple(context for context in contexts if context not in known)


def _is_newer(version: str, known: str) -> bool:
    """Compare two resourceVersions of one resource type (KEP-5504: integers of any length); opaque ones by equality."""
    if version.isdecimal() and known.isdecimal():
        return (len(version), version) > (len(known), known)
    return version != known
