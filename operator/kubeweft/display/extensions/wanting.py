"""What a tree and the spans of other systems can have in common: audit IDs of requests, and UIDs of Pods.

Pure: which attribute of a foreign span tells either is said by join rules; those of Kubernetes' own components come with
Kubeweft, an installation adds others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from kubeweft.display.tree.trees import Fact, Tree, facts_of, latest_end, shown_nodes
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
    """One value that foreign spans may carry, and of which time."""

    to: Joined
    value: str
    start: int
    end: int


def wanted_of(tree: Tree) -> list[Wanted]:
    """The audit IDs of all requests and the UIDs of all Pods, in the order of display, each once."""
    found: dict[tuple[Joined, str], Wanted] = {}
    for node in shown_nodes(tree):
        is_pod = (node.key.group, node.key.resource) == ("", "pods")
        for fact in facts_of(node.facts):
            if fact.start > tree.until or latest_end(fact) < tree.since:
                continue
            if audit_id := audit_id_of(fact):
                _widen(found, Wanted("audit-id", audit_id, fact.start, fact.end))
            if is_pod and fact.span.key == node.key and (uid := own_uid_of(fact)):
                _widen(found, Wanted("uid", uid, fact.start, fact.end))
    return list(found.values())


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
