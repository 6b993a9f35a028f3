"""Who did something, as far as names tell: a person, or a program because of something else, and of what."""

from __future__ import annotations

from typing import Literal

from kubeweft.display.steps.explaining.lines import field_of
from kubeweft.display.tree.trees import Fact
from kubeweft.display.words.people import SERVICE_ACCOUNT, program
from kubeweft.model import vocabulary as v

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
ELSEWHERE = frozenset(
    {"node-controller", "node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector"}
    | {"ttl-after-finished-controller", "descheduler", "cluster-autoscaler", "karpenter"}
)
"""Controllers, by the names of their accounts and as reporters, that act because of a Node or of time."""


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
    return (key.group, key.resource) == ("", "pods") and any(
        field_of(line) == "spec.nodeName" for line in lines
    )


def _is_hand_written(name: str) -> bool:
    return name.casefold().startswith(HAND_WRITTEN)
