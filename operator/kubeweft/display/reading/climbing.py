"""From an object upwards: the way from where a tree begins down to the one that was asked for.

At each level the way goes on to one parent: an owner before one that a rule made, the owner that controls before
others, and among equals the one that was named last. So the same way is found whatever order spans are stored in. A
parent need not have a trace of its own: that a child names it is enough. Each level is read before the next is known,
so ``up`` bounds how often one waits for the store.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kubeweft.display.reading.levels import Found, Link, Reading, link_of
from kubeweft.display.tree.trees import text_of, version_number
from kubeweft.links.owners import CONTROLS
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span


class _Owner(msgspec.Struct):
    name: str = ""


class _Metadata(msgspec.Struct):
    ownerReferences: list[_Owner] = msgspec.field(default_factory=list)  # noqa: N815  as Kubernetes writes it


class _Body(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_body_decoder = msgspec.json.Decoder(_Body)


def climb(reading: Reading, found: Found, *, up: int) -> None:
    """Read at most ``up`` levels of parents above the object asked for, and note the way to it.

    Links to the children on the way count as known, also where only the child's end of them is stored.
    """
    way = [found.asked]
    while len(way) <= up:
        links = [link for link in _links_up(reading, found, way[0]) if link.target not in way]
        link = _best(links, _last_owners(found.spans[way[0]]) if len(links) > 1 else frozenset())
        if link is None:
            break
        found.linked_down[link.target] = {way[0]: link.is_owner}
        found.met_by[way[0]] = link.target
        reading.read([link.target], found)
        way.insert(0, link.target)
    found.way = way
    found.met_by = {child: found.met_by[child] for child in way[1:]}  # from the top downwards


def _best(links: Iterable[Link], owners: frozenset[str]) -> Link | None:
    return min(
        links,
        key=lambda link: (
            not link.is_owner,
            link.link_class != CONTROLS,
            -link.span.start,
            link.target.name not in owners,
            link.target,
        ),
        default=None,
    )


def _last_owners(spans: Iterable[Span]) -> frozenset[str]:
    """The names of the owners that an object was last seen to have: a window's links do not tell which were first."""
    seen = [
        (span.start, version_number(text_of(span, v.RESOURCE_VERSION)), span) for span in spans if span.body
    ]
    last = max(seen, key=lambda known: known[:2], default=None)
    if last is None:
        return frozenset()
    try:
        return frozenset(owner.name for owner in _body_decoder.decode(last[2].body).metadata.ownerReferences)
    except msgspec.DecodeError:
        return frozenset()


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
