"""Objects beside the tree: what its objects are linked with, but which are no children of any.

What is linked with them is not followed. Read is only what they themselves did (windows in which they were merely
linked tell nothing), and only in the time in which objects of the tree were linked with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubeweft.display.reading.levels import Found, Link, Reading
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import FOREVER
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import WindowQuestion, windows_of_many

Choice = Callable[[Link], bool]


@dataclass(slots=True)
class _Time:
    """From the first to the last window in which an object was linked."""

    first: int
    last: int


def read_neighbours(reading: Reading, found: Found, *, selection: Selection) -> list[ObjectKey]:
    """Read the objects beside the tree; gives them in the order in which they were met, nearest to the root first."""
    times = _linked_times(reading, found, choice_of(selection))
    most = reading.limits.linked_read
    found.leave_out_objects("linked_read", list(times)[most:], of=found.root, shown=most)
    neighbours = list(times)[:most]
    questions = [
        WindowQuestion(key, max(reading.since, times[key].first), min(reading.until, times[key].last))
        for key in neighbours
    ]
    for key, stored in zip(neighbours, windows_of_many(reading.reader, questions), strict=True):
        active = [window for window in stored if window.active]
        found.windows[key] = reading.take(active, found, of=key, most=reading.limits.linked_windows)
    reading.read_spans(neighbours, found)
    return neighbours


def choice_of(selection: Selection) -> Choice:
    """Which links lead to objects beside the tree.

    Those that rules made to peers and parents; owners are named, but tell a story of their own, and children are in
    the tree. Where a selection names roles or classes it means what it says: only these, and those of any rule.
    """
    roles, classes = selection.roles, selection.classes
    if not roles and not classes:
        return lambda link: link.role != "Child" and not link.is_owner
    return lambda link: (not roles or link.role in roles) and (not classes or link.link_class in classes)


def _linked_times(reading: Reading, found: Found, choice: Choice) -> dict[ObjectKey, _Time]:
    times: dict[ObjectKey, _Time] = {}
    for key in (found.root, *found.met_by):
        lengths = {window.trace_id: window.length for window in reading.in_range(found.windows[key])}
        beside = [
            link
            for link in found.links[key]
            if link.span.trace_id in lengths and not found.is_met(link.target)
        ]
        for target in _in_order([link for link in beside if choice(link)]):
            times.setdefault(target, _Time(FOREVER, 0))
        for link in beside:
            time = times.get(link.target)
            if time is not None:
                time.first = min(time.first, link.span.start)
                time.last = max(time.last, link.span.start + lengths[link.span.trace_id] - 1)
    return times


def _in_order(links: list[Link]) -> Iterator[ObjectKey]:
    """Parents before peers, then by class and name."""
    for _, _, target in sorted({(link.role == "Peer", link.link_class, link.target) for link in links}):
        yield target
