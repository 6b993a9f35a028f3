"""What an Event tells of: controllers say at the parent what they did to an object below it, and name that.

An Event is then told beside what it tells of. Where it names nothing that is known, but tells of numbers, it came after
the wish for these; many Events are known to the second only, and in that several may have been wished.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubeweft.display.steps.explaining.chronicles import Chronicle
from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.recorded import Recorded, first_ends
from kubeweft.display.tree.trees import is_whole_second
from kubeweft.model import vocabulary as v
from kubeweft.model.windows import NANOSECONDS

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
AT_ONCE = 5 * NANOSECONDS  # who did something says so at once
BEGINS = re.compile(r"creat", re.IGNORECASE)
ENDS = re.compile(r"delet|kill|evict", re.IGNORECASE)


class Told:
    """The objects below each by name, and what was wished of them."""

    def __init__(self, recorded: Recorded) -> None:
        """Know the children of every object by name."""
        self._wished = recorded.wished
        self._first_ends = {deed for deeds in recorded.wishes for deed in first_ends(deeds)}
        self._below: dict[int, dict[str, int]] = {}
        for place, parent in recorded.parents.items():
            self._below.setdefault(parent, {})[recorded.nodes[place].key.name] = place

    def done_below(self, event: Deed) -> Deed | None:
        """What was done to an object below that the Event names, just before it."""
        below = self._below.get(event.place)
        if not below:
            return None
        named = [below[name] for name in NAME.findall(event.fact.text(v.EVENT_MESSAGE)) if name in below]
        done = [deed for place in named for deed in _before(self._wished[place], event, AT_ONCE)]
        numbered = [deed for deed in done if _tells_numbers(event, deed)]
        return max(
            numbered or [d for d in done if self._tells_of(event, d)], key=lambda d: d.time, default=None
        )

    def wished(self, event: Deed) -> Deed | None:
        """Of several wishes in the second that is all that is known of an Event, the last whose numbers it tells."""
        if _is_placed(event) or not is_whole_second(event.fact):
            return None
        same = [d for d in _before(self._wished[event.place], event, 0) if d.fact.life == event.fact.life]
        return next((deed for deed in same if _tells_numbers(event, deed)), None)

    def _tells_of(self, event: Deed, deed: Deed) -> bool:
        """Whether it is a beginning or a first end, and not the other of both than the reason tells."""
        reason = event.fact.text(v.EVENT_REASON)
        ends = deed in self._first_ends and not BEGINS.search(reason)
        return ends or (deed.begins and not ENDS.search(reason))


def _before(deeds: Chronicle, event: Deed, most: int) -> Iterator[Deed]:
    """Those that may have been done before an Event, but no longer before than ``most``, the last first."""
    latest = event.time if _is_placed(event) else event.latest
    for deed in deeds.before(event):
        if deed.time < event.fact.start - most:
            return
        if deed.time <= latest:
            yield deed


def _is_placed(event: Deed) -> bool:
    """Whether more than its second is known: the name tells when it was first."""
    return event.time != event.fact.start and event.fact.number(v.EVENT_COUNT) <= 1


def _tells_numbers(event: Deed, deed: Deed) -> bool:
    message = event.fact.text(v.EVENT_MESSAGE)
    return any(re.search(rf"\bfrom {old} to {new}\b", message) for old, new in deed.replicas)
