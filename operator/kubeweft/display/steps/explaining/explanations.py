"""What explains a deed, as far as that can be shown from what was recorded; rather nothing than something wrong.

The nearest wish counts, none if something else that could explain it lies nearer.
"""

from __future__ import annotations

from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.endings import Endings
from kubeweft.display.steps.explaining.events import Told
from kubeweft.display.steps.explaining.news import News, is_at_once
from kubeweft.display.steps.explaining.own import SERVANTS, Before
from kubeweft.display.steps.explaining.parents import SHORTLY, Parents
from kubeweft.display.steps.explaining.recorded import Recorded
from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.display.tree.trees import Tree
from kubeweft.model import vocabulary as v

Because = tuple[Deed, str]
OWN = "it came after the last write to its object"
BELOW = "it came after what happened to an object below it"
ASKED = "its deletion was asked for before"
TOLD = "it tells of what was done then, to an object below"
PARENT = "it follows from the last write to its parent"
FORMER = "it takes the place of what was deleted before"
COLLECTION = "a whole collection was being deleted"
SPACE = "its namespace was being deleted"


class Explanations:
    """All deeds of a tree by object, and what explains them."""

    def __init__(self, tree: Tree, within: int) -> None:
        """Read what was done in a tree; what is longer ago than ``within`` nanoseconds explains nothing."""
        self.within = within
        self.recorded = Recorded(tree)
        self.parents = Parents(self.recorded)
        self.news = News(self.recorded)
        self.endings = Endings(self.recorded)
        self.told = Told(self.recorded)

    def all(self) -> dict[Deed, Because]:
        """What explains each deed, where that can be told."""
        found: dict[Deed, Because] = {}
        for deeds in self.recorded.deeds:
            before: dict[int, Before] = {}
            for deed in deeds:
                own = before.setdefault(deed.fact.life, Before())
                because = self._explain(deed, own)
                if because is not None and self._is_near(deed, because[0]):
                    found[deed] = because
                if self.recorded.is_on_object(deed):
                    own.take(deed)
        self._add_events(found)
        return {deed: because for deed, because in found.items() if not _is_circle(deed, found)}

    def _add_events(self, found: dict[Deed, Because]) -> None:
        """Events stand beside what they tell of; a later state of one that has no cause of its own, with the former."""
        for deeds in self.recorded.deeds:
            series: dict[str, Because] = {}
            for event in deeds:
                if event.role != "event":
                    continue
                done = self.told.done_below(event)
                if done is not None and done in found:
                    found[event] = found[done][0], TOLD
                elif done is not None:
                    found.pop(event, None)
                uid = event.fact.text(v.EVENT_UID)
                if event in found:
                    series[uid] = found[event]
                elif uid in series and done is None:
                    found[event] = series[uid]

    def _is_near(self, deed: Deed, cause: Deed) -> bool:
        """Whether the cause is no longer ago than it may be, and no later than clocks can be wrong."""
        return deed.latest - cause.time <= self.within and cause.fact.start - deed.fact.start <= 2 * TOLERANCE

    def _explain(self, deed: Deed, own: Before) -> Because | None:
        if deed.role == "other" or self.recorded.is_around(deed):
            return None
        if not deed.fact.span.key.name:
            return self._of_collection(deed)
        if deed.role == "event":
            return self._of_event(deed, own)
        if deed.role == "report":
            return self._of_report(deed, own) if deed.hand != "person" else None
        is_told = deed.hand != "person" or deed.fact.span.source == "change"
        if deed.ends and own.end is not None and is_told:
            return own.end, ASKED
        if deed.hand in SERVANTS:
            return (own.order, OWN) if own.order is not None and not deed.ends else None
        return self._of_others(deed, own) if deed.hand != "person" else None

    def _of_collection(self, deed: Deed) -> Because | None:
        """Collections are emptied where somebody has deleted the namespace that they are in."""
        if not deed.ends or deed.hand != "controller":
            return None
        deleted = self.endings.of_space(deed)
        return None if deleted is None else (deleted, SPACE)

    def _of_event(self, event: Deed, own: Before) -> Because | None:
        """What an Event was because of, if it does not tell of something else (see ``all``)."""
        if event.acts_elsewhere:
            return None
        return _shortly(event, self.told.wished(event) or own.cause_of_event(event), OWN)

    def _of_report(self, deed: Deed, own: Before) -> Because | None:
        """Status tells what is new of an object or below it; what else its parent's controller notes there, of the parent."""
        is_status = deed.fact.text(v.SUBRESOURCE) == "status" or deed.tells_status
        if not is_status:
            wish = self.parents.wish(deed, own)
            return (wish, PARENT) if wish and (own.wish is None or wish.time > own.wish.time) else None
        is_of_spec = (
            bool(deed.lines) and not deed.tells_status
        )  # no more than that the new spec has been seen
        if deed.hand not in SERVANTS and not is_of_spec:
            news = self.news.before(deed)
            if news is not None and (own.wish is None or news.time >= own.wish.time):
                if is_at_once(deed, news):
                    return news, BELOW
                if news.ends:
                    return None
        if deed.acts_elsewhere and (own.wish is None or own.wish.actor != deed.actor):
            return None
        return _shortly(deed, own.wish, OWN)

    def _of_others(self, deed: Deed, own: Before) -> Because | None:
        """What a controller acted on: its own object, which is the parent, or what is missing under it."""
        wish = self.parents.wish(deed, own)
        former = self.endings.replaced_by(deed) if deed.begins else None
        if former is not None and (wish is None or former.time >= wish.time):
            is_own_doing = deed.hand == "program" and former.actor == deed.actor
            return None if is_own_doing else _shortly(deed, former, FORMER)
        if deed.ends and (wish is None or deed.fact.span.source == "change"):
            whole = self.endings.of_collection(deed)
            if whole is not None:
                return whole, COLLECTION  # nothing else explains an end that nobody asked for one by one
        return None if wish is None else (wish, PARENT)


def _shortly(deed: Deed, cause: Deed | None, why: str) -> Because | None:
    return (cause, why) if cause is not None and deed.latest - cause.time <= SHORTLY else None


def _is_circle(deed: Deed, causes: dict[Deed, Because]) -> bool:
    seen = {deed}
    at = deed
    while at in causes:
        at = causes[at][0]
        if at in seen:
            return at is deed
        seen.add(at)
    return False
