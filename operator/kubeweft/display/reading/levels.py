"""What is read of a store for one tree, a level at a time, and what of it was left out.

The number of reads grows with the levels of what is shown, and what is read with the objects shown, but neither with what
is stored beside: a level is one question for windows and one for spans (where a reader cannot answer for many objects
at once, one for the windows of each).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kubeweft.display.tree.trees import MergedWindow, is_owner_link, link_target, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanReader, Window, WindowQuestion, windows_of_many


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is shown at most.

    Objects in all, levels of children, and windows of one object (the newest); ``linked`` objects beside the tree,
    each with ``linked_facts`` from ``linked_windows``, chosen among ``linked_read`` that are looked into. Where a
    selection names roles or classes of linked objects, it is about them: then ``neighbour_facts`` of each are shown.
    When about ``spans`` have been read (1 kB of memory each, or more), no more windows are but the newest of each
    object; ``at_once`` is for the spans of how many windows a store is asked at once. ``around`` of the spans may be of
    what concerned whole types.
    """

    objects: int = 500
    spans: int = 250_000
    at_once: int = 4_000
    around: int = 20_000
    depth: int = 8
    windows: int = 7 * 48
    linked: int = 20
    linked_facts: int = 12
    linked_read: int = 100
    linked_windows: int = 48
    neighbour_facts: int = 200


DEFAULT_LIMITS = Limits()
FIRST_WINDOWS = 64  # read at once while it is unknown how much is in them


class Link(NamedTuple):
    """What a link span tells."""

    span: Span
    role: str
    target: ObjectKey
    link_class: str
    is_owner: bool


class LeftOut(NamedTuple):
    """What a limit left out around one object, beside the ``shown``: so many, or these objects."""

    shown: int
    more: int
    objects: tuple[ObjectKey, ...] = ()


@dataclass(slots=True)
class Found:
    """What has been read so far: objects in the order in which they were met.

    The tree begins at ``root``, which may be above the one ``asked`` for; ``way`` leads from it to that one, both
    included. ``met_by`` tells from which object each but the root was met, ``linked_down`` all links to children of
    those read, and whether one of them is an owner reference.
    """

    asked: ObjectKey
    way: list[ObjectKey] = field(default_factory=list)
    windows: dict[ObjectKey, tuple[MergedWindow, ...]] = field(default_factory=dict)
    spans: dict[ObjectKey, list[Span]] = field(default_factory=dict)
    links: dict[ObjectKey, list[Link]] = field(default_factory=dict)
    met_by: dict[ObjectKey, ObjectKey] = field(default_factory=dict)
    linked_down: dict[ObjectKey, dict[ObjectKey, bool]] = field(default_factory=dict)
    left_out: dict[str, dict[ObjectKey, LeftOut]] = field(default_factory=dict)
    spans_read: int = 0
    windows_read: int = 0

    @property
    def root(self) -> ObjectKey:
        """Where the tree begins."""
        return self.way[0] if self.way else self.asked

    def leave_out(self, what: str, *, of: ObjectKey, shown: int, more: int) -> None:
        """Remember that a limit was reached."""
        if more > 0:
            self.left_out.setdefault(what, {})[of] = LeftOut(shown, more)

    def leave_out_objects(
        self, what: str, objects: Sequence[ObjectKey], *, of: ObjectKey, shown: int
    ) -> None:
        """Remember which objects are missing because of a limit."""
        if objects:
            self.left_out.setdefault(what, {})[of] = LeftOut(shown, len(objects), tuple(objects))

    def is_met(self, key: ObjectKey) -> bool:
        """Whether the object has its place in the tree."""
        return key == self.root or key in self.met_by


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read from, and of which time."""

    reader: SpanReader
    since: int
    until: int
    limits: Limits

    def in_range(self, windows: Iterable[MergedWindow]) -> list[MergedWindow]:
        """Those windows that lie in the time asked for: what was only read for what reaches into it has no say."""
        return [window for window in windows if window.overlaps(self.since, self.until)]

    def read(self, keys: Sequence[ObjectKey], found: Found) -> None:
        """Read objects of the tree: their newest windows within the limits, with all spans."""
        if not keys:
            return
        answers = windows_of_many(self.reader, [WindowQuestion(key, self.since, self.until) for key in keys])
        for key, stored in zip(keys, answers, strict=True):
            found.windows[key] = self.take(stored, found, of=key, most=self.limits.windows)
        self.read_spans(keys, found)

    def take(
        self, stored: Sequence[Window], found: Found, *, of: ObjectKey, most: int
    ) -> tuple[MergedWindow, ...]:
        """The newest of the windows of one object."""
        found.leave_out("windows", of=of, shown=most, more=len(stored) - most)
        newest = stored[-most:] if most > 0 else ()
        return tuple([MergedWindow(w.start, w.length, w.trace_id) for w in newest])

    def read_spans(self, keys: Iterable[ObjectKey], found: Found) -> None:
        """Read the spans of objects whose windows are known, all at once if those are not too many."""
        owners: dict[bytes, tuple[list[Span], list[Link]]] = {}
        unread: list[tuple[bool, int, ObjectKey, MergedWindow]] = []
        for key in keys:
            own = found.spans[key], found.links[key] = list[Span](), list[Link]()
            for number, window in enumerate(reversed(found.windows[key])):
                owners[window.trace_id] = own
                unread.append((number > 0, -window.start, key, window))
        most = self._at_once(found)
        if len(unread) > most:
            unread.sort()  # the newest of each object, then whatever is newest
        else:
            unread.reverse()
        while unread and (found.spans_read < self.limits.spans or not unread[0][0]):
            part, unread = unread[:most], unread[most:]
            found.spans_read += self._read_traces([window.trace_id for *_, window in part], owners)
            found.windows_read += len(part)
            most = self._at_once(found)
        _forget_unread(unread, found)

    def _at_once(self, found: Found) -> int:
        """How many windows there is room for if they are like those before: of a busy object one may hold thousands."""
        room = max(self.limits.spans - found.spans_read, 0)
        likely = room * found.windows_read // max(found.spans_read, 1)
        return min(max(likely, FIRST_WINDOWS), self.limits.at_once)

    def _read_traces(
        self, traces: Sequence[bytes], owners: Mapping[bytes, tuple[list[Span], list[Link]]]
    ) -> int:
        read = self.reader.spans_of(traces)
        for span in read:
            spans, links = owners[span.trace_id]
            spans.append(span)
            if span.source == "link":
                links.append(link_of(span))
        return len(read)


def _forget_unread(unread: Iterable[tuple[bool, int, ObjectKey, MergedWindow]], found: Found) -> None:
    """Objects keep those of their windows that have been read, and it is told how many they miss."""
    missing: dict[ObjectKey, set[MergedWindow]] = {}
    for *_, key, window in unread:
        missing.setdefault(key, set()).add(window)
    for key, windows in missing.items():
        before = found.left_out.get("windows", {}).get(key, LeftOut(0, 0))
        found.windows[key] = tuple([window for window in found.windows[key] if window not in windows])
        found.leave_out("windows", of=key, shown=len(found.windows[key]), more=before.more + len(windows))


def link_of(span: Span) -> Link:
    """What a link span tells."""
    return Link(
        span, text_of(span, v.LINK_ROLE), link_target(span), text_of(span, v.LINK_CLASS), is_owner_link(span)
    )
