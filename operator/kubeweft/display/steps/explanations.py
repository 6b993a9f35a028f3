"""What explains a deed, as far as that can be shown from what was recorded; rather nothing than something wrong.

A wish on an object explains what was done to one that it owns only if whoever did it acts for it: by the name of its
account the controller of the owner's type, or the one who made the owned object. The nearest wish counts, none if
something else that could explain it lies nearer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kubeweft.display.steps.chronicles import Chronicle
from kubeweft.display.steps.deeds import ALL_CONTROLLERS, Deed, actor_of, acts_for, deed_of
from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.display.steps.ordering import ordered
from kubeweft.display.tree.changing import dissolved
from kubeweft.display.tree.made import changes_made
from kubeweft.display.tree.trees import Node, Tree, is_of_namespace, namespace_of, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS

SHORTLY = 60 * NANOSECONDS
AT_ONCE = (
    5 * NANOSECONDS
)  # controllers count anew within milliseconds, and only what is told to the second is vague
Because = tuple[Deed, str]
SCHEDULERS = frozenset({"default-scheduler", "kube-scheduler"})
SERVANTS = ("scheduler", "node")  # they only ever carry out what others want of an object
OWN = "it came after the last write to its object"
BELOW = "it came after what happened to an object below it"
ASKED = "its deletion was asked for before"
PARENT = "it follows from the last write to its parent"
FORMER = "it takes the place of what was deleted before"
COLLECTION = "a whole collection was being deleted"
SPACE = "its namespace was being deleted"
EMPTY = Chronicle(())


@dataclass(slots=True)
class Before:
    """What has been wished of one life of an object so far: last, last before it was gone, last by other than a servant,
    its binding to a node, and first its end; and who made it."""

    wish: Deed | None = None
    living: Deed | None = None
    order: Deed | None = None
    binding: Deed | None = None
    end: Deed | None = None
    makers: frozenset[str] = frozenset()

    def take(self, deed: Deed) -> None:
        """Remember a wish that was carried out."""
        self.wish = deed
        if not any(f.text(v.CHANGE_TYPE) == "Deleted" for f in (deed.fact, *deed.fact.children)):
            self.living = deed
        if deed.hand not in SERVANTS:
            self.order = deed
        if deed.hand == "scheduler":
            self.binding = deed
        if deed.begins:
            self.makers = frozenset(actor_of(f) for f in (deed.fact, *changes_made(deed.fact))) - {""}
        if deed.ends and self.end is None:
            self.end = deed

    def cause_of_event(self, event: Deed) -> Deed | None:
        """Nobody reports on what is gone, though the second in which all is known may say so."""
        is_of_scheduler = event.fact.text(v.EVENT_REPORTER) in SCHEDULERS
        return (self.binding if is_of_scheduler else None) or self.living or self.wish


class Explanations:
    """All deeds of a tree by object, and what explains them."""

    def __init__(self, tree: Tree, within: int) -> None:
        """Read what was done in a tree; what is longer ago than ``within`` nanoseconds explains nothing."""
        self.within = within
        self.nodes = list(nodes_of(tree.root))
        self.deeds = [_deeds(node, place) for place, node in enumerate(self.nodes)]
        place_of = {id(node): place for place, node in enumerate(self.nodes)}
        self.parents: dict[int, int] = {
            place_of[id(child)]: place_of[id(node)] for node in self.nodes for child in node.children
        }
        wishes = [[deed for deed in deeds if self._is_on_object(deed)] for deeds in self.deeds]
        self.wishes = [Chronicle(deeds) for deeds in wishes]
        below = [
            [d for d in deeds if d.begins or d.ends] + _told(self.deeds[n]) for n, deeds in enumerate(wishes)
        ]
        self.below = self._by_parent(below)
        self.endings = self._by_parent([list(_first_ends(deeds)) for deeds in wishes])
        self.ends = [Chronicle(d for d in deeds if d.ends) for deeds in wishes]
        self.around = self._around()
        self.behind = self._clocks(wishes)

    def all(self) -> dict[Deed, Because]:
        """What explains each deed, where that can be told."""
        found: dict[Deed, Because] = {}
        for deeds in self.deeds:
            before: dict[int, Before] = {}
            for deed in deeds:
                own = before.setdefault(deed.fact.life, Before())
                because = self._explain(deed, own)
                if because is not None and self._is_near(deed, because[0]):
                    found[deed] = because
                if self._is_on_object(deed):
                    own.take(deed)
        return {deed: because for deed, because in found.items() if not _is_circle(deed, found)}

    def _by_parent(self, deeds: list[list[Deed]]) -> dict[int, Chronicle]:
        found: dict[int, list[Deed]] = {}
        for place, parent in self.parents.items():
            found.setdefault(parent, []).extend(deeds[place])
        return {parent: Chronicle(those) for parent, those in found.items()}

    def _around(self) -> dict[ObjectKey, Chronicle]:
        """Deletions of whole collections and of namespaces, by what they are of."""
        found: dict[ObjectKey, list[Deed]] = {}
        for deed in [deed for deeds in self.deeds for deed in deeds]:
            if deed.ends and deed.done and not self._is_on_object(deed):
                found.setdefault(deed.fact.span.key, []).append(deed)
        return {key: Chronicle(deeds) for key, deeds in found.items()}

    def _clocks(self, wishes: list[list[Deed]]) -> dict[tuple[str, str], int]:
        """By how much the clock of a cluster must be behind that of another: nothing is made before its parent."""
        behind: dict[tuple[str, str], int] = {}
        made = [next((deed.time for deed in deeds if deed.begins), None) for deeds in wishes]
        for place, parent in self.parents.items():
            clusters = self._clusters(parent, place)
            first, second = made[parent], made[place]
            if clusters[0] != clusters[1] and first is not None and second is not None:
                early = first - second
                if 0 < early <= TOLERANCE:
                    behind[clusters] = max(early, behind.get(clusters, 0))
        return behind

    def _clusters(self, parent: int, place: int) -> tuple[str, str]:
        return self.nodes[parent].key.cluster, self.nodes[place].key.cluster

    def _is_on_object(self, deed: Deed) -> bool:
        """Whether it is a wish about the object that it is told of, not about a collection or a namespace around it."""
        around = is_of_namespace(deed.fact, self.nodes[deed.place].key)
        return deed.is_cause and bool(deed.fact.span.key.name) and not around

    def _is_near(self, deed: Deed, cause: Deed) -> bool:
        """Whether the cause is no longer ago than it may be, and no later than clocks can be wrong."""
        return deed.latest - cause.time <= self.within and cause.fact.start - deed.fact.start <= 2 * TOLERANCE

    def _explain(self, deed: Deed, own: Before) -> Because | None:
        if deed.role == "other" or is_of_namespace(deed.fact, self.nodes[deed.place].key):
            return None
        if not deed.fact.span.key.name:
            return self._from_namespace(deed)
        if deed.role == "event":
            return _shortly(deed, own.cause_of_event(deed), OWN)
        if deed.role == "report":
            return self._from_news(deed, own) if deed.hand != "person" else None
        is_told = deed.hand != "person" or deed.fact.span.source == "change"
        if deed.ends and own.end is not None and is_told:
            return own.end, ASKED
        if deed.hand in SERVANTS:
            return (own.order, OWN) if own.order is not None and not deed.ends else None
        return self._from_others(deed, own) if deed.hand != "person" else None

    def _from_namespace(self, deed: Deed) -> Because | None:
        """Collections are emptied where somebody has deleted the namespace that they are in."""
        space = namespace_of(deed.fact.span.key)
        if space is None or not deed.ends or deed.hand != "controller":
            return None
        deleted = self.around.get(space, EMPTY).last_before(deed)
        return None if deleted is None else (deleted, SPACE)

    def _from_news(self, deed: Deed, own: Before) -> Because | None:
        """Status tells what is new of an object or below it; what else its parent's controller notes there, of the parent."""
        is_status = deed.fact.text(v.SUBRESOURCE) == "status" or deed.tells_status
        if not is_status:
            parent = self.parents.get(deed.place)
            wish = self._of_parent(deed, own) if parent is not None else None
            return (wish, PARENT) if wish and (own.wish is None or wish.time > own.wish.time) else None
        is_of_spec = (
            bool(deed.lines) and not deed.tells_status
        )  # no more than that the new spec has been seen
        if deed.hand not in SERVANTS and not is_of_spec:
            news = self.below.get(deed.place, EMPTY).last_before(deed)
            if news is not None and (own.wish is None or news.time >= own.wish.time):
                because = _shortly(deed, news, BELOW, most=AT_ONCE)
                if because is not None or news.ends:
                    return because
        return _shortly(deed, own.wish, OWN)

    def _from_others(self, deed: Deed, own: Before) -> Because | None:
        """What a controller acted on: its own object, which is the parent, or what is missing under it."""
        wish = self._of_parent(deed, own)
        former = self._replaced(deed) if deed.begins else None
        if former is not None and (wish is None or former.time >= wish.time):
            is_own_doing = deed.hand == "program" and former.actor == deed.actor
            return None if is_own_doing else _shortly(deed, former, FORMER)
        if deed.ends and (wish is None or deed.fact.span.source == "change"):
            whole = self._collection_of(deed)
            if whole is not None:
                return whole, COLLECTION  # nothing else explains an end that nobody asked for one by one
        return None if wish is None else (wish, PARENT)

    def _replaced(self, deed: Deed) -> Deed | None:
        """The end of the former life of the name, or when another object of the parent began to go."""
        parent = self.parents.get(deed.place)
        if parent is None:
            return None
        return self.ends[deed.place].last_before(deed) or self.endings[parent].last_before(deed)

    def _collection_of(self, deed: Deed) -> Deed | None:
        key = deed.fact.span.key
        asked = [self.around.get(key._replace(namespace=n, name=""), EMPTY) for n in {"", key.namespace}]
        known = [found for whole in asked if (found := whole.last_before(deed)) is not None]
        last = max(known, key=lambda d: (d.time, d.index), default=None)
        return last if last is not None and deed.time <= last.fact.end + NANOSECONDS else None

    def _of_parent(self, deed: Deed, own: Before) -> Deed | None:
        """The last wish on the parent, if it explains the deed. Another cluster has another clock, so there a wish that
        seems to be a little later may, where none before it does."""
        parent = self.parents.get(deed.place)
        if parent is None:
            return None
        clusters = self._clusters(parent, deed.place)
        behind = self.behind.get(clusters, 0)
        wish = self.wishes[parent].last_before(deed, shift=behind)
        if wish is not None and self._may_follow(deed, wish, own, age=deed.latest + behind - wish.time):
            return wish
        if clusters[0] == clusters[1]:
            return None
        later = self.wishes[parent].first_after(deed, shift=behind, most=TOLERANCE)
        return later if later is not None and self._may_follow(deed, later, own, age=0) else None

    def _may_follow(self, deed: Deed, wish: Deed, own: Before, *, age: int) -> bool:
        """Whether who did it acts for the parent, and the wish on that is recent enough for how sure this is."""
        parent = self.nodes[wish.place].key
        is_its_controller = acts_for(deed.actor, parent.resource)
        if wish.ends:
            return deed.ends and (is_its_controller or age <= SHORTLY or deed.actor.endswith(COLLECTOR))
        if deed.ends:
            is_nameless = deed.fact.span.source == "change" or deed.actor in ALL_CONTROLLERS
            return is_its_controller or (is_nameless and wish.lowers and age <= SHORTLY)
        if is_its_controller or deed.actor in ALL_CONTROLLERS:
            return True
        is_maker = deed.begins or deed.actor in own.makers
        return is_maker and age <= SHORTLY and (deed.hand != "program" or deed.actor != wish.actor)


COLLECTOR = ":generic-garbage-collector"


def _deeds(node: Node, place: int) -> list[Deed]:
    own = dataclasses.replace(node, facts=tuple(dissolved(node.facts)))
    timed = ordered(own)
    return [deed_of(fact, place=place, index=index, time=time) for index, (time, fact) in enumerate(timed)]


def _told(deeds: Iterable[Deed]) -> list[Deed]:
    return [deed for deed in deeds if deed.role == "report" and deed.done and deed.tells_status]


def _first_ends(deeds: Iterable[Deed]) -> Iterator[Deed]:
    """When each life began to go: who sees that acts at once, not only when it is gone."""
    lives: set[int] = set()
    for deed in deeds:
        if deed.ends and deed.fact.life not in lives:
            lives.add(deed.fact.life)
            yield deed


def _shortly(deed: Deed, cause: Deed | None, why: str, *, most: int = SHORTLY) -> Because | None:
    return (cause, why) if cause is not None and deed.latest - cause.time <= most else None


def _is_circle(deed: Deed, causes: dict[Deed, Because]) -> bool:
    seen = {deed}
    at = deed
    while at in causes:
        at = causes[at][0]
        if at in seen:
            return at is deed
        seen.add(at)
    return False
