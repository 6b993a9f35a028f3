"""From an object upwards: the way from where a tree begins down to the one that was asked for.

At each level the way goes on to one parent: an owner before one that a rule made, the owner that controls before
others, and among equals the one that was named last. So the same way is found whatever order spans are stored in. A
parent need not have a trace of its own: that a child names it is enough. Each level is read before the next is known,
so ``up`` bounds how often one waits for the store.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.display.reading import Found, Link, Reading, link_of
from kubeweft.links.owners import CONTROLS
from kubeweft.model.references import ObjectKey


def climb(reading: Reading, found: Found, *, up: int) -> None:
    """Read at most ``up`` levels of parents above the object asked for, and note the way to it.

    Links to the children on the way count as known, also where only the child's end of them is stored.
    """
    way = [found.asked]
    while len(way) <= up:
        link = _best([link for link in _links_up(reading, found, way[0]) if link.target not in way])
        if link is None:
            break
        found.linked_down[link.target] = {way[0]: link.is_owner}
        found.met_by[way[0]] = link.target
        reading.read([link.target], found)
        way.insert(0, link.target)
    found.way = way
    found.met_by = {child: found.met_by[child] for child in way[1:]}  # from the top downwards


def _best(links: Iterable[Link]) -> Link | None:
    return min(
        links,
        key=lambda link: (not link.is_owner, link.link_class != CONTROLS, -link.span.start, link.target),
        default=None,
    )


def _links_up(reading: Reading, found: Found, key: ObjectKey) -> list[Link]:
    traces = {window.trace_id for window in reading.in_range(found.windows[key])}
    named = [link for link in found.links[key] if link.role == "Parent" and link.span.trace_id in traces]
    return named or _links_up_before(reading, found, key)


def _links_up_before(reading: Reading, found: Found, key: ObjectKey) -> list[Link]:
    """The parents as they were last known, where nobody saw the object itself in this time.

    Late Events and requests tell of an object that is gone, but not of its parents. A change knows them: then it has none.
    """
    if any(span.source == "change" for span in found.spans[key]):
        return []
    window = reading.reader.nearest_window(key, before=reading.since - 1)
    if window is None:
        return []
    spans = reading.reader.spans_of([window.trace_id])
    return [link for span in spans if span.source == "link" and (link := link_of(span)).role == "Parent"]
