"""Why a status says something new: because of what happened to an object below.

Controllers count within milliseconds, and what they count is told below in fields of the same name. So the cause is the
last news that tells of the same count in the same direction; who counts more is not answering to who tells of fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.recorded import EMPTY, Recorded
from kubeweft.model.windows import NANOSECONDS

AT_ONCE = 5 * NANOSECONDS  # long for a controller, but many times are known to the second only
AWAY = ("terminating", "unavailable", "desired")  # counts of what is not there
MOST_COMPARED = 64  # in so short a time more only happens to an object with hundreds below it


class News:
    """What is new of the objects below each: that one came or went, and what its status says."""

    def __init__(self, recorded: Recorded) -> None:
        """Gather what is told of the children of every object."""
        self._below = recorded.by_parent(
            [*(d for d in wishes if d.begins or d.ends), *_told(recorded.deeds[place])]
            for place, wishes in enumerate(recorded.wishes)
        )
        self._counts: dict[Deed, dict[str, bool]] = {}

    def before(self, report: Deed) -> Deed | None:
        """The news that a report follows: the last, or of the last few the one that tells of the same."""
        known = self._below.get(report.place, EMPTY)
        last = known.last_before(report)
        if last is None or not report.counts:
            return last
        recent = [d for d in islice(known.before(report), MOST_COMPARED) if is_at_once(report, d)]
        agreeing = [self._agree(report, news) for news in recent]
        for wanted in (True, None):
            found = next((d for d, agree in zip(recent, agreeing, strict=True) if agree is wanted), None)
            if found is not None:
                return found
        return None if recent else last

    def _agree(self, report: Deed, news: Deed) -> bool | None:
        """Whether two tell of the same count that it rose, or that it fell; None where they share none."""
        told, counted = self._told_by(news), self._told_by(report)
        if news.begins or news.ends:
            there = {rose for name, rose in counted.items() if not name.startswith(AWAY)}
            return None if not there or news.begins in there else False
        same = [counted[name] is rose for name, rose in told.items() if name in counted]
        return any(same) if same else None

    def _told_by(self, deed: Deed) -> dict[str, bool]:
        if deed not in self._counts:
            self._counts[deed] = deed.counts
        return self._counts[deed]


def is_at_once(deed: Deed, cause: Deed) -> bool:
    """Whether so little time was between the two that a controller may have counted anew."""
    return deed.latest - cause.time <= AT_ONCE


def _told(deeds: Iterable[Deed]) -> Iterator[Deed]:
    return (deed for deed in deeds if deed.role == "report" and deed.done and deed.tells_status)
