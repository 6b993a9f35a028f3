"""What a fact is among causes and effects: who did it, what it asks for, and whether something may follow from it.

A *wish* is a write that says how things should be: a creation, a deletion, a new spec. Controllers act on wishes, so only
wishes are causes of wishes. *Reports* (status) and Events follow from wishes, and a report from those of owned objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeweft.display.steps.explaining.hands import ELSEWHERE, Hand, actor_of, hand_of
from kubeweft.display.steps.explaining.lines import field_of, replicas_of, rise_of, says_nothing
from kubeweft.display.steps.gathering import WRITES
from kubeweft.display.tree.made import changes_made
from kubeweft.display.tree.trees import Fact, is_whole_second, latest_end, succeeded, version_number
from kubeweft.model import vocabulary as v

Role = Literal["wish", "report", "event", "other"]
WISHES_OF = frozenset({"", "scale", "binding", "eviction", "ephemeralcontainers", "resize", "finalize"})
REPORTED = frozenset({"status", "metadata", "apiVersion", "kind", "…"})


@dataclass(frozen=True, slots=True, eq=False)
class Deed:
    """A fact with its place among the objects: ``place`` is the number of its object, ``index`` its place there."""

    fact: Fact
    place: int
    index: int
    time: int
    role: Role
    hand: Hand
    actor: str
    begins: bool
    ends: bool
    done: bool

    @property
    def is_cause(self) -> bool:
        """Whether anything may follow from it."""
        return self.role == "wish" and self.done

    @property
    def latest(self) -> int:
        """The latest moment at which it may have begun."""
        return max(self.time, latest_end(self.fact)) if is_whole_second(self.fact) else self.time

    @property
    def version(self) -> int:
        """The version that it led to, -1 where that is not known."""
        fact = self.fact
        return max([version_number(f.text(v.RESOURCE_VERSION)) for f in (fact, *changes_made(fact))])

    @property
    def lines(self) -> list[str]:
        """What it changed, a line for each field."""
        changes = [self.fact, *changes_made(self.fact)]
        return [line for change in changes for line in change.text(v.WORDS).splitlines()]

    @property
    def tells_status(self) -> bool:
        """Whether it says how an object is, beyond that a new spec has been seen and that there is nothing yet."""
        told = [line for line in self.lines if field_of(line).startswith("status") and not says_nothing(line)]
        return any(field_of(line) != "status.observedGeneration" for line in told)

    @property
    def acts_elsewhere(self) -> bool:
        """Whether who did it answers to something else than what is wished of the object."""
        name = self.fact.text(v.EVENT_REPORTER) or self.actor.rpartition(":")[2]
        return name in ELSEWHERE

    @property
    def replicas(self) -> list[tuple[int, int]]:
        """How many of what the object owns were wished for before, and how many it wishes for."""
        return [numbers for line in self.lines if (numbers := replicas_of(line)) is not None]

    @property
    def lowers(self) -> bool:
        """Whether it wishes for fewer of what the object owns."""
        return any(before > after for before, after in self.replicas)

    @property
    def counts(self) -> dict[str, bool]:
        """The counts in a status that it changed, and whether each rose."""
        return dict([rise for line in self.lines if (rise := rise_of(line)) is not None])


def deed_of(fact: Fact, *, place: int, index: int, time: int) -> Deed:
    """What is known of a fact."""
    source = fact.span.source
    begins = ends = False
    role: Role = "other"
    done = True
    if source == "request":
        role, begins, ends, done = _asked(fact)
    elif source == "change":
        role, begins, ends = _changed(fact)
    elif source == "event":
        role = "event"
    return Deed(fact, place, index, time, role, hand_of(fact), actor_of(fact), begins, ends, done)


def _asked(request: Fact) -> tuple[Role, bool, bool, bool]:
    """Role, whether it begins and whether it ends a life, and whether it was carried out."""
    verb, subresource = request.text(v.VERB), request.text(v.SUBRESOURCE)
    done = succeeded(request.span)
    if verb not in WRITES:
        return "other", False, False, done
    if subresource not in WISHES_OF:
        return "report", False, False, done
    changes = changes_made(request)
    ends = (
        verb in ("delete", "deletecollection") or subresource == "eviction" or any(map(asks_to_end, changes))
    )
    begins = verb == "create" and not subresource
    if begins or ends or not changes:
        return "wish", begins, ends, done
    return ("wish" if any(map(_is_wish, changes)) else "report"), begins, ends, done


def _changed(change: Fact) -> tuple[Role, bool, bool]:
    change_type = change.text(v.CHANGE_TYPE)
    if change_type == "Sighting":
        return "other", False, False
    ends = change_type == "Deleted" or asks_to_end(change)
    begins = change_type == "Added"
    return ("wish" if begins or ends or _is_wish(change) else "report"), begins, ends


def asks_to_end(change: Fact) -> bool:
    """Whether a change says when the object is to go; that is in the words or, where those are missing, in the patch."""
    in_patch = '"/metadata/deletionTimestamp"' in change.text(v.PATCH)
    return in_patch or "metadata.deletionTimestamp" in change.text(v.WORDS)


def _is_wish(change: Fact) -> bool:
    """Whether a change says anything beside status and metadata."""
    lines = change.text(v.WORDS).splitlines()
    return any(field_of(line).split(".", 1)[0].split("[", 1)[0] not in REPORTED for line in lines)
