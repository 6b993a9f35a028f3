"""Who acted: the audit log names users and programs, changes their field manager, Events their reporter.

The three speak of the same actors by different names, and what is certain is joined: a service account has the name of
the controller that reports, and a program writes under its own name as field manager (the API server's default). Where
several could be meant, nothing is guessed: the name given stands for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kubeweft.display.tree.made import SHOWN_TAKEN, tag
from kubeweft.display.tree.trees import Fact, Tree, facts_of, is_gathered, shown_nodes
from kubeweft.display.words.people import SERVICE_ACCOUNT, program, short_user
from kubeweft.model import vocabulary as v

REPORTERS = {"default-scheduler": "kube-scheduler"}
"""Reporters that are called otherwise than their program."""


@dataclass(frozen=True, slots=True, order=True)
class Actor:
    """Somebody, or some program, that acted. ``name`` says all that is known; ``user`` is empty for what no request told."""

    name: str
    short: str
    user: str = ""
    impersonated: str = ""
    agent: str = ""


SYSTEM = "system:"
UNKNOWN = Actor("not known who", "unknown")


def requester(fact: Fact) -> Actor:
    """Who sent a request."""
    user, impersonated = fact.text(v.USER) or "somebody", fact.text(v.IMPERSONATED_USER)
    agent = program(fact.text(v.USER_AGENT))
    name = f"{user} as {impersonated}" if impersonated else user
    return Actor(
        f"{name} ({agent})" if agent else name, short_user(impersonated or user), user, impersonated, agent
    )


class Cast:
    """All actors of a tree."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        """Remember who sent requests."""
        self._requesters: dict[tuple[str, str, str], Actor] = {}
        self._named: dict[tuple[str, str], Actor] = {}
        self._by_account: dict[str, set[Actor]] = {}
        self._by_program: dict[str, set[Actor]] = {}
        for fact in facts:
            if fact.span.source == "request":
                actor = self._requester(fact)
                self._by_program.setdefault(actor.agent, set()).add(actor)
                if actor.user.startswith(SERVICE_ACCOUNT):
                    self._by_account.setdefault(actor.user.rpartition(":")[2], set()).add(actor)

    @classmethod
    def of_tree(cls, tree: Tree) -> Cast:
        """The actors of everything that is shown."""
        return cls(fact for node in shown_nodes(tree) for fact in facts_of(node.facts))

    def actor_of(self, fact: Fact) -> Actor:
        """Who did what a fact tells; ``UNKNOWN`` where nothing says so."""
        source = fact.span.source
        if source == "request":
            return self._requester(fact)
        if source == "event":
            return self._named_by("reporter", fact.text(v.EVENT_REPORTER))
        if source == "change" and (name := tag(fact.label, SHOWN_TAKEN)):
            return next((actor for actor in self._requesters.values() if actor.name == name), UNKNOWN)
        if source == "change" and fact.text(v.CHANGE_TYPE) in ("Added", "Modified"):
            return self._named_by("field manager", fact.text(v.FIELD_MANAGER))
        if source == "foreign":
            return self._named_by("service", fact.text(v.SERVICE_NAME))
        if source == "group":
            return next((self.actor_of(child) for child in facts_of(fact.children) if _acts(child)), UNKNOWN)
        return UNKNOWN  # who deletes is no field manager, a sighting is no act, and a gap nobody's

    def brief_names(self, tree: Tree) -> dict[str, str]:
        """What to call those who acted in a tree where there is little room, by their ``short`` names: a service account
        without its namespace, the cluster's own users without ``system:``, unless two would then bear one name."""
        acted = {
            self.actor_of(fact)
            for node in shown_nodes(tree)
            for fact in facts_of(node.facts)
            if not is_gathered(fact)
        }
        brief = {actor.short: _brief(actor) for actor in sorted(acted)}
        bearers = Counter(brief.values())
        return {short: name if bearers[name] == 1 else short for short, name in brief.items()}

    def _requester(self, fact: Fact) -> Actor:
        told = fact.text(v.USER), fact.text(v.IMPERSONATED_USER), fact.text(v.USER_AGENT)
        known = self._requesters.get(told)
        if known is None:
            known = self._requesters[told] = requester(fact)
        return known

    def _named_by(self, how: str, name: str) -> Actor:
        known = self._named.get((how, name))
        if known is None:
            known = self._named[how, name] = self._find(how, name)
        return known

    def _find(self, how: str, name: str) -> Actor:
        if not name:
            return UNKNOWN
        accounts = self._by_account.get(name, set()) if how == "reporter" else set()
        programs = self._by_program.get(REPORTERS.get(name, name), set())
        for meant in (accounts, programs):
            if len(meant) == 1:
                return next(iter(meant))
        return Actor(f"{how} {name}", name)


def _brief(actor: Actor) -> str:
    user = actor.impersonated or actor.user
    if user.startswith(SERVICE_ACCOUNT):
        return user.rpartition(":")[2] or actor.short
    return user.removeprefix(SYSTEM) or actor.short


def _acts(fact: Fact) -> bool:
    return fact.span.source != "group"
