"""What had been wished of an object itself, when something happened to it or was told of it."""

from __future__ import annotations

from dataclasses import dataclass

from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.hands import actor_of
from kubeweft.display.tree.made import changes_made
from kubeweft.model import vocabulary as v

SCHEDULERS = frozenset({"default-scheduler", "kube-scheduler"})
SERVANTS = ("scheduler", "node")  # they only ever carry out what others want of an object


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
