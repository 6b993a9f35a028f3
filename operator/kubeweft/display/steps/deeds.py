"""What a fact is among causes and effects: who did it, what it asks for, and whether something may follow from it.

A *wish* is a write that says how things should be: a creation, a deletion, a new spec. Controllers act on wishes, so only
wishes are causes of wishes. *Reports* (status) and Events follow from wishes, and a report from those of owned objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kubeweft.display.steps.gathering import WRITES
from kubeweft.display.tree.made import changes_made
from kubeweft.display.tree.trees import Fact, is_whole_second, latest_end, succeeded, version_number
from kubeweft.display.words.headlines import SERVICE_ACCOUNT, program
from kubeweft.model import vocabulary as v

Role = Literal["wish", "report", "event", "other"]
Hand = Literal["person", "program", "scheduler", "node", "controller"]
"""Whose hand: a person acts unasked, the others because of something; a program with a name of its own may be either."""

PEOPLE = frozenset({"system:admin", "system:anonymous", "system:unsecured", "system:masters"})
HAND_WRITTEN = (
    *("kubectl", "helm", "k9s", "kustomize", "terraform", "hashicorp", "pulumi", "ansible", "lens"),
    *("curl", "mozilla", "python-requests", "pykube", "argocd", "flux", "kustomize-controller"),
)
"""How user agents and field managers begin that write because somebody wants it, not because of another object."""
ALL_CONTROLLERS = frozenset({"system:kube-controller-manager", "kube-controller-manager"})
"""Under these names any of Kubernetes' own controllers may act: as user where they have no accounts, as field manager."""
WISHES_OF = frozenset({"", "scale", "binding", "eviction", "ephemeralcontainers", "resize", "finalize"})
REPORTED = frozenset({"status", "metadata", "apiVersion", "kind", "…"})
MARKS = ("+ ", "- ")
REPLICAS = re.compile(r"spec\.replicas (\d+) → (\d+)")


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
        """Whether it says how an object is, beyond that a new spec has been seen."""
        fields = [_path(line) for line in self.lines]
        return any(f.startswith("status") and f != "status.observedGeneration" for f in fields)

    @property
    def lowers(self) -> bool:
        """Whether it wishes for fewer of what the object owns."""
        found = [REPLICAS.match(line) for line in self.lines]
        return any(int(numbers[1]) > int(numbers[2]) for numbers in found if numbers)


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


def actor_of(fact: Fact) -> str:
    """By what name the one acted who did it, empty where none is known."""
    if fact.span.source != "request":
        return fact.text(v.FIELD_MANAGER)
    user = fact.text(v.IMPERSONATED_USER) or fact.text(v.USER)
    if user in ALL_CONTROLLERS or user.startswith(SERVICE_ACCOUNT):
        return user
    return f"{user} {program(fact.text(v.USER_AGENT))}"


def hand_of(fact: Fact) -> Hand:
    """Whose hand did it, as far as names tell. A program that people use is a person's hand under whatever account."""
    source = fact.span.source
    if source == "event":
        return "controller"
    if source == "change":
        return _hand_of_manager(fact)
    user = fact.text(v.IMPERSONATED_USER) or fact.text(v.USER)
    agent = fact.text(v.USER_AGENT)
    if _is_hand_written(agent):
        return "person"
    if user.startswith("system:node:"):
        return "node"
    if user == "system:kube-scheduler":
        return "scheduler"
    if user.startswith("system:") and user not in PEOPLE:
        return "controller"
    return "program" if agent else "person"


def acts_for(actor: str, resource: str) -> bool:
    """Whether this is the account of the controller of a type: ``daemon-set-controller`` that of ``daemonsets``."""
    name = actor.rpartition(":")[2] if actor.startswith(SERVICE_ACCOUNT) else ""
    kind = name.removesuffix("-controller").replace("-", "")
    return name.endswith("-controller") and bool(kind) and resource in (f"{kind}s", f"{kind}controllers")


def _hand_of_manager(change: Fact) -> Hand:
    manager = change.text(v.FIELD_MANAGER)
    if manager == "kubelet":
        return "node"
    if manager == "kube-scheduler" or _is_bound(change):
        return "scheduler"
    return "person" if _is_hand_written(manager) else "controller"


def _is_bound(change: Fact) -> bool:
    """Whether a Pod was given its node: a binding names no manager, and nothing but a binding sets this field."""
    key = change.span.key
    lines = change.text(v.WORDS).splitlines()
    return (key.group, key.resource) == ("", "pods") and any(_path(line) == "spec.nodeName" for line in lines)


def _is_hand_written(name: str) -> bool:
    return name.casefold().startswith(HAND_WRITTEN)


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
    return any(_path(line).split(".", 1)[0].split("[", 1)[0] not in REPORTED for line in lines)


def _path(line: str) -> str:
    """``spec.replicas`` of ``spec.replicas 2 → 4``."""
    return (line[2:] if line.startswith(MARKS) else line).split(" ", 1)[0]
