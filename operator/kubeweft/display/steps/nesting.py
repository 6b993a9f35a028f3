"""Put each change under the request that caused it.

A write is answered with the object as it then is, so the request and the change carry the same UID and
resourceVersion; the writer is the earliest such request, because a write that changes nothing is answered with the
same version again. Where the answer is a ``Status`` (immediate deletes, ``pods/binding``, ``pods/eviction``) the UID,
or the field that only this request sets, says which change it was.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import msgspec

from kubeweft.display.tree.trees import (
    Fact,
    Node,
    Tree,
    each_node,
    fact_of,
    latest_end,
    succeeded,
    text_of,
    version_number,
)
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
    _add_last_finalizers(requests, changes, writers)
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
            moved = fact.moved(writer.start, max(writer.start, writer.end))
            caused.setdefault(writer.span_id, []).append(moved)
    facts = [
        fact.holding((*fact.children, *caused[fact.span.span_id])) if fact.span.span_id in caused else fact
        for fact in node.facts
        if fact.span.span_id not in writers
    ]
    return msgspec.structs.replace(node, facts=tuple(facts))


def _writes(request: Span) -> bool:
    return text_of(request, v.VERB) in WRITES and succeeded(request)


def _by_version(requests: Sequence[Span], changes: Sequence[Span]) -> dict[bytes, Span]:
    first: dict[tuple[str, str], Span] = {}
    for request in requests:
        uid, version = text_of(request, v.UID), text_of(request, v.RESOURCE_VERSION)
        if uid and version and version != text_of(request, v.REQUEST_BASE_VERSION):  # else it changed nothing
            first.setdefault((uid, version), request)
    joined: dict[bytes, Span] = {}
    for change in changes if first else ():
        writer = first.get((text_of(change, v.UID), text_of(change, v.RESOURCE_VERSION)))
        if writer is not None:
            joined[change.span_id] = writer
    return joined


def _add_status_answers(
    requests: Sequence[Span], changes: Sequence[Span], writers: dict[bytes, Span]
) -> None:
    """Each request answered by a Status takes the one change, not yet joined, that it must have caused."""
    asked = [r for r in requests if not text_of(r, v.RESOURCE_VERSION) and (_deletes(r) or _path_set_by(r))]
    if not asked:
        return
    removed: dict[str, list[Span]] = {}
    for change in changes:
        if _is(change, "Deleted"):
            removed.setdefault(text_of(change, v.UID), []).append(change)
    setting = {path: [c for c in changes if _sets(c, path)] for path in {*map(_path_set_by, asked)} - {""}}
    for request in asked:
        if _deletes(request):
            uid = text_of(request, v.UID)
            own = removed.get(uid) if uid else None
            caused = next((c for c in own or () if c.span_id not in writers), None)
        else:
            caused = _nearest(request, setting[_path_set_by(request)], writers)
        if caused is not None:
            writers[caused.span_id] = request


def _add_last_finalizers(
    requests: Sequence[Span], changes: Sequence[Span], writers: dict[bytes, Span]
) -> None:
    """Who takes the last finalizer away removes the object, and is answered with the version that it had before
    (``deleteWithoutFinalizers`` in k8s.io/apiserver/pkg/registry/generic/registry/store.go)."""
    removals = [c for c in changes if _is(c, "Deleted") and c.span_id not in writers]
    if not removals:
        return
    busy = {writer.span_id for writer in writers.values()}
    free: dict[tuple[str, str], list[Span]] = {}
    for request in requests:
        if text_of(request, v.VERB) in ("update", "patch") and request.span_id not in busy:
            answered = text_of(request, v.UID), text_of(request, v.RESOURCE_VERSION)
            free.setdefault(answered, []).append(request)
    for removal in removals:
        before = text_of(removal, v.UID), text_of(removal, v.OLD_VERSION)
        asked = [r for r in free.get(before, ()) if _distance(removal, r) <= TOLERANCE]
        if asked:
            writers[removal.span_id] = asked[-1]


def _add_first_halves(changes: Sequence[Span], writers: dict[bytes, Span]) -> None:
    """Some requests make two versions, and only the second is joined with them so far.

    A delete that ends a grace period sets the period to 0 and then removes the object (``BeforeDelete`` in
    k8s.io/apiserver/pkg/registry/rest/delete.go). An eviction tells of itself in the Pod's conditions and then deletes
    it (``addConditionAndDeletePod`` in kubernetes/pkg/registry/core/pod/storage/eviction.go).
    """
    seconds = [c for c in changes if c.span_id in writers and _is_second_half(c, writers[c.span_id])]
    if not seconds:
        return
    by_version = {(text_of(c, v.UID), text_of(c, v.RESOURCE_VERSION)): c for c in changes}
    for second in seconds:
        first = by_version.get((text_of(second, v.UID), text_of(second, v.OLD_VERSION)))
        if first is None or first.span_id in writers:
            continue
        if _ends_grace_period(first) if _is(second, "Deleted") else _tells_of_eviction(first):
            writers[first.span_id] = writers[second.span_id]


def _is_second_half(change: Span, writer: Span) -> bool:
    return _is(change, "Deleted") or text_of(writer, v.SUBRESOURCE) == "eviction"


def _tells_of_eviction(change: Span) -> bool:
    return "DisruptionTarget" in text_of(change, v.PATCH) or "DisruptionTarget" in text_of(change, v.WORDS)


def _ends_grace_period(change: Span) -> bool:
    return not text_of(change, v.FIELD_MANAGER) and _sets(change, "metadata.deletionGracePeriodSeconds")


def _deletes(request: Span) -> bool:
    return text_of(request, v.VERB) == "delete" and not text_of(request, v.SUBRESOURCE)


def _path_set_by(request: Span) -> str:
    return SET_BY.get(text_of(request, v.SUBRESOURCE), "")


def _nearest(request: Span, changes: Iterable[Span], writers: Container[bytes]) -> Span | None:
    uid = text_of(request, v.UID)
    near = [
        c
        for c in changes
        if c.span_id not in writers
        and (not uid or text_of(c, v.UID) == uid)
        and _distance(c, request) <= TOLERANCE
    ]
    return min(near, key=lambda c: (_distance(c, request), *_order(c)), default=None)


def _order(change: Span) -> tuple[int, bytes]:
    """Of changes within one second, of which no more is known, the lower version was first."""
    return version_number(text_of(change, v.RESOURCE_VERSION)), change.span_id


def _sets(change: Span, path: str) -> bool:
    """Whether a change adds a field, given as ``spec.nodeName``."""
    pointer = f'"/{path.replace(".", "/")}"'
    words = text_of(change, v.WORDS).splitlines()
    return pointer in text_of(change, v.PATCH) or any(path in line.split() for line in words)


def _is(change: Span, change_type: str) -> bool:
    return text_of(change, v.CHANGE_TYPE) == change_type


def _distance(change: Span, request: Span) -> int:
    return max(request.start - latest_end(fact_of(change)), change.start - request.end, 0)
