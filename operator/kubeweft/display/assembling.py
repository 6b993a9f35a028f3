"""From stored traces to one raw tree: windows merged into one object, owned objects found by following links.

The number of reads grows with the objects shown, not with what is stored: per object one ``windows_of``, per level of
the tree one ``spans_of``, per resource type two more for what concerns the whole type. Every limit that leaves
something out says so in ``Tree.truncated``. Nothing is judged here: that is for the steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kubeweft.display.trees import (
    FOREVER,
    Fact,
    MergedWindow,
    Node,
    Tree,
    Truncation,
    fact_of,
    link_target,
    text_of,
)
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import format_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from kubeweft.store.interfaces import SpanReader


class KindNames(Protocol):
    """Where a kind is looked up that no span told; :class:`kubeweft.model.kinds.Kinds` is one."""

    def kind_of(self, group: str, resource: str) -> ResourceType | None:
        """The resource type of a plural resource name, or None while it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is shown at most: objects in all, levels of ownership, and windows of one object (the newest)."""

    objects: int = 500
    depth: int = 8
    windows: int = 7 * 48


DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class _Found:
    """What has been read so far: objects in the order in which they were met."""

    windows: dict[ObjectKey, tuple[MergedWindow, ...]] = field(default_factory=dict)
    spans: dict[ObjectKey, list[Span]] = field(default_factory=dict)
    children: dict[ObjectKey, list[ObjectKey]] = field(default_factory=dict)
    left_out: dict[str, dict[ObjectKey, tuple[int, int]]] = field(default_factory=dict)

    def leave_out(self, what: str, *, of: ObjectKey, shown: int, more: int) -> None:
        """Remember that a limit was reached."""
        if more > 0:
            self.left_out.setdefault(what, {})[of] = (shown, more)


def assemble(
    reader: SpanReader,
    key: ObjectKey,
    *,
    since: int = 0,
    until: int = FOREVER,
    limits: Limits = DEFAULT_LIMITS,
    kinds: KindNames | None = None,
) -> Tree:
    """The object and what it owns, as stored, from all windows between two times (nanoseconds).

    Raises ``UserError`` where nothing is stored about the object in that time.
    """
    found = _follow(_Reading(reader, since, until, limits), key)
    if not found.windows[key]:
        raise UserError(_nothing_stored(reader, key))
    root = _node(key, found, kinds)
    around = _around_types(reader, list(found.windows), since=since, until=until)
    return Tree(
        root=dataclasses.replace(root, facts=(*root.facts, *around)),
        since=since,
        until=until,
        truncated=_truncations(found, key),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    reader: SpanReader
    since: int
    until: int
    limits: Limits

    def windows(self, key: ObjectKey, found: _Found) -> tuple[MergedWindow, ...]:
        stored = self.reader.windows_of(key, since=self.since, until=self.until)
        most = self.limits.windows
        found.leave_out("windows", of=key, shown=most, more=len(stored) - most)
        return tuple([MergedWindow(w.start, w.length, w.trace_id) for w in stored[-most:]])


def _follow(reading: _Reading, root: ObjectKey) -> _Found:
    found = _Found(children={root: []})
    level, depth = [root], 0
    while level:
        _read_level(reading, level, found)
        level = [child for key in level for child in _take_children(reading, key, depth=depth, found=found)]
        depth += 1
    return found


def _read_level(reading: _Reading, level: Sequence[ObjectKey], found: _Found) -> None:
    owners: dict[bytes, ObjectKey] = {}
    for key in level:
        windows = reading.windows(key, found)
        found.windows[key] = windows
        found.spans[key] = []
        owners.update({window.trace_id: key for window in windows})
    for span in reading.reader.spans_of(owners) if owners else ():
        found.spans[owners[span.trace_id]].append(span)


def _take_children(reading: _Reading, key: ObjectKey, *, depth: int, found: _Found) -> list[ObjectKey]:
    in_range = [w for w in found.windows[key] if w.overlaps(reading.since, reading.until)]
    met = [
        child
        for child in _owned(found.spans[key], {w.trace_id for w in in_range})
        if child not in found.children
    ]
    room = max(0, reading.limits.objects - len(found.children))
    if depth >= reading.limits.depth:
        found.leave_out("depth", of=key, shown=depth, more=len(met))
        return []
    taken = met[:room]
    found.leave_out("objects", of=key, shown=len(taken), more=len(met) - len(taken))
    found.children.update({child: [] for child in taken})
    found.children[key] = taken
    return taken


def _owned(spans: Iterable[Span], traces: set[bytes]) -> list[ObjectKey]:
    """The targets of links down, those that were active last first: a limit then leaves out the oldest."""
    latest: dict[ObjectKey, int] = {}
    for span in spans:
        if span.source == "link" and span.trace_id in traces and text_of(span, v.LINK_ROLE) == "Child":
            target = link_target(span)
            latest[target] = max(span.start, latest.get(target, 0))
    return sorted(latest, key=lambda target: (-latest[target], target))


def _node(key: ObjectKey, found: _Found, kinds: KindNames | None) -> Node:
    spans, windows = found.spans[key], found.windows[key]
    span = _object_span(key, spans, windows)
    return Node(
        key=key,
        kind=_kind(key, spans, kinds),
        span=span,
        start=span.start,
        end=max([span.end, *(window.start + window.length for window in windows)]),
        windows=windows,
        facts=tuple([fact_of(s) for s in spans if s.source not in ("object", "link")]),
        links=tuple([fact_of(s) for s in spans if s.source == "link"]),
        children=tuple([_node(child, found, kinds) for child in found.children.get(key, ())]),
    )


def _object_span(key: ObjectKey, spans: Sequence[Span], windows: Sequence[MergedWindow]) -> Span:
    """The object span of the first window; made anew where it never arrived, so that no trace is without a root."""
    if (
        not windows
    ):  # known by links only: it has no trace of its own, so its ID is that of a window that never was
        trace = identity.trace_id(key, 0, DEFAULT_WINDOW)
        return Span(trace, identity.object_span_id(trace), b"", "object", key, str(key), 0, 0, {})
    first = windows[0]
    for span in spans:
        if span.source == "object" and span.trace_id == first.trace_id:
            return span
    return Span(
        first.trace_id,
        identity.object_span_id(first.trace_id),
        b"",
        "object",
        key,
        str(key),
        first.start,
        first.start + first.length,
        {v.WINDOW_SECONDS: first.length // NANOSECONDS},
    )


def _kind(key: ObjectKey, spans: Sequence[Span], kinds: KindNames | None) -> str:
    """What the object is called by those who saw it; a request on a subresource may speak of another kind (Scale)."""
    told = {span.source: text_of(span, v.KIND) for span in spans if not text_of(span, v.SUBRESOURCE)}
    for source in ("change", "request", "event", "object"):
        if told.get(source):
            return told[source]
    known = kinds.kind_of(key.group, key.resource) if kinds else None
    return known.kind if known else ""


def _around_types(reader: SpanReader, keys: Sequence[ObjectKey], *, since: int, until: int) -> list[Fact]:
    """What concerned all objects of a type or of its namespace: gaps in their watch, and ``deletecollection``."""
    collections = {k._replace(namespace=space, name=""): None for k in keys for space in ("", k.namespace)}
    traces = [
        window.trace_id
        for collection in collections
        for window in reader.windows_of(collection, since=since, until=until)
    ]
    spans = reader.spans_of(traces) if traces else ()
    return [fact_of(s) for s in spans if s.source == "gap" or text_of(s, v.VERB) == "deletecollection"]


HINTS = {
    "objects": "narrow the time with --since and --until, or show one of its objects",
    "depth": "show one of the lower objects",
    "windows": "move the time with --since and --until",
}


def _truncations(found: _Found, root: ObjectKey) -> tuple[Truncation, ...]:
    result = []
    for what, places in found.left_out.items():
        of = next(iter(places)) if len(places) == 1 else root
        shown = (
            sum(s for s, _ in places.values()) if what == "objects" else max(s for s, _ in places.values())
        )
        more = sum(more for _, more in places.values())
        result.append(Truncation(what=what, of=str(of), shown=shown, more=more, hint=HINTS[what]))
    return tuple(result)


def _nothing_stored(reader: SpanReader, key: ObjectKey) -> str:
    windows = reader.windows_of(key, since=0, until=FOREVER)
    if not windows:
        return f"nothing is stored about {key} in cluster {key.cluster}"
    first, last = windows[0].start, windows[-1].start + windows[-1].length
    return (
        f"nothing is stored about {key} in this time; what is stored lies between"
        f" {format_timestamp(first)} and {format_timestamp(last)}: move --since and --until"
    )
