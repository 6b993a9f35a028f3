"""``grouping: SameTrace``: the spans of a child go into the trace of its topmost parent, at the receiver only.

The store stays as it is, so everything is still found there by computed ID. A moved span keeps its ID; the object span
of a child becomes a child of that of its parent; links that point to a moved object point to where it is now. At the
trace ID that the object would have by itself lies a signpost: its object span, with a link to the moved one.

A link that becomes known only after spans of the child have been sent moves what comes later, and the object span
once more; what has been sent stays where it is. After a restart the object span of a moved trace may be sent again:
the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kubeweft.export.forest import SAME_TRACE, Facts, Forest
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span, SpanLink


class Mover:
    """Puts spans where they belong at a receiver; remembers in the forest where it put object spans."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest

    def place(self, span: Span) -> Iterator[Span]:
        """The span as it is sent; before it the object span that it hangs under, if that is not there yet."""
        home = self._forest.home(span.trace_id)
        if home == span.trace_id:
            yield self._relinked(span)
            return
        facts = self._forest.facts(span.trace_id)
        if facts.root is not None and facts.put_at != home:
            facts.put_at = home
            yield self._relinked(_moved_root(facts.root, facts, home))
            yield self._signpost(facts.root, home)
        if span.source != "object":
            yield self._relinked(msgspec.structs.replace(span, trace_id=home))

    def _signpost(self, root: Span, home: bytes) -> Span:
        there = SpanLink(home, root.span_id, {v.LINK_GROUPING: SAME_TRACE})
        root = self._relinked(root)
        return msgspec.structs.replace(root, links=(*root.links, there))

    def _relinked(self, span: Span) -> Span:
        links = span.links
        if not links:
            return span
        moved = tuple([self._link(link) for link in links])
        return span if moved == links else msgspec.structs.replace(span, links=moved)

    def _link(self, link: SpanLink) -> SpanLink:
        if not link.trace_id.startswith(identity.TRACE_ID_PREFIX):
            return link  # a span of another tracing system
        home = self._forest.home(link.trace_id)
        return link if home == link.trace_id else SpanLink(home, link.span_id, link.attributes)


def _moved_root(root: Span, facts: Facts, home: bytes) -> Span:
    assert facts.up is not None, "what has no parent is not moved"
    parent = identity.object_span_id(facts.up.trace)
    return msgspec.structs.replace(root, trace_id=home, parent_span_id=parent)
