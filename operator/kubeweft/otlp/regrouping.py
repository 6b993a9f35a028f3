"""Spans back in the traces of their own objects: the inverse of ``grouping: SameTrace``, which exporters carry out.

An exporter that groups puts the spans of a child into the trace of its topmost parent and leaves a signpost, the
object span alone, at the trace ID that is computed from the child. Whose a trace is needs no search: its ID is a hash
of object and window, so a guess is checked by computing it. What was sent before a relation was known stays where it
was, so one object's spans may lie in several traces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, Span, SpanLink
from kubeweft.model.windows import NANOSECONDS, window_start

SAME_TRACE: Final = "SameTrace"
MOST_GUESSES: Final = 64  # objects that may own a trace whose object span is missing


class Place(NamedTuple):
    """One object in one window: what a trace ID is computed from."""

    key: ObjectKey
    start: int
    length: int

    @property
    def trace_id(self) -> bytes:
        """The ID of the object's own trace in the window."""
        return identity.trace_id(self.key, self.start, self.length)


@dataclass(slots=True)
class Part:
    """What one trace, or several, hold of one object in one window; the spans bear the ID of its own trace.

    ``elsewhere`` are the traces into which spans of it may have been moved.
    """

    place: Place
    trace_id: bytes
    spans: list[Span] = field(default_factory=list)
    elsewhere: set[bytes] = field(default_factory=set)


def parts_of(trace_id: bytes, spans: Iterable[Span], *, length: int) -> list[Part]:
    """A stored trace taken apart by object; ``length`` is that of windows, where no object span tells it."""
    stored = list(spans)
    owner = _owner(trace_id, stored, length)
    parts: dict[ObjectKey, Part] = {}
    for span in stored:
        part = parts.get(span.key)
        if part is None:
            part = parts[span.key] = _part_of(span, trace_id, owner, length)
        part.spans.append(span)
    for part in parts.values():
        part.elsewhere = set(_signposts(part)) | set(_grouping_parents(part))
        part.elsewhere.discard(part.trace_id)
        part.spans = [_brought_back(span, part) for span in part.spans]
    return list(parts.values())


def merged(parts: Iterable[Part]) -> Part:
    """Parts of one object in one window as one: each span once, the object span first, the others by time."""
    first, *others = parts
    spans: dict[bytes, Span] = {}
    for part in (first, *others):
        for span in part.spans:
            spans.setdefault(span.span_id, span)
    ordered = sorted(spans.values(), key=lambda s: (s.source != "object", s.start, s.end, s.span_id))
    elsewhere = first.elsewhere.union(*(part.elsewhere for part in others))
    return Part(first.place, first.trace_id, ordered, elsewhere)


def _owner(trace_id: bytes, spans: list[Span], length: int) -> Place | None:
    for place in _guesses(spans, length):
        if place.trace_id == trace_id:
            return place
    return None


def _guesses(spans: list[Span], length: int) -> Iterator[Place]:
    """Object spans know their window; of other spans it is the one in which they begin."""
    guessed: set[Place] = set()
    for span in spans:
        if span.source == "object" and not span.parent_span_id:
            place = Place(span.key, span.start, _length(span, length))
            if place not in guessed:
                guessed.add(place)
                yield place
    for span in spans:
        place = Place(span.key, window_start(span.start, length), length)
        if place not in guessed:
            if len(guessed) >= MOST_GUESSES:
                return
            guessed.add(place)
            yield place


def _length(span: Span, usual: int) -> int:
    seconds = span.attributes.get(v.WINDOW_SECONDS)
    return int(seconds) * NANOSECONDS if isinstance(seconds, int) else usual


def _part_of(span: Span, trace_id: bytes, owner: Place | None, length: int) -> Part:
    if owner is None:  # nothing can be checked: what is in a trace belongs to it
        return Part(Place(span.key, window_start(span.start, length), length), trace_id)
    if span.key == owner.key:
        return Part(owner, trace_id)
    place = Place(span.key, owner.start, owner.length)  # a guest: only what shares a window is grouped
    return Part(place, place.trace_id)


def _signposts(part: Part) -> Iterator[bytes]:
    """An object span that links to itself says where it has been moved to."""
    root = identity.object_span_id(part.trace_id)
    for span in part.spans:
        if span.source == "object":
            for link in span.links:
                if link.span_id == root:
                    yield link.trace_id


def _grouping_parents(part: Part) -> Iterator[bytes]:
    """Stores that keep one of two signposts may have lost the first: the links tell the parents, too."""
    for span in part.spans:
        told = span.attributes
        grouped = span.source == "link" and told.get(v.LINK_GROUPING) == SAME_TRACE
        if grouped and told.get(v.LINK_ROLE) == "Parent":
            yield Place(_target(span), part.place.start, part.place.length).trace_id


def _brought_back(span: Span, part: Part) -> Span:
    links = tuple([_relinked(link, span, part) for link in span.links if not _is_signpost(link, part)])
    if span.trace_id == part.trace_id:
        return span if links == span.links else msgspec.structs.replace(span, links=links)
    parent = b"" if span.source == "object" else span.parent_span_id
    return msgspec.structs.replace(span, trace_id=part.trace_id, parent_span_id=parent, links=links)


def _is_signpost(link: SpanLink, part: Part) -> bool:
    return link.span_id == identity.object_span_id(part.trace_id)


def _relinked(link: SpanLink, span: Span, part: Part) -> SpanLink:
    """The link of a link span: to the target's own trace, and with the attributes that older stores drop."""
    if span.source != "link":
        return link
    trace = Place(_target(span), part.place.start, part.place.length).trace_id
    if link.span_id != identity.object_span_id(trace):
        return link
    told: Attributes = {
        name: span.attributes[name] for name in (v.LINK_ROLE, v.LINK_CLASS) if name in span.attributes
    }
    return SpanLink(trace, link.span_id, link.attributes or told)


def _target(span: Span) -> ObjectKey:
    told = span.attributes
    return ObjectKey(
        str(told.get(v.LINK_CLUSTER, span.key.cluster)),
        str(told.get(v.LINK_GROUP, "")),
        str(told.get(v.LINK_RESOURCE, "")),
        str(told.get(v.LINK_NAMESPACE, "")),
        str(told.get(v.LINK_NAME, "")),
    )
