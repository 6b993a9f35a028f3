"""From stored traces to one raw tree: windows merged into one object, linked objects under or beside it.

Beside what ``following`` and ``neighbours`` read, ``around`` reads what concerned whole types. Every limit that leaves
something out says so in ``Tree.truncated``. Nothing is judged here: that is for the steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from kubeweft.display.reading.around import around_types
from kubeweft.display.reading.following import follow
from kubeweft.display.reading.left_out import truncations
from kubeweft.display.reading.levels import DEFAULT_LIMITS, Found, Limits, Reading
from kubeweft.display.reading.neighbours import read_neighbours
from kubeweft.display.reading.placing import Children, place
from kubeweft.display.tree.selection import OWNED, Selection
from kubeweft.display.tree.trees import (
    FOREVER,
    Fact,
    Linking,
    MergedWindow,
    Node,
    Tree,
    fact_of,
)
from kubeweft.display.words.keys import key_in_words
from kubeweft.display.words.times import in_words
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from kubeweft.store.interfaces import SpanReader

Time = tuple[int, int]  # when a window begins, and how long it is
FULLER = ("auto", "full")  # in these modes it is read what happened to linked objects


class KindNames(Protocol):
    """Where a kind is looked up that no span told; :class:`kubeweft.model.kinds.Kinds` is one."""

    def kind_of(self, group: str, resource: str) -> ResourceType | None:
        """The resource type of a plural resource name, or None while it is unknown."""


class NothingStored(UserError):
    """Nothing is stored about an object in some time."""


def assemble(
    reader: SpanReader,
    key: ObjectKey,
    *,
    since: int = 0,
    until: int = FOREVER,
    limits: Limits = DEFAULT_LIMITS,
    kinds: KindNames | None = None,
    selection: Selection = OWNED,
) -> Tree:
    """The object and those around it that are selected, as stored, from all windows between two times (nanoseconds).

    Raises ``NothingStored`` where that is so of the object in that time.
    """
    reading = Reading(reader, since, until, limits)
    found = follow(reading, key, selection=selection)
    if not found.windows[key]:
        raise NothingStored(_nothing_stored(reader, key))
    neighbours = read_neighbours(reading, found, selection=selection) if selection.linked in FULLER else []
    depth = len(found.way) - 1 + min(selection.down, limits.depth)
    children = place(found.root, met_by=found.met_by, linked_down=found.linked_down, depth=depth)
    named = _first_named(found)
    root = _node(found.root, found, kinds, children, named)
    around = around_types(reading, found)
    names = _kind_names(found, around, kinds)
    return Tree(
        root=msgspec.structs.replace(root, facts=(*root.facts, *around)),
        linked=tuple(
            [msgspec.structs.replace(_node(n, found, kinds, {}, named), links=()) for n in neighbours]
        ),
        linking=_linking(selection, limits),
        kinds=names,
        since=since,
        until=until,
        truncated=truncations(found, names, selection),
        asked=key if key != found.root else None,
    )


def _linking(selection: Selection, limits: Limits) -> Linking:
    if selection.roles or selection.classes:
        return Linking(mode=selection.linked, objects=limits.linked_read, facts=limits.neighbour_facts)
    return Linking(mode=selection.linked, objects=limits.linked, facts=limits.linked_facts)


def _node(
    key: ObjectKey, found: Found, kinds: KindNames | None, children: Children, named: Mapping[ObjectKey, Time]
) -> Node:
    spans, windows = found.spans[key], found.windows[key]
    span = _object_span(key, found, named)
    return Node(
        key=key,
        kind=_kind(key, spans, kinds),
        span=span,
        start=span.start,
        end=max([span.end, *(window.start + window.length for window in windows)]),
        windows=windows,
        facts=tuple([fact_of(s) for s in spans if s.source not in ("object", "link")]),
        links=tuple([fact_of(link.span) for link in found.links[key]]),
        children=tuple([_node(child, found, kinds, children, named) for child in children.get(key, ())]),
    )


def _object_span(key: ObjectKey, found: Found, named: Mapping[ObjectKey, Time]) -> Span:
    """The object span of the first window; made anew where it never arrived, so that no trace is without a root."""
    first = found.windows[key][0] if found.windows[key] else _never_stored(key, named.get(key))
    for span in found.spans[key]:
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


def _never_stored(key: ObjectKey, time: Time | None) -> MergedWindow:
    """The window that an object would have that others name, but of which no trace is stored."""
    start, length = time or (0, DEFAULT_WINDOW)
    return MergedWindow(start, length, identity.trace_id(key, start, length))


def _first_named(found: Found) -> dict[ObjectKey, Time]:
    """For objects of which nothing is stored the first window in which another names them."""
    unknown = {key for key, windows in found.windows.items() if not windows}
    named: dict[ObjectKey, Time] = {}
    for key, links in found.links.items() if unknown else ():
        times = {window.trace_id: (window.start, window.length) for window in found.windows[key]}
        for link in links:
            if link.target in unknown:
                time = times[link.span.trace_id]
                named[link.target] = min(time, named.get(link.target, time))
    return named


def _kind(key: ObjectKey, spans: Sequence[Span], kinds: KindNames | None) -> str:
    """What the object is called by those who saw it; a request on a subresource may speak of another kind (Scale)."""
    for source in ("change", "request", "event", "object"):
        told = {
            str(span.attributes[v.KIND])
            for span in spans
            if span.source == source
            and span.attributes.get(v.KIND)
            and not span.attributes.get(v.SUBRESOURCE)
        }
        if told:
            return min(told)
    known = kinds.kind_of(key.group, key.resource) if kinds else None
    return known.kind if known else ""


def _kind_names(found: Found, around: Sequence[Fact], kinds: KindNames | None) -> dict[tuple[str, str], str]:
    """The kinds of what is shown or named by a link, by (group, resource)."""
    names: dict[tuple[str, str], str] = {}
    for key, spans in found.spans.items():
        if not names.get((key.group, key.resource)):
            names[key.group, key.resource] = _kind(key, spans, kinds)
    named = [link.target for links in found.links.values() for link in links]
    for target in (*named, *[fact.span.key for fact in around if fact.span.key.name]):
        if (target.group, target.resource) not in names:
            names[target.group, target.resource] = _kind(target, (), kinds)
    return {name: kind for name, kind in names.items() if kind}


def _nothing_stored(reader: SpanReader, key: ObjectKey) -> str:
    windows = reader.windows_of(key, since=0, until=FOREVER)
    if not windows:
        return f"nothing is stored about {key_in_words(key)} in cluster {key.cluster}"
    first, last = windows[0].start, windows[-1].start + windows[-1].length
    return (
        f"nothing is stored about {key_in_words(key)} in this time; what is stored lies between"
        f" {in_words(first)} and {in_words(last)}: move --since and --until"
    )
