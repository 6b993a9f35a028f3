"""Which objects are in a tree: from the one asked for up to its parents, and along links down to children.

Level by level, over clusters, each object once. What somebody asked for comes first: where there is not room for all,
it and what is below it are there before what stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.display.reading.climbing import climb
from kubeweft.display.reading.levels import DEFAULT_LIMITS, Found, Limits, Link, Reading
from kubeweft.display.tree.selection import OWNED, Selection
from kubeweft.model.references import ObjectKey

__all__ = ["DEFAULT_LIMITS", "Found", "Limits", "Reading", "follow"]


def follow(reading: Reading, asked: ObjectKey, *, selection: Selection = OWNED) -> Found:
    """Everything that a selection puts into the tree of an object, within the limits."""
    found = Found(asked)
    reading.read([asked], found)
    climb(reading, found, up=selection.up)
    down = min(selection.down, reading.limits.depth)
    _descend(reading, found, start=asked, levels=down)
    if selection.siblings and len(found.way) > 1:
        _descend(reading, found, start=found.root, levels=down + len(found.way) - 1)
        _put_nearest_first(found)
    elif not selection.siblings:
        for above in found.way[:-1]:
            _count_siblings(reading, found, above)
    return found


def _descend(reading: Reading, found: Found, *, start: ObjectKey, levels: int) -> None:
    """Read what is below an object; what is below one on the way to that asked for goes on from it."""
    level, depth = [start], 0
    while level:
        reading.read([key for key in level if key not in found.spans], found)
        level = [
            child
            for key in level
            for child in (
                *_next_on_way(found, key),
                *_take_children(reading, found, key, depth=depth, levels=levels),
            )
        ]
        depth += 1


def _next_on_way(found: Found, key: ObjectKey) -> list[ObjectKey]:
    """The object after this one on the way, unless that is the one asked for: all below it has been read before."""
    if key not in found.way[:-2]:
        return []
    return [found.way[found.way.index(key) + 1]]


def _take_children(
    reading: Reading, found: Found, key: ObjectKey, *, depth: int, levels: int
) -> list[ObjectKey]:
    known = found.linked_down.get(key, {})  # the next on the way, which only its own links may tell
    children = found.linked_down[key] = {**known, **_children(reading, found, key)}
    met = [child for child in children if not found.is_met(child)]
    if depth >= levels:
        found.leave_out_objects("depth", met, of=key, shown=depth)
        return []
    room = max(0, reading.limits.objects - len(found.met_by) - 1)
    taken = met[:room]
    found.leave_out_objects("objects", met[room:], of=key, shown=len(taken))
    found.met_by.update(dict.fromkeys(taken, key))
    return taken


def _count_siblings(reading: Reading, found: Found, key: ObjectKey) -> None:
    """What stands beside the way is not shown, but told."""
    beside = [child for child in _children(reading, found, key) if not found.is_met(child)]
    found.leave_out_objects("siblings", beside, of=key, shown=1)


def _children(reading: Reading, found: Found, key: ObjectKey) -> dict[ObjectKey, bool]:
    """The targets of links down, those that were active last first: a limit then leaves out the oldest."""
    traces = {window.trace_id for window in reading.in_range(found.windows[key])}
    latest: dict[ObjectKey, int] = {}
    owned: set[ObjectKey] = set()
    for link in _links_down(found.links[key], traces):
        latest[link.target] = max(link.span.start, latest.get(link.target, 0))
        if link.is_owner:
            owned.add(link.target)
    latest.pop(key, None)
    return {target: target in owned for target in sorted(latest, key=lambda t: (-latest[t], t))}


def _links_down(links: Iterable[Link], traces: set[bytes]) -> list[Link]:
    return [link for link in links if link.role == "Child" and link.span.trace_id in traces]


def _put_nearest_first(found: Found) -> None:
    """Objects in the order in which one meets them from the root, as if nobody had begun further down."""
    unmet = dict(found.met_by)
    ordered: dict[ObjectKey, ObjectKey] = {}
    level = [found.root]
    while level:
        children: list[ObjectKey] = []
        for key in level:
            own = [child for child in found.linked_down.get(key, {}) if unmet.pop(child, None) is not None]
            ordered.update(dict.fromkeys(own, key))
            children += own
        level = children
    found.met_by = ordered
