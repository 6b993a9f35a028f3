"""What follows from a wish on the parent: what its controller does to what it owns.

A wish on an object explains what was done to one that it owns only if whoever did it acts for it: by the name of its
account the controller of the owner's type, or the one who made the owned object.
"""

from __future__ import annotations

from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.hands import ALL_CONTROLLERS, acts_for
from kubeweft.display.steps.explaining.own import Before
from kubeweft.display.steps.explaining.recorded import Recorded
from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.model.windows import NANOSECONDS

SHORTLY = 60 * NANOSECONDS
COLLECTOR = ":generic-garbage-collector"


class Parents:
    """The wishes on the parent of each object, and by how much clocks of clusters must differ."""

    def __init__(self, recorded: Recorded) -> None:
        """Learn from what was made before its parent by how much clocks are behind."""
        self._recorded = recorded
        self._behind = self._clocks()

    def wish(self, deed: Deed, own: Before) -> Deed | None:
        """The last wish on the parent, if it explains the deed. Another cluster has another clock, so there a wish that
        seems to be a little later may, where none before it does."""
        parent = self._recorded.parents.get(deed.place)
        if parent is None:
            return None
        clusters = self._clusters(parent, deed.place)
        behind = self._behind.get(clusters, 0)
        wishes = self._recorded.wished[parent]
        wish = wishes.last_before(deed, shift=behind)
        if wish is not None and self._may_follow(deed, wish, own, age=deed.latest + behind - wish.time):
            return wish
        if clusters[0] == clusters[1]:
            return None
        later = wishes.first_after(deed, shift=behind, most=TOLERANCE)
        return later if later is not None and self._may_follow(deed, later, own, age=0) else None

    def _may_follow(self, deed: Deed, wish: Deed, own: Before, *, age: int) -> bool:
        """Whether who did it acts for the parent, and the wish on that is recent enough for how sure this is."""
        parent = self._recorded.nodes[wish.place].key
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

    def _clocks(self) -> dict[tuple[str, str], int]:
        """By how much the clock of a cluster must be behind that of another: nothing is made before its parent."""
        behind: dict[tuple[str, str], int] = {}
        made = [next((d.time for d in deeds if d.begins), None) for deeds in self._recorded.wishes]
        for place, parent in self._recorded.parents.items():
            clusters = self._clusters(parent, place)
            first, second = made[parent], made[place]
            if clusters[0] != clusters[1] and first is not None and second is not None:
                early = first - second
                if 0 < early <= TOLERANCE:
                    behind[clusters] = max(early, behind.get(clusters, 0))
        return behind

    def _clusters(self, parent: int, place: int) -> tuple[str, str]:
        return self._recorded.cluster(parent), self._recorded.cluster(place)
