"""Deeds in order of time, and which of them could have been known to somebody who acted later.

Versions tell the order where times do not: within a second of which no more is known, and while a request is being
answered. Only those of one cluster can be compared.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator

from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.tree.trees import is_whole_second
from kubeweft.model.windows import NANOSECONDS


class Chronicle:
    """Deeds in order of time."""

    def __init__(self, deeds: Iterable[Deed]) -> None:
        """Put deeds in order; none may be added later."""
        self._deeds = sorted(deeds, key=lambda deed: (deed.time, deed.place, deed.index))
        self._times = [deed.time for deed in self._deeds]

    def last_before(self, deed: Deed, *, shift: int = 0) -> Deed | None:
        """The last that was done before a deed, whose own clock is ``shift`` behind."""
        return next(self.before(deed, shift=shift), None)

    def before(self, deed: Deed, *, shift: int = 0) -> Iterator[Deed]:
        """All that was done before a deed, the last first."""
        for index in reversed(range(bisect.bisect_right(self._times, deed.latest + shift))):
            found = self._deeds[index]
            if found is not deed and _precedes(found, deed):
                yield found

    def first_after(self, deed: Deed, *, shift: int, most: int) -> Deed | None:
        """The first that seems to have been done after a deed, but no longer after than ``most``."""
        latest = deed.latest + shift
        index = bisect.bisect_right(self._times, latest)
        if index < len(self._deeds) and self._times[index] - latest <= most:
            return self._deeds[index]
        return None


def _precedes(known: Deed, deed: Deed) -> bool:
    """Whether the first could have been known when the second was done, which is not before its time."""
    if known.fact.span.key.cluster != deed.fact.span.key.cluster or min(known.version, deed.version) < 0:
        return True
    return known.version < deed.version or not (_in_one_second(known, deed) or _was_going_on(known, deed))


def _in_one_second(known: Deed, deed: Deed) -> bool:
    vague = is_whole_second(known.fact) or is_whole_second(deed.fact)
    return vague and known.time // NANOSECONDS == deed.time // NANOSECONDS


def _was_going_on(known: Deed, deed: Deed) -> bool:
    """Whether a request had not been answered yet: it may have been carried out at any moment until then."""
    return known.time + known.fact.span.end - known.fact.span.start > deed.time
