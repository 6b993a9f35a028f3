"""Where a viewer finds another object: the ID of its displayed trace, in the same view and over the same time.

Computed from what is known of the object alone; whether anything is shown there is found out by whoever opens it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubeweft.display.displayed_ids import Displayed, displayed_id
from kubeweft.display.trees import MergedWindow
from kubeweft.model import identity
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import SpanLink


@dataclass(frozen=True, slots=True)
class Addresses:
    """The numbers of view and selection, and the end (nanoseconds, excluded) of what is shown."""

    view: int
    selection: int
    until: int

    def trace(self, window: MergedWindow) -> bytes:
        """The ID under which an object is shown from one of its windows on."""
        windows = -(-(self.until - window.start) // window.length)
        return displayed_id(Displayed(window.trace_id, self.view, self.selection, windows))

    def link(self, window: MergedWindow) -> SpanLink:
        """A link to the span of the object itself, in its own trace."""
        return SpanLink(self.trace(window), identity.object_span_id(window.trace_id), {})

    def link_to(self, target: ObjectKey, window: MergedWindow) -> SpanLink:
        """A link to another object, which has a stored trace in the same window."""
        trace_id = identity.trace_id(target, window.start, window.length)
        return self.link(MergedWindow(window.start, window.length, trace_id))
