"""Everything in the order in which it happened: by life, time, then resourceVersion.

A change without its request, and most Events, know their time only to the second (and not every write renews the time
that an object tells). So such a change never stands before one with a lower version. An Event's name ends in the
nanosecond of its making (client-go writes it so; true of all 4,449 first Events of a recorded control plane), which
places it within its second; where it does not, the Event at least never stands before the creation of its object.
What is found out so is kept with the fact, for viewers that order by time alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kubeweft.display.tree.made import changes_made
from kubeweft.display.tree.trees import (
    Fact,
    Finer,
    Node,
    Tree,
    each_node,
    is_whole_second,
    succeeded,
    version_number,
)
from kubeweft.model import vocabulary as v
from kubeweft.model.windows import NANOSECONDS

SOURCE_RANK = {"request": 0, "change": 1, "gap": 2, "event": 3}


def order_facts(tree: Tree) -> Tree:
    """Facts by life and time, owned objects by the time of their first fact."""
    return each_node(tree, _order)


def ordered(node: Node) -> list[tuple[int, Fact]]:
    """The facts of one object in order, each with the time by which it has its place."""
    versions = [version_of(fact) for fact in node.facts]
    times = _order_times(node, versions)
    places = [
        (fact.life, time, version, SOURCE_RANK.get(fact.span.source, 9), fact.span.key, fact.span.span_id)
        for fact, time, version in zip(node.facts, times, versions, strict=True)
    ]
    return [(times[index], node.facts[index]) for index in sorted(range(len(places)), key=places.__getitem__)]


def _order(node: Node) -> Node:
    timed = [_timed(fact, time) for time, fact in ordered(node)]
    nested = [f.holding(_order_nested(f)) if len(f.children) > 1 else f for f in timed]
    children = sorted(node.children, key=lambda child: (_first(child), child.key))
    return msgspec.structs.replace(node, facts=tuple(nested), children=tuple(children))


def _timed(fact: Fact, time: int) -> Fact:
    if time == fact.start:
        return fact
    if fact.span.source != "event":
        by = "version"
    else:
        by = "name" if time == _made(fact.text(v.EVENT_NAME)) else "creation"
    return fact.known(Finer(time, by))


def _order_times(node: Node, versions: Sequence[int]) -> list[int]:
    """The time by which each fact is ordered: its own, but later where other facts show that it must be."""
    times = [fact.start for fact in node.facts]
    reached: dict[int, int] = {}
    versioned = [
        (fact.life, version, fact.start, fact.span.span_id, index)
        for index, (fact, version) in enumerate(zip(node.facts, versions, strict=True))
        if version >= 0
    ]
    for life, _, _, _, index in sorted(versioned):
        fact = node.facts[index]
        after = reached.get(life, 0)
        reached[life] = max(after, fact.start)
        if is_whole_second(fact):
            times[index] = reached[life]
    for index, fact in enumerate(node.facts):
        if fact.span.source == "event" and is_whole_second(_first_state(fact)):
            created = node.lives[fact.life].created if fact.life < len(node.lives) else None
            times[index] = _time_of_event(fact, created or 0)
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
    return event.moved(event.start, event.start) if event.folds == "series" else event


def version_of(fact: Fact) -> int:
    """The version that a fact led to: of a request, that of its last change; -1 where none is known."""
    if fact.span.source == "request":
        caused = [version_number(change.text(v.RESOURCE_VERSION)) for change in changes_made(fact)]
        if caused:
            return max(caused)
        return version_number(fact.text(v.RESOURCE_VERSION)) if succeeded(fact.span) else -1
    return version_number(fact.text(v.RESOURCE_VERSION))


def _order_nested(fact: Fact) -> tuple[Fact, ...]:
    if fact.folds:
        return fact.children  # these have an order of their own
    return tuple(sorted(fact.children, key=lambda c: (c.start, version_of(c), c.span.span_id)))


def _first(node: Node) -> tuple[int, int]:
    """When the object is first heard of; those of which nothing is known come last."""
    known = [_first(child) for child in node.children]
    known.extend((0, fact.start) for fact in node.facts)
    return min(known, default=(1, 0))
