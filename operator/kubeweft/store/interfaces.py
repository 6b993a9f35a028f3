"""What the other rooms may ask of a store.

Writing: a :class:`Batch` is durable when ``write`` returns; a span whose ``(trace_id, span_id)`` is known already is
left as it is, so every write may be repeated. Reading: by trace ID (``spans_of``), by object (``windows_of``), by
search (``find_objects``), and in order of arrival (``spans_after``), which is how exporters drain it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import AttributeValue, Span


class StoredVersion(NamedTuple):
    """The last version of one object seen by a watch. ``body`` is compressed; the cache that wrote it knows how."""

    namespace: str
    name: str
    uid: str
    version: str
    snapshot_window: int
    dictionary: int
    body: bytes
    owners: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the watch of one resource type has come, and what it last saw.

    ``complete`` says that ``versions`` are all objects there are (after a list), so that others are forgotten.
    ``removed`` are UIDs. ``dictionaries`` are new compression dictionaries by number; numbers are per resource type.
    """

    cluster: str
    group: str
    resource: str
    version: str
    time: int
    versions: Sequence[StoredVersion] = ()
    removed: Sequence[str] = ()
    dictionaries: Sequence[tuple[int, bytes]] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """What a watch of one resource type starts from after a restart."""

    version: str
    time: int
    versions: Sequence[StoredVersion]
    dictionaries: Sequence[tuple[int, bytes]]


class AuditVersion(NamedTuple):
    """One version of one object as an audit log showed it, known by ``(cluster, uid, version)``.

    ``time`` is in nanoseconds: that of the earliest request that answered with this version (later ones changed
    nothing), whatever the order in which they are written. ``created`` says that one of them was a create. ``body`` is
    plain JSON here; the store compresses it.
    """

    cluster: str
    group: str
    resource: str
    namespace: str
    name: str
    uid: str
    version: str
    time: int
    created: bool
    deleted: bool
    kind: str
    api_version: str
    body: bytes


class ForeignPart(NamedTuple):
    """What came at once of one trace of another tracing system.

    ``joins`` are (attribute, value, earliest start of a span that has it): what the trace is found by. ``received`` is
    when it came, in nanoseconds.
    """

    trace_id: bytes
    spans: Sequence[ForeignSpan]
    joins: Sequence[tuple[str, str, int]]
    received: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One unit of writing: all of it is durable, or none.

    ``removed`` are ``(trace_id, span_id)`` of spans that turned out wrong; they go before ``spans`` come, and unknown
    ones are skipped. ``export_positions`` are ``(exporter, position)``; a position never goes back. ``bookmarks`` are
    ``(name, value)``: how far sources have read that are no watches, in their own words. ``foreign`` are spans of other
    tracing systems; a part that is known already is left as it is. ``replaced`` are names that stand for other clusters
    than before: what was remembered for watches of those is forgotten, before ``checkpoints`` are taken.
    """

    spans: Sequence[Span] = ()
    checkpoints: Sequence[Checkpoint] = ()
    removed: Sequence[tuple[bytes, bytes]] = ()
    audit_versions: Sequence[AuditVersion] = ()
    export_positions: Sequence[tuple[str, int]] = ()
    bookmarks: Sequence[tuple[str, bytes]] = ()
    foreign: Sequence[ForeignPart] = ()
    replaced: Sequence[str] = ()


class Written(NamedTuple):
    """What a write did: the newest position in the store after it, and how many spans were not known before."""

    position: int
    added: int


class Told(NamedTuple):
    """What one span has to tell: an error, where it has to have ``failed``, and each of these (attribute, value as text)."""

    failed: bool = False
    attributes: tuple[tuple[str, str], ...] = ()


ANYTHING = Told()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectQuery:
    """What to look for: every field narrows; empty fields do not. Times are nanoseconds, overlap decides.

    ``resources`` are (group or None for any, plural resource) pairs. ``namespace`` and ``name`` may hold ``*``.
    ``text`` is searched in names, messages, users and changed fields, without regard to case. One span of the object has to
    tell what is ``told``, and the text too if its name does not. ``among`` are keys without names: any of these types in
    these namespaces. A store that cannot look for what is told, or among many, gives what matches otherwise.
    """

    cluster: str = ""
    resources: tuple[tuple[str | None, str], ...] = ()
    namespace: str = ""
    name: str = ""
    text: str = ""
    told: Told = ANYTHING
    among: tuple[ObjectKey, ...] = ()
    since: int = 0
    until: int = 2**63 - 1
    limit: int = 100


class FoundObject(NamedTuple):
    """One object that a search found, and in how many windows.

    ``first`` and ``last`` bound the spans that matched, object and link spans aside, which have no time of their own;
    where a window holds nothing else, its beginning stands for both.
    """

    key: ObjectKey
    kind: str
    windows: int
    first: int
    last: int


class Window(NamedTuple):
    """One stored trace: an object in a window that begins at ``start`` and lasts ``length`` nanoseconds.

    ``active`` tells whether it holds anything but its object span and links, which say nothing of the object itself.
    """

    key: ObjectKey
    start: int
    length: int
    trace_id: bytes
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """How full a store is.

    ``bytes`` is what is used of its file, and ``file_bytes`` the size of the file, the log beside it aside: where
    something has been removed, the difference is used again. ``pending`` is what the slowest active exporter has not
    sent yet.

    ``full`` tells that the last write of spans was refused for want of room, or because too much was pending.
    Retention has removed windows that began before ``oldest_kept`` (nanoseconds; 0: none ever).
    """

    spans: int
    windows: int
    bytes: int
    max_bytes: int
    position: int
    positions: Mapping[str, int]
    pending: int
    max_pending: int
    full: bool
    file_bytes: int = 0
    oldest_kept: int = 0


class WindowQuestion(NamedTuple):
    """Which windows are wanted: those of one object that overlap a range of time, both ends included."""

    key: ObjectKey
    since: int
    until: int


class SpanReader(Protocol):
    """Reading, as the display needs it."""

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """All spans of these traces, each trace in order of arrival; unknown IDs are skipped."""

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        """The stored windows of one object that overlap a range of time (both ends included), oldest first.

        A window also counts as long as its longest span lasts: a request may cross the border.
        """

    def window_of(self, trace_id: bytes) -> Window | None:
        """The stored window that a trace ID names; None if there is none."""

    def nearest_window(self, key: ObjectKey, *, before: int) -> Window | None:
        """The last window of an object that begins at or before a time."""

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        """Objects that match, those with the latest span first; at most ``query.limit`` + 1, so that more is seen.

        Raises UserError where a text search would have to read too much.
        """

    def clusters(self) -> list[str]:
        """The names of all clusters that have spans."""


@runtime_checkable
class ManyWindowsReader(Protocol):
    """What a reader may offer beside, so that a thousand objects are no thousand questions."""

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        """The answers of ``windows_of`` to many questions, in their order."""


def windows_of_many(reader: SpanReader, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
    """The windows of many objects: at once where the reader can, else one by one."""
    if not questions:
        return []
    if isinstance(reader, ManyWindowsReader):
        return reader.windows_of_many(questions)
    return [reader.windows_of(key, since=since, until=until) for key, since, until in questions]


class Places(NamedTuple):
    """Types and namespaces, as keys without names; not ``complete`` where there may be more."""

    keys: list[ObjectKey]
    complete: bool


@runtime_checkable
class PlacesReader(Protocol):
    """What a reader may offer beside, so that rights to whole namespaces can be asked before anything is searched."""

    def places_of(self, query: ObjectQuery, *, most: int) -> Places:
        """Where the objects are that a query means, its text, its time and what is told aside.

        At most ``most`` places, those with the most objects first.
        """


def places_of(reader: SpanReader, query: ObjectQuery, *, most: int) -> Places:
    """The same of any reader: where it cannot tell them, those of the ``most`` objects that it finds first."""
    if isinstance(reader, PlacesReader):
        return reader.places_of(query, most=most)
    found = reader.find_objects(replace(query, limit=most))
    return Places(list(dict.fromkeys(one.key._replace(name="") for one in found)), len(found) <= most)


def as_text(value: AttributeValue) -> str:
    """An attribute as people write it in a search."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class FoundForeign(NamedTuple):
    """Whole traces of other tracing systems, as far as they are stored; ``more`` traces had no room in the answer."""

    spans: list[ForeignSpan]
    more: int = 0


class ForeignReader(Protocol):
    """Reading spans of other tracing systems."""

    def has_foreign(self) -> bool:
        """Whether there are any that can be found; asked before each tree, so it has to be quick."""

    def foreign_of(
        self, joins: Sequence[tuple[str, str]], *, since: int, until: int, most_traces: int, most_spans: int
    ) -> FoundForeign:
        """The traces with a span that has one of these (attribute, value) and begins between two times.

        In the order of ``joins``, of each the earliest first; no span twice.
        """


class RetentionReader(Protocol):
    """What the display may ask of a store that removes what is old."""

    def oldest_kept(self) -> int:
        """The time before which retention has removed something, in nanoseconds; 0 if it never has.

        Windows that began earlier may be missing.
        """


class SpanSpool(Protocol):
    """Draining in order of arrival, as exporters need it. Positions grow and are never used twice."""

    def spans_after(self, position: int, *, limit: int) -> list[tuple[int, Span]]:
        """The next spans after ``position``, oldest first."""

    def export_position(self, exporter: str) -> int:
        """How far an exporter has come; an unknown one begins now, or at 0 while the store has never had another."""

    def save_export_position(self, exporter: str, position: int) -> None:
        """Remember that all spans up to ``position`` have been accepted by the receiver."""


class RunMemory(Protocol):
    """What a new run takes up from the one before."""

    def resume(self, cluster: str, group: str, resource: str) -> Resume | None:
        """Where the watch of one resource type had come to; None if it has never been checkpointed."""

    def recent_windows(self, since: int) -> list[Window]:
        """All windows that had not ended at ``since``, oldest first."""

    def known_resources(self) -> list[tuple[str, str, str]]:
        """All (group, resource, kind) that have spans; the kind is empty where no span has told it."""

    def audit_versions(self, cluster: str, uid: str) -> list[AuditVersion]:
        """What audit logs have shown of one object, in the order of its versions."""
