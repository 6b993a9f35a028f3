"""Objects beside the tree: what its objects are linked with, but which are no children of any.

What is linked with them is not followed. Read is only what they themselves did (windows in which they were merely
linked tell nothing), and only in the time in which objects of the tree were linked with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubeweft.display.following import Found, Reading
from kubeweft.display.trees import FOREVER, is_owner_link, link_target, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span


@dataclass(slots=True)
class _Time:
    """From the first to the last window in which an object was linked."""

    first: int
    last: int


def read_neighbours(reading: Reading, found: Found) -> list[ObjectKey]:
    """Read the objects beside the tree; gives them in the order in which they were met, nearest to the root first."""
    times = _linked_times(reading, found)
    most = reading.limits.linked_read
    found.leave_out("linked_read", of=found.root, shown=most, more=len(times) - most)
    neighbours = list(times)[:most]
    for key in neighbours:
        time = times[key]
        since, until = max(reading.since, time.first), min(reading.until, time.last)
        stored = [w for w in reading.reader.windows_of(key, since=since, until=until) if w.active]
        found.windows[key] = reading.take(stored, found, of=key, most=reading.limits.linked_windows)
    reading.read(neighbours, found)
    return neighbours


def _linked_times(reading: Reading, found: Found) -> dict[ObjectKey, _Time]:
    times: dict[ObjectKey, _Time] = {}
    for key in (found.root, *found.met_by):
        lengths = {window.trace_id: window.length for window in reading.in_range(found.windows[key])}
        targets = {
            link_target(span): None for span in _sorted_links(found.spans[key]) if span.trace_id in lengths
        }
        times.update({t: _Time(FOREVER, 0) for t in targets if t not in times and not found.is_met(t)})
        for span in found.spans[key]:
            if span.source == "link" and span.trace_id in lengths:
                time = times.get(link_target(span))
                if time is not None:
                    time.first = min(time.first, span.start)
                    time.last = max(time.last, span.start + lengths[span.trace_id] - 1)
    return times


def _sorted_links(spans: list[Span]) -> Iterator[Span]:
    """Links that rules made to peers and parents; owners are named, but tell a story of their own."""
    links = [
        span
        for span in spans
        if span.source == "link" and text_of(span, v.LINK_ROLE) != "Child" and not is_owner_link(span)
    ]
    yield from sorted(
        links, key=lambda s: (text_of(s, v.LINK_ROLE) == "Peer", text_of(s, v.LINK_CLASS), link_target(s))
    )
