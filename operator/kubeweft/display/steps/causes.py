"""Put every fact under what caused it, over objects: an update of a Deployment, under it the ReplicaSet that its controller
made, under that the Pods, under each Pod what the scheduler and the kubelet did.

Nothing in a cluster says what caused what. What is taken for a cause is the last *wish* (see :mod:`kubeweft.display.deeds`)
that could have been known to the one who acted:

* status, Events, the scheduler's binding: the last wish on the same object, in the same life;
* the end of a deletion: the request that asked for it;
* what a controller does to an object: the last wish on its parent, or, for a creation, the end of the object's former
  life or of a sibling a short time before;
* people act unasked, and what happened too long after is told where it happened.

Each fact that was moved says why. Requests that read, gaps and sightings stay where they are.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubeweft.display.changing import dissolved, relabelled
from kubeweft.display.deeds import Deed, deed_of
from kubeweft.display.made import SHOWN_BECAUSE, tag, with_tags
from kubeweft.display.parameters import Duration
from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.display.steps.ordering import ordered
from kubeweft.display.trees import (
    Fact,
    Node,
    Tree,
    facts_of,
    is_of_namespace,
    is_whole_second,
    namespace_of,
    nodes_of,
)
from kubeweft.model import vocabulary as v
from kubeweft.model.windows import NANOSECONDS

SHORTLY = 60 * NANOSECONDS
HOUR = Duration(3600 * NANOSECONDS)
Because = tuple[Deed, str]
SCHEDULERS = frozenset({"default-scheduler", "kube-scheduler"})
SERVANTS = ("scheduler", "node")  # they only ever carry out what others want of an object
OWN = "it follows from the last write to its object"
ASKED = "its deletion was asked for before"
PARENT = "it follows from the last write to its parent"
FORMER = "it takes the place of what was deleted before"
COLLECTION = "a whole collection was being deleted"
SPACE = "its namespace was being deleted"


def nest_causes(tree: Tree, *, within: Duration = HOUR) -> Tree:
    """Facts under their causes, also those of other objects, where the cause is not longer ago than ``within``.

    A tree in which that has been done is left alone.
    """
    if any(tag(fact.label, SHOWN_BECAUSE) for node in nodes_of(tree.root) for fact in facts_of(node.facts)):
        return tree
    story = _Story(tree, within)
    causes = story.causes()
    under: dict[Deed, list[Deed]] = {}
    for deed, (cause, _) in causes.items():
        under.setdefault(cause, []).append(deed)
    standing = _Standing(causes, under)
    deed_of_fact = {id(deed.fact): deed for deeds in story.deeds for deed in deeds}

    def rebuilt(node: Node) -> Node:
        deeds = [deed_of_fact[id(fact)] for fact in dissolved(node.facts)]  # in the order in which they stood
        facts = tuple([standing.built(deed) for deed in deeds if deed not in causes])
        return dataclasses.replace(
            node, facts=facts, children=tuple([rebuilt(child) for child in node.children])
        )

    return dataclasses.replace(tree, root=rebuilt(tree.root))


@dataclass(frozen=True, slots=True)
class _Standing:
    """Who stands under whom."""

    causes: dict[Deed, Because]
    under: dict[Deed, list[Deed]]

    def built(self, deed: Deed) -> Fact:
        fact = deed.fact
        if deed in self.causes:
            label = with_tags(fact.label, (SHOWN_BECAUSE, self.causes[deed][1]))
            fact = relabelled(fact, label, fact.children)
        below = sorted(self.under.get(deed, ()), key=lambda d: (d.time, d.place, d.index))
        if not below:
            return fact
        return fact.holding((*fact.children, *[self.built(d) for d in below]))


@dataclass(slots=True)
class _Wishes:
    """Wishes on one object (or endings of its children) that were carried out, in order of time."""

    deeds: list[Deed] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def settle(self) -> None:
        self.deeds.sort(key=lambda deed: (deed.time, deed.place, deed.index))
        self.times = [deed.time for deed in self.deeds]

    def last_before(self, deed: Deed, *, place: int | None = None) -> Deed | None:
        """The last that was made before a deed; in the second in which all is known, versions tell the order."""
        index = bisect.bisect_right(self.times, deed.latest)
        while index:
            index -= 1
            found = self.deeds[index]
            if found is not deed and (place is None or found.place == place) and _precedes(found, deed):
                return found
        return None


@dataclass(slots=True)
class _Before:
    """What has been wished of one life of an object so far: last, last before it was gone, last by other than a servant,
    its binding to a node, and first its end."""

    wish: Deed | None = None
    living: Deed | None = None
    order: Deed | None = None
    binding: Deed | None = None
    end: Deed | None = None

    def take(self, deed: Deed) -> None:
        self.wish = deed
        if not _is_removal(deed):
            self.living = deed
        if deed.hand not in SERVANTS:
            self.order = deed
        if deed.hand == "scheduler":
            self.binding = deed
        if deed.ends and self.end is None:
            self.end = deed

    def cause_of_event(self, event: Deed) -> Deed | None:
        """Nobody reports on what is gone, though the second in which all is known may say so."""
        is_of_scheduler = event.fact.text(v.EVENT_REPORTER) in SCHEDULERS
        return (self.binding if is_of_scheduler else None) or self.living or self.wish


class _Story:
    """All deeds of a tree, by object."""

    def __init__(self, tree: Tree, within: int) -> None:
        self.within = within
        self.nodes = list(nodes_of(tree.root))
        self.deeds = [_deeds(node, place) for place, node in enumerate(self.nodes)]
        place_of = {id(node): place for place, node in enumerate(self.nodes)}
        self.parents: dict[int, int] = {
            place_of[id(child)]: place_of[id(node)] for node in self.nodes for child in node.children
        }
        self.wishes = [_Wishes([deed for deed in deeds if self._is_on_object(deed)]) for deeds in self.deeds]
        self.endings: dict[int, _Wishes] = {}
        for place, parent in self.parents.items():
            ends = [deed for deed in self.wishes[place].deeds if deed.ends]
            self.endings.setdefault(parent, _Wishes()).deeds.extend(ends)
        ends = [d for deeds in self.deeds for d in deeds if d.ends and d.done and not self._is_on_object(d)]
        self.collections = _Wishes([deed for deed in ends if not deed.fact.span.key.name])
        self.spaces = _Wishes([deed for deed in ends if deed.fact.span.key.name])
        for wishes in (*self.wishes, *self.endings.values(), self.collections, self.spaces):
            wishes.settle()

    def _is_on_object(self, deed: Deed) -> bool:
        """Whether it is a wish about the object that it is told of, not about a collection or a namespace around it."""
        around = is_of_namespace(deed.fact, self.nodes[deed.place].key)
        return deed.is_cause and bool(deed.fact.span.key.name) and not around

    def causes(self) -> dict[Deed, Because]:
        """What caused each deed, where that can be told."""
        found: dict[Deed, Because] = {}
        for deeds in self.deeds:
            before: dict[int, _Before] = {}
            for deed in deeds:
                own = before.setdefault(deed.fact.life, _Before())
                because = self._cause(deed, own)
                if because is not None and self._is_near(deed, because[0]):
                    found[deed] = because
                if self._is_on_object(deed):
                    own.take(deed)
        return {deed: because for deed, because in found.items() if not _is_circle(deed, found)}

    def _cause(self, deed: Deed, own: _Before) -> Because | None:
        if deed.role == "other" or is_of_namespace(deed.fact, self.nodes[deed.place].key):
            return None
        if not deed.fact.span.key.name:
            return self._from_namespace(deed)
        if deed.role == "event":
            wish = own.cause_of_event(deed)
            return (wish, OWN) if wish is not None else None
        if deed.role == "report":
            return (own.wish, OWN) if own.wish is not None and deed.hand != "person" else None
        is_told = deed.hand != "person" or deed.fact.span.source == "change"
        if deed.ends and own.end is not None and is_told:
            return own.end, ASKED
        if deed.hand in SERVANTS:
            return (own.order, OWN) if own.order is not None and not deed.ends else None
        return self._from_others(deed) if deed.hand == "controller" else None

    def _is_near(self, deed: Deed, cause: Deed) -> bool:
        """Whether the cause is no longer ago than it may be, and no later than clocks can be wrong."""
        return deed.latest - cause.time <= self.within and cause.fact.start - deed.fact.start <= TOLERANCE

    def _from_namespace(self, deed: Deed) -> Because | None:
        """Collections are emptied where somebody has deleted the namespace that they are in."""
        space = self.spaces.last_before(deed) if deed.ends and deed.hand == "controller" else None
        is_around = space is not None and space.fact.span.key == namespace_of(deed.fact.span.key)
        return (space, SPACE) if space is not None and is_around else None

    def _from_others(self, deed: Deed) -> Because | None:
        """What a controller acted on: its own object, which is the parent, or what is missing under it."""
        parent = self.parents.get(deed.place)
        candidates: list[tuple[int, Deed, str]] = []
        if parent is not None:
            wish = self.wishes[parent].last_before(deed)
            if wish is not None and self._may_follow(deed, wish):
                candidates.append((wish.time, wish, PARENT))
            if deed.begins:
                candidates.extend(self._replaced(deed, parent))
        if deed.ends and (not candidates or deed.fact.span.source == "change"):
            whole = self.collections.last_before(deed)
            if whole is not None and _contains(whole, deed):
                return whole, COLLECTION  # nothing else explains an end that nobody asked for one by one
        if not candidates:
            return None
        _, cause, why = max(candidates, key=lambda c: (c[0], c[2] == FORMER, -c[1].place))
        return cause, why

    def _replaced(self, deed: Deed, parent: int) -> list[tuple[int, Deed, str]]:
        endings = self.endings[parent]
        found = endings.last_before(deed, place=deed.place) or endings.last_before(deed)
        if found is None or deed.latest - found.time > SHORTLY:
            return []
        return [(found.time, found, FORMER)]

    def _may_follow(self, deed: Deed, wish: Deed) -> bool:
        """Who deletes is not known without a request: then only what was wished shortly before counts."""
        known = deed.fact.span.source == "request" or not deed.ends
        return known or wish.ends or deed.latest - wish.time <= SHORTLY


def _deeds(node: Node, place: int) -> list[Deed]:
    own = dataclasses.replace(node, facts=tuple(dissolved(node.facts)))
    timed: Sequence[tuple[int, Fact]] = ordered(own)
    return [deed_of(fact, place=place, index=index, time=time) for index, (time, fact) in enumerate(timed)]


def _is_removal(deed: Deed) -> bool:
    facts = (deed.fact, *deed.fact.children)
    return any(fact.text(v.CHANGE_TYPE) == "Deleted" for fact in facts)


def _precedes(wish: Deed, deed: Deed) -> bool:
    """Whether a wish could have been known; within a second that is all that is known, the lower version was first."""
    vague = is_whole_second(wish.fact) or is_whole_second(deed.fact)
    if (
        vague
        and wish.time // NANOSECONDS == deed.time // NANOSECONDS
        and min(wish.version, deed.version) >= 0
    ):
        return wish.version < deed.version
    return wish.time <= deed.latest


def _contains(collection: Deed, deed: Deed) -> bool:
    key, asked = deed.fact.span.key, collection.fact.span.key
    inside = key[:3] == asked[:3] and asked.namespace in ("", key.namespace)
    return inside and deed.time <= collection.fact.end + NANOSECONDS


def _is_circle(deed: Deed, causes: dict[Deed, Because]) -> bool:
    seen = {deed}
    at = deed
    while at in causes:
        at = causes[at][0]
        if at in seen:
            return at is deed
        seen.add(at)
    return False
