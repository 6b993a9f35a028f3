"""What a fact is among causes and effects: who did it, what it asks for, and whether something may follow from it.

A *wish* is a write that says how things should be: a creation, a deletion, a new spec. Controllers act on wishes, so only
wishes are causes. *Reports* (status) and Events follow from wishes, and so do the wishes of controllers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeweft.display.gathering import WRITES
from kubeweft.display.made import changes_made
from kubeweft.display.trees import Fact, is_whole_second, latest_end, succeeded, version_number
from kubeweft.model import vocabulary as v

Role = Literal["wish", "report", "event", "other"]
Hand = Literal["person", "program", "scheduler", "node", "controller"]
"""Whose hand: a person acts unasked, the others because of something; a program with a name of its own may be either."""

PEOPLE = frozenset({"system:admin", "system:anonymous", "system:unsecured", "system:masters"})
HAND_WRITTEN = ("kubectl", "helm", "k9s", "curl", "Mozilla", "python-requests", "pykube", "argocd", "flux")
"""How user agents and field managers begin that write because somebody wants it, not because of another object."""
WISHES_OF = frozenset({"", "scale", "binding", "eviction", "ephemeralcontainers", "resize", "finalize"})
REPORTED = frozenset({"status", "metadata", "apiVersion", "kind", "…"})
MARKS = ("+ ", "- ")


@dataclass(frozen=True, slots=True, eq=False)
class Deed:
    """A fact with its place among the objects: ``place`` is the number of its object, ``index`` its place there."""

    fact: Fact
    place: int
    index: int
    time: int
    role: Role
    hand: Hand
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
    return Deed(fact, place, index, time, role, hand_of(fact), begins, ends, done)


def hand_of(fact: Fact) -> Hand:
    """Whose hand did it, as far as names tell."""
    source = fact.span.source
    if source == "event":
        return "controller"
    if source == "change":
        return _hand_of_manager(fact)
    user = fact.text(v.IMPERSONATED_USER) or fact.text(v.USER)
    if user.startswith("system:node:"):
        return "node"
    if user == "system:kube-scheduler":
        return "scheduler"
    if user.startswith("system:") and user not in PEOPLE:
        return "controller"
    agent = fact.text(v.USER_AGENT)
    return "program" if agent and not agent.startswith(HAND_WRITTEN) else "person"


def _hand_of_manager(change: Fact) -> Hand:
    manager = change.text(v.FIELD_MANAGER)
    if manager == "kubelet":
        return "node"
    if manager == "kube-scheduler" or "spec.nodeName" in change.text(v.WORDS):  # a binding names no manager
        return "scheduler"
    return "person" if manager.startswith(HAND_WRITTEN) else "controller"


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
        verb in ("delete", "deletecollection") or subresource == "eviction" or any(map(_asks_to_end, changes))
    )
    begins = verb == "create" and not subresource
    if begins or ends or not changes:
        return "wish", begins, ends, done
    return ("wish" if any(map(_is_wish, changes)) else "report"), begins, ends, done


def _changed(change: Fact) -> tuple[Role, bool, bool]:
    change_type = change.text(v.CHANGE_TYPE)
    if change_type == "Sighting":
        return "other", False, False
    ends = change_type == "Deleted" or _asks_to_end(change)
    begins = change_type == "Added"
    return ("wish" if begins or ends or _is_wish(change) else "report"), begins, ends


def _asks_to_end(change: Fact) -> bool:
    return "metadata.deletionTimestamp" in change.text(v.WORDS)


def _is_wish(change: Fact) -> bool:
    """Whether a change says anything beside status and metadata."""
    lines = change.text(v.WORDS).splitlines()
    return any(_field(line) not in REPORTED for line in lines)


def _field(line: str) -> str:
    """``spec`` of ``spec.replicas 2 → 4``."""
    path = (line[2:] if line.startswith(MARKS) else line).split(" ", 1)[0]
    return path.split(".", 1)[0].split("[", 1)[0]
