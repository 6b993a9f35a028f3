"""What a tree and the spans of other systems can have in common: audit IDs of requests, and UIDs of Pods.

Pure: which attribute of a foreign span tells either is said by join rules; those of Kubernetes' own components come with
Kubeweft, an installation adds others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from kubeweft.display.tree.trees import Fact, Node, Tree, facts_of, latest_end, shown_nodes, succeeded
from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan

Joined = Literal["audit-id", "uid"]
"""What a value names: a request of the audit log, or a Pod."""

POD_UID: Final = "k8s.pod.uid"
LONGEST_AUDIT_ID: Final = 64  # kube-apiserver cuts those that clients have chosen longer
JOIN_MARK: Final = "kubeweft.join"
"""Attribute of a foreign span, added for a tree only, that tells the value by which it was joined (``uid=…``)."""


class JoinRule(NamedTuple):
    """An attribute of spans, or of their resource, whose value names something in a tree."""

    attribute: str
    to: Joined


BUILTIN_RULES: Final = (JoinRule(v.AUDIT_ID, "audit-id"), JoinRule(POD_UID, "uid"))


class Wanted(NamedTuple):
    """One value that foreign spans may carry, and of which time (nanoseconds)."""

    to: Joined
    value: str
    start: int
    end: int


def wanted_of(tree: Tree, *, now: int) -> list[Wanted]:
    """The audit IDs of all requests and the UIDs of all Pods, in the order of display, each once.

    A request has its own time. A Pod works while nobody tells anything about it: until it is gone, else until ``now``.
    """
    found: dict[tuple[Joined, str], Wanted] = {}
    for node in shown_nodes(tree):
        for fact in facts_of(node.facts):
            audit_id = audit_id_of(fact)
            if audit_id and fact.start <= tree.until and latest_end(fact) >= tree.since:
                _widen(found, Wanted("audit-id", audit_id, fact.start, fact.end))
        if is_pod(node):
            for wanted in _lives(node, tree, now):
                _widen(found, wanted)
    return list(found.values())


def is_pod(node: Node) -> bool:
    """Whether spans may belong to the object itself, and not only to requests on it."""
    return (node.key.group, node.key.resource) == ("", "pods")


def _lives(node: Node, tree: Tree, now: int) -> Iterator[Wanted]:
    """When each Pod of this name was there within the time that is shown.

    From its creation; where nothing tells that, from where the time begins, or without such from the first that is known.
    """
    of_uid: dict[str, list[Fact]] = {}
    for fact in facts_of(node.facts):
        if fact.span.key == node.key and (uid := own_uid_of(fact)):
            of_uid.setdefault(uid, []).append(fact)
    for uid, facts in of_uid.items():
        first, last = min(fact.start for fact in facts), max(latest_end(fact) for fact in facts)
        begin = first if tree.since <= 0 or any(map(_is_creation, facts)) else min(first, tree.since)
        gone = [fact.end for fact in facts if fact.text(v.CHANGE_TYPE) == "Deleted"]
        end = max(gone) if gone else max(last, now)
        start, end = max(begin, tree.since), min(end, tree.until)
        if start <= end:
            yield Wanted("uid", uid, start, end)


def _is_creation(fact: Fact) -> bool:
    if fact.span.source == "change":
        return fact.text(v.CHANGE_TYPE) == "Added"
    return fact.text(v.VERB) == "create" and succeeded(fact.span)


def audit_id_of(fact: Fact) -> str:
    """The audit ID of a request, as kube-apiserver's spans tell it; empty where the fact is none."""
    return fact.text(v.AUDIT_ID)[:LONGEST_AUDIT_ID] if fact.span.source == "request" else ""


def own_uid_of(fact: Fact) -> str:
    """The UID of the object that a fact is about; empty where it may be that of another.

    A request on a subresource may be answered with another object.
    """
    told = fact.span.source in ("change", "request") and not fact.text(v.SUBRESOURCE)
    return fact.text(v.UID) if told else ""


def joined_by(span: ForeignSpan, rules: Sequence[JoinRule]) -> list[tuple[Joined, str]]:
    """Everything that a span says it belongs to."""
    told = []
    for rule in rules:
        value = span.attributes.get(rule.attribute) or span.resource.get(rule.attribute)
        if value:
            told.append((rule.to, str(value)))
    return told


def join_of(span: ForeignSpan) -> Mapping[Joined, str]:
    """What a span of a tree belongs to: what the mark says, else what the usual attributes say."""
    mark = span.attributes.get(JOIN_MARK)
    if isinstance(mark, str):
        to, _, value = mark.partition("=")
        return {"uid": value} if to == "uid" else {"audit-id": value}
    return dict(joined_by(span, BUILTIN_RULES))


def _widen(found: dict[tuple[Joined, str], Wanted], wanted: Wanted) -> None:
    known = found.get((wanted.to, wanted.value))
    if known is not None:
        wanted = known._replace(start=min(known.start, wanted.start), end=max(known.end, wanted.end))
    found[wanted.to, wanted.value] = wanted
