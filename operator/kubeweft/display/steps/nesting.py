"""Put each change under the request that caused it.

A write is answered with the object as it then is, so the request and the change carry the same UID and
resourceVersion; the writer is the earliest such request, because a write that changes nothing is answered with the
same version again. Where the answer is a ``Status`` (immediate deletes, ``pods/binding``, ``pods/eviction``) the UID,
or the field that only this request sets, says which change it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from kubeweft.display.trees import Fact, Node, Tree, each_node, succeeded, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from kubeweft.model.windows import NANOSECONDS

WRITES = frozenset({"create", "update", "patch", "delete"})
SET_BY = {"binding": "spec.nodeName", "eviction": "metadata.deletionTimestamp"}
"""Subresources that answer with a Status, and the field of the object that each sets."""
TOLERANCE = 5 * NANOSECONDS  # a change knows its time to the second, and two API servers have two clocks


def nest_changes(tree: Tree) -> Tree:
    """Changes stand under their request and take its time; those without one stay where they are."""
    return each_node(tree, _nest)


def find_writers(spans: Iterable[Span]) -> dict[bytes, Span]:
    """The request that caused each change of one object, by the change's span ID."""
    stored = list(spans)
    requests = sorted(
        [s for s in stored if s.source == "request" and _writes(s)], key=lambda s: (s.start, s.end, s.span_id)
    )
    changes = [s for s in stored if s.source == "change" and text_of(s, v.CHANGE_TYPE) != "Sighting"]
    writers = _by_version(requests, changes)
    _add_status_answers(requests, [c for c in changes if c.span_id not in writers], writers)
    _add_first_halves(changes, writers)
    return writers


def _nest(node: Node) -> Node:
    writers = find_writers(fact.span for fact in node.facts)
    if not writers:
        return node
    caused: dict[bytes, list[Fact]] = {}
    for fact in node.facts:
        writer = writers.get(fact.span.span_id)
        if writer is not None:
            moved = dataclasses.replace(fact, start=writer.start, end=max(writer.start, writer.end))
            caused.setdefault(writer.span_id, []).append(moved)
    facts = [
        dataclasses.replace(fact, children=(*fact.children, *caused.get(fact.span.span_id, ())))
        for fact in node.facts
        if fact.span.span_id not in writers
    ]
    return dataclasses.replace(node, facts=tuple(facts))


def _writes(request: Span) -> bool:
    return text_of(request, v.VERB) in WRITES and succeeded(request)


def _by_version(requests: Sequence[Span], changes: Sequence[Span]) -> dict[bytes, Span]:
    first: dict[tuple[str, str], Span] = {}
    for request in requests:
        uid, version = text_of(request, v.UID), text_of(request, v.RESOURCE_VERSION)
        if uid and version and version != text_of(request, v.REQUEST_BASE_VERSION):  # else it changed nothing
            first.setdefault((uid, version), request)
    joined = {c.span_id: first.get((text_of(c, v.UID), text_of(c, v.RESOURCE_VERSION))) for c in changes}
    return {change: request for change, request in joined.items() if request is not None}


def _add_status_answers(
    requests: Sequence[Span], changes: Sequence[Span], writers: dict[bytes, Span]
) -> None:
    """Each request answered by a Status takes the one change, not yet joined, that it must have caused."""
    free = list(changes)
    for request in requests:
        if text_of(request, v.RESOURCE_VERSION):
            continue
        change = _caused_by(request, free)
        if change is not None:
            writers[change.span_id] = request
            free.remove(change)


def _add_first_halves(changes: Sequence[Span], writers: dict[bytes, Span]) -> None:
    """A delete that ends a grace period is two versions, one that sets the period to 0 and the removal itself.

    The answer tells only the second (``BeforeDelete`` in k8s.io/apiserver/pkg/registry/rest/delete.go).
    """
    by_version = {(text_of(c, v.UID), text_of(c, v.RESOURCE_VERSION)): c for c in changes}
    for removal in [c for c in changes if _is(c, "Deleted") and c.span_id in writers]:
        first = by_version.get((text_of(removal, v.UID), text_of(removal, v.OLD_VERSION)))
        if first is not None and first.span_id not in writers and _ends_grace_period(first):
            writers[first.span_id] = writers[removal.span_id]


def _ends_grace_period(change: Span) -> bool:
    return not text_of(change, v.FIELD_MANAGER) and _sets(change, "metadata.deletionGracePeriodSeconds")


def _caused_by(request: Span, changes: Sequence[Span]) -> Span | None:
    uid = text_of(request, v.UID)
    subresource = text_of(request, v.SUBRESOURCE)
    if text_of(request, v.VERB) == "delete" and not subresource:
        return next((c for c in changes if uid and text_of(c, v.UID) == uid and _is(c, "Deleted")), None)
    path = SET_BY.get(subresource, "")
    near = [c for c in changes if path and _fits(c, uid, path) and _distance(c, request) <= TOLERANCE]
    return min(near, key=lambda c: (_distance(c, request), c.span_id), default=None)


def _fits(change: Span, uid: str, path: str) -> bool:
    return (not uid or text_of(change, v.UID) == uid) and _sets(change, path)


def _sets(change: Span, path: str) -> bool:
    """Whether a change adds a field, given as ``spec.nodeName``."""
    pointer = f'"/{path.replace(".", "/")}"'
    words = text_of(change, v.WORDS).splitlines()
    return pointer in text_of(change, v.PATCH) or any(path in line.split() for line in words)


def _is(change: Span, change_type: str) -> bool:
    return text_of(change, v.CHANGE_TYPE) == change_type


def _distance(change: Span, request: Span) -> int:
    return max(request.start - change.start, change.start - request.end, 0)
