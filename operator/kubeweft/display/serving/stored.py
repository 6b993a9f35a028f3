"""One stored trace as it is, for those who want to see what the store holds: no view, no merging, no joining.

IDs, parents, names and attributes are those that an OTLP receiver would have got, bodies included.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace
from kubeweft.display.answering.flattening import identifying
from kubeweft.display.reading.assembling import KindNames
from kubeweft.display.tree.trees import MergedWindow, Node, Tree, fact_of
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from kubeweft.model.windows import NANOSECONDS
from kubeweft.otlp.attributes import resource_attributes, span_attributes
from kubeweft.store.interfaces import SpanReader, Window


def stored_trace(reader: SpanReader, window: Window, *, kinds: KindNames) -> DisplayedTrace:
    """The trace of one object in one window, under its stored ID."""
    spans = reader.spans_of([window.trace_id])
    root = next((span for span in spans if span.source == "object"), None) or _object_span(window)
    others = [span for span in spans if span is not root]
    known = kinds.kind_of(window.key.group, window.key.resource)
    node = Node(
        key=window.key,
        kind=known.kind if known else "",
        span=root,
        start=root.start,
        end=max([root.end, *(span.end for span in others)]),
        windows=(MergedWindow(window.start, window.length, window.trace_id),),
        facts=tuple([fact_of(span) for span in others if span.source != "link"]),
        links=tuple([fact_of(span) for span in others if span.source == "link"]),
    )
    return DisplayedTrace(window.trace_id, Tree(root=node), _written([root, *others]))


def _written(spans: list[Span]) -> Iterator[DisplayedSpan]:
    for span in spans:
        resource = resource_attributes(span.key, span.source)
        service = str(resource[v.SERVICE_NAME])
        attributes = {**identifying(span.key), v.SOURCE: span.source, **span_attributes(span)}
        yield DisplayedSpan(
            span.span_id,
            span.parent_span_id,
            service,
            span.name,
            span.start,
            max(span.start, span.end),
            attributes,
            span.links,
            span.error,
        )


def _object_span(window: Window) -> Span:
    """What the weaver would have written, where it never arrived: no trace is without a root."""
    attributes = {v.WINDOW_SECONDS: window.length // NANOSECONDS}
    return Span(
        window.trace_id,
        identity.object_span_id(window.trace_id),
        b"",
        "object",
        window.key,
        str(window.key),
        window.start,
        window.start + window.length,
        dict(attributes),
    )
