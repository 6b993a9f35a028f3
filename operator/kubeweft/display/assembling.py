"""From stored traces to one raw tree: windows merged into one object, linked objects under or beside it.

Beside what ``following`` and ``neighbours`` read, there are two more reads per resource type, for what concerns the
whole type. Every limit that leaves something out says so in ``Tree.truncated``. Nothing is judged here: that is for
the steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from kubeweft.display.following import DEFAULT_LIMITS, Found, Limits, Reading, follow
from kubeweft.display.neighbours import read_neighbours
from kubeweft.display.placing import Children, place
from kubeweft.display.trees import (
    FOREVER,
    Fact,
    Linking,
    MergedWindow,
    Node,
    Tree,
    Truncation,
    fact_of,
    link_target,
    text_of,
)
from kubeweft.display.views.definitions import OWNED, Selection
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

    Raises ``UserError`` where nothing is stored about the object in that time.
    """
    limits = dataclasses.replace(limits, depth=min(limits.depth, selection.down))
    reading = Reading(reader, since, until, limits)
    found = follow(reading, key)
    if not found.windows[key]:
        raise UserError(_nothing_stored(reader, key))
    neighbours = read_neighbours(reading, found) if selection.linked in ("auto", "full") else []
    children = place(key, met_by=found.met_by, linked_down=found.linked_down, depth=limits.depth)
    root = _node(key, found, kinds, children)
    around = _around_types(reader, [key, *found.met_by], since=since, until=until)
    return Tree(
        root=dataclasses.replace(root, facts=(*root.facts, *around)),
        linked=tuple([dataclasses.replace(_node(n, found, kinds, {}), links=()) for n in neighbours]),
        linking=Linking(mode=selection.linked, objects=limits.linked, facts=limits.linked_facts),
        kinds=_kind_names(found, kinds),
        since=since,
        until=until,
        truncated=_truncations(found),
    )


def _node(key: ObjectKey, found: Found, kinds: KindNames | None, children: Children) -> Node:
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
        children=tuple([_node(child, found, kinds, children) for child in children.get(key, ())]),
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


def _kind_names(found: Found, kinds: KindNames | None) -> dict[tuple[str, str], str]:
    """The kinds of what is shown or named by a link, by (group, resource)."""
    names: dict[tuple[str, str], str] = {}
    for key, spans in found.spans.items():
        if not names.get((key.group, key.resource)):
            names[key.group, key.resource] = _kind(key, spans, kinds)
    for span in [span for spans in found.spans.values() for span in spans if span.source == "link"]:
        named = text_of(span, v.LINK_GROUP), text_of(span, v.LINK_RESOURCE)
        if named not in names:
            names[named] = _kind(link_target(span), (), kinds)
    return {name: kind for name, kind in names.items() if kind}


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
    "linked_read": "narrow the time with --since and --until, or show one of its objects",
}


def _truncations(found: Found) -> tuple[Truncation, ...]:
    result = []
    for what, places in found.left_out.items():
        of = next(iter(places)) if len(places) == 1 else found.root
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
