"""Reading level by level: from one object along its links to children, over clusters, each object once.

The number of reads grows with the objects shown, not with what is stored: per object one ``windows_of``, per level of
the tree one ``spans_of``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kubeweft.display.trees import MergedWindow, is_owner_link, link_target, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanReader, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is shown at most.

    Objects in all, levels of children, and windows of one object (the newest); ``linked`` objects beside the tree,
    each with ``linked_facts`` from ``linked_windows``, chosen among ``linked_read`` that are looked into.
    """

    objects: int = 500
    depth: int = 8
    windows: int = 7 * 48
    linked: int = 20
    linked_facts: int = 12
    linked_read: int = 100
    linked_windows: int = 48


DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class Found:
    """What has been read so far: objects in the order in which they were met.

    ``met_by`` tells from which object each but the root was met, ``linked_down`` all links to children of those read,
    and whether one of them is an owner reference.
    """

    root: ObjectKey
    windows: dict[ObjectKey, tuple[MergedWindow, ...]] = field(default_factory=dict)
    spans: dict[ObjectKey, list[Span]] = field(default_factory=dict)
    met_by: dict[ObjectKey, ObjectKey] = field(default_factory=dict)
    linked_down: dict[ObjectKey, dict[ObjectKey, bool]] = field(default_factory=dict)
    left_out: dict[str, dict[ObjectKey, tuple[int, int]]] = field(default_factory=dict)

    def leave_out(self, what: str, *, of: ObjectKey, shown: int, more: int) -> None:
        """Remember that a limit was reached."""
        if more > 0:
            self.left_out.setdefault(what, {})[of] = (shown, more)

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

    def take(
        self, stored: Sequence[Window], found: Found, *, of: ObjectKey, most: int
    ) -> tuple[MergedWindow, ...]:
        """The newest of the windows of one object."""
        found.leave_out("windows", of=of, shown=most, more=len(stored) - most)
        return tuple([MergedWindow(w.start, w.length, w.trace_id) for w in stored[-most:]])

    def read(self, keys: Iterable[ObjectKey], found: Found) -> None:
        """Read the spans of objects whose windows are known, all at once."""
        owners: dict[bytes, ObjectKey] = {}
        for key in keys:
            found.spans[key] = []
            owners.update({window.trace_id: key for window in found.windows[key]})
        for span in self.reader.spans_of(owners) if owners else ():
            found.spans[owners[span.trace_id]].append(span)


def follow(reading: Reading, root: ObjectKey) -> Found:
    """Everything that is linked down from an object, within the limits."""
    found = Found(root)
    level, depth = [root], 0
    while level:
        for key in level:
            stored = reading.reader.windows_of(key, since=reading.since, until=reading.until)
            found.windows[key] = reading.take(stored, found, of=key, most=reading.limits.windows)
        reading.read(level, found)
        level = [child for key in level for child in _take_children(reading, key, depth=depth, found=found)]
        depth += 1
    return found


def _take_children(reading: Reading, key: ObjectKey, *, depth: int, found: Found) -> list[ObjectKey]:
    traces = {window.trace_id for window in reading.in_range(found.windows[key])}
    children = found.linked_down[key] = _children(key, found.spans[key], traces)
    met = [child for child in children if not found.is_met(child)]
    room = max(0, reading.limits.objects - len(found.met_by) - 1)
    if depth >= reading.limits.depth:
        found.leave_out("depth", of=key, shown=depth, more=len(met))
        return []
    taken = met[:room]
    found.leave_out("objects", of=key, shown=len(taken), more=len(met) - len(taken))
    found.met_by.update(dict.fromkeys(taken, key))
    return taken


def _children(key: ObjectKey, spans: Iterable[Span], traces: set[bytes]) -> dict[ObjectKey, bool]:
    """The targets of links down, those that were active last first: a limit then leaves out the oldest."""
    latest: dict[ObjectKey, int] = {}
    owned: set[ObjectKey] = set()
    for span in spans:
        if span.source == "link" and span.trace_id in traces and text_of(span, v.LINK_ROLE) == "Child":
            target = link_target(span)
            latest[target] = max(span.start, latest.get(target, 0))
            if is_owner_link(span):
                owned.add(target)
    latest.pop(key, None)
    return {target: target in owned for target in sorted(latest, key=lambda t: (-latest[t], t))}
