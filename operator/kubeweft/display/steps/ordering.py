"""Everything in the order in which it happened: by life, time, then resourceVersion.

A change without its request, and most Events, know their time only to the second (and not every write renews the time
that an object tells). So such a change never stands before one with a lower version. An Event's name ends in the
nanosecond of its making (client-go writes it so; true of all 4,449 first Events of a recorded control plane), which
places it within its second; where it does not, the Event at least never stands before the creation of its object.
"""

from __future__ import annotations

import dataclasses

from kubeweft.display.trees import Fact, Node, Tree, each_node, is_whole_second, succeeded, version_number
from kubeweft.model import vocabulary as v
from kubeweft.model.windows import NANOSECONDS

SOURCE_RANK = {"request": 0, "change": 1, "gap": 2, "event": 3}


def order_facts(tree: Tree) -> Tree:
    """Facts by life and time, owned objects by the time of their first fact."""
    return each_node(tree, _order)


def _order(node: Node) -> Node:
    times = _order_times(node)
    facts = sorted(
        node.facts,
        key=lambda f: (
            f.life,
            times[f.span.span_id],
            _version(f),
            SOURCE_RANK.get(f.span.source, 9),
            f.span.span_id,
        ),
    )
    nested = [dataclasses.replace(f, children=_order_nested(f)) if len(f.children) > 1 else f for f in facts]
    return dataclasses.replace(
        node, facts=tuple(nested), children=tuple(sorted(node.children, key=lambda c: (_first(c), c.key)))
    )


def _order_times(node: Node) -> dict[bytes, int]:
    """The time by which each fact is ordered: its own, but later where other facts show that it must be."""
    times = {fact.span.span_id: fact.start for fact in node.facts}
    reached: dict[int, int] = {}
    versioned = [fact for fact in node.facts if _version(fact) >= 0]
    for fact in sorted(versioned, key=lambda f: (f.life, _version(f))):
        after = reached.get(fact.life, 0)
        reached[fact.life] = max(after, fact.start)
        if is_whole_second(fact):
            times[fact.span.span_id] = reached[fact.life]
    for fact in node.facts:
        if fact.span.source == "event" and is_whole_second(_first_state(fact)):
            created = node.lives[fact.life].created if fact.life < len(node.lives) else None
            times[fact.span.span_id] = _time_of_event(fact, created or 0)
    return times


def _time_of_event(event: Fact, created: int) -> int:
    made = _made(event.text(v.EVENT_NAME))
    if event.start <= made < event.start + NANOSECONDS:
        return made
    return created + 1 if event.start < created < event.start + NANOSECONDS else event.start


def _made(event_name: str) -> int:
    """Nanoseconds since the epoch from ``demo.18b9c5a1d5a1b2c3``; 0 if the name has no such end."""
    try:
        return int(event_name.rpartition(".")[2], 16)
    except ValueError:
        return 0


def _first_state(event: Fact) -> Fact:
    """A merged series lasts until its last state; what is known of its beginning is known of its first."""
    return dataclasses.replace(event, end=event.start) if event.folds == "series" else event


def _version(fact: Fact) -> int:
    if fact.span.source == "request":
        caused = [
            version_number(c.text(v.RESOURCE_VERSION)) for c in fact.children if c.span.source == "change"
        ]
        if caused:
            return max(caused)
        return version_number(fact.text(v.RESOURCE_VERSION)) if succeeded(fact.span) else -1
    return version_number(fact.text(v.RESOURCE_VERSION))


def _order_nested(fact: Fact) -> tuple[Fact, ...]:
    if fact.folds:
        return fact.children  # these have an order of their own
    return tuple(sorted(fact.children, key=lambda c: (c.start, _version(c), c.span.span_id)))


def _first(node: Node) -> tuple[int, int]:
    """When the object is first heard of; those of which nothing is known come last."""
    known = [_first(child) for child in node.children]
    known.extend((0, fact.start) for fact in node.facts)
    return min(known, default=(1, 0))
