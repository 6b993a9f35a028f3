"""Where a viewer finds an object: the ID of its displayed trace, in the same view and over the same time.

Computed from what is known of the object alone; whether anything is shown there is found out by whoever opens it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubeweft.display.answering.displayed_ids import Displayed, displayed_id
from kubeweft.display.tree.trees import MergedWindow
from kubeweft.model import identity
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import SpanLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The numbers of view and selection, and what is shown: from ``since`` to ``until`` (nanoseconds, both included)."""

    view: int
    selection: int
    since: int
    until: int

    def trace(self, window: MergedWindow) -> bytes:
        """The ID under which an object is shown that has a stored trace in this window.

        The later the window, the longer the ID can be opened.
        """
        before = -((self.since - window.start) // window.length)
        later = (self.until - window.start) // window.length
        return displayed_id(Displayed(window.trace_id, self.view, self.selection, before + 1, later))

    def link(self, window: MergedWindow) -> SpanLink:
        """A link to the span of the object itself, in its own trace."""
        return SpanLink(self.trace(window), identity.object_span_id(window.trace_id), {})

    def link_to(self, target: ObjectKey, window: MergedWindow) -> SpanLink:
        """A link to another object, which has a stored trace in the same window."""
        trace_id = identity.trace_id(target, window.start, window.length)
        return self.link(MergedWindow(window.start, window.length, trace_id))
