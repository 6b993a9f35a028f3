"""Where somebody may see everything, as types and namespaces: asked before a search, so that it looks nowhere else.

Types are asked first, since a right to one holds everywhere. Then each namespace is asked about its types, those with the
most objects first, one in each namespace by turns: where one may be seen, so are others probably.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final, NamedTuple

from kubeweft.model.references import ObjectKey

MOST_TYPES: Final = 100  # asked about; an answer may cost a limited number of questions
MOST_PLACES: Final = 200

Ask = Callable[[Collection[ObjectKey]], AbstractSet[ObjectKey]]
"""Those of keys without names of which everything may be seen."""


class PermittedPlaces(NamedTuple):
    """Keys without names; not ``complete`` where there may be more."""

    keys: frozenset[ObjectKey]
    complete: bool


def permitted_places(places: Iterable[ObjectKey], ask: Ask) -> PermittedPlaces:
    """Those of the places (the most important first) of which everything may be seen, as far as questions allow."""
    known = list(dict.fromkeys(places))
    types = list(dict.fromkeys(_everywhere(place) for place in known))
    everywhere = ask(types[:MOST_TYPES])
    permitted = {place for place in known if _everywhere(place) in everywhere}
    asking = _Asking(ask, [place for place in known if place.namespace and place not in permitted])
    permitted |= asking.run()
    return PermittedPlaces(frozenset(permitted), asking.complete and len(types) <= MOST_TYPES)


class _Asking:
    """Goes through the namespaces by turns."""

    def __init__(self, ask: Ask, places: Iterable[ObjectKey]) -> None:
        self._ask = ask
        self._left = MOST_PLACES
        self._open: dict[tuple[str, str], list[ObjectKey]] = {}
        for place in places:
            self._open.setdefault((place.cluster, place.namespace), []).append(place)
        self.complete = True

    def run(self) -> set[ObjectKey]:
        permitted: set[ObjectKey] = set()
        while self._open and self._left > 0:
            seen = self._turn(dict(self._firsts()))
            permitted |= seen
            rest = [place for one in seen for place in self._open.pop((one.cluster, one.namespace), ())]
            permitted |= self._turn(dict.fromkeys(rest))
        self.complete = self.complete and not self._open
        return permitted

    def _firsts(self) -> Iterator[tuple[ObjectKey, None]]:
        """The next of each namespace, which are no longer open."""
        for named, waiting in list(islice(self._open.items(), self._left)):
            yield waiting.pop(0), None
            if not waiting:
                del self._open[named]

    def _turn(self, asked: Collection[ObjectKey]) -> AbstractSet[ObjectKey]:
        if len(asked) > self._left:
            self.complete = False
        asked = list(islice(asked, self._left))
        self._left -= len(asked)
        return self._ask(asked) if asked else frozenset()


def _everywhere(place: ObjectKey) -> ObjectKey:
    return place._replace(namespace="")
