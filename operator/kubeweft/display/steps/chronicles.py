"""Deeds in order of time, and which of them could have been known to somebody who acted later.

Versions tell the order within a second where nothing else is known, but only those of one cluster can be compared.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from kubeweft.display.steps.deeds import Deed
from kubeweft.display.tree.trees import is_whole_second
from kubeweft.model.windows import NANOSECONDS


class Chronicle:
    """Deeds in order of time."""

    def __init__(self, deeds: Iterable[Deed]) -> None:
        """Put deeds in order; none may be added later."""
        self._deeds = sorted(deeds, key=lambda deed: (deed.time, deed.place, deed.index))
        self._times = [deed.time for deed in self._deeds]

    def last_before(self, deed: Deed, *, shift: int = 0, place: int | None = None) -> Deed | None:
        """The last that was done before a deed (at ``place``), whose own clock is ``shift`` behind."""
        index = bisect.bisect_right(self._times, deed.latest + shift)
        while index:
            index -= 1
            found = self._deeds[index]
            if found is not deed and (place is None or found.place == place) and _precedes(found, deed):
                return found
        return None

    def first_after(self, deed: Deed, *, shift: int, most: int) -> Deed | None:
        """The first that seems to have been done after a deed, but no longer after than ``most``."""
        latest = deed.latest + shift
        index = bisect.bisect_right(self._times, latest)
        if index < len(self._deeds) and self._times[index] - latest <= most:
            return self._deeds[index]
        return None


def _precedes(known: Deed, deed: Deed) -> bool:
    vague = is_whole_second(known.fact) or is_whole_second(deed.fact)
    if (
        vague
        and known.fact.span.key.cluster == deed.fact.span.key.cluster
        and known.time // NANOSECONDS == deed.time // NANOSECONDS
        and min(known.version, deed.version) >= 0
    ):
        return known.version < deed.version
    return True
