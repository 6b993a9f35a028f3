"""Identities are computed, never looked up: every ID is a hash of what the span *is*.

Two replicas, a retry, a replay or a restart therefore produce the same bytes, and nothing needs a lock, a
reservation or a cache. Whatever enters a hash here is part of the wire format: changing it re-names every span.

Every part is length-prefixed, so that no choice of user name or URI can imitate another span.
"""

from __future__ import annotations

from hashlib import blake2b

from kubeweft.model.references import ObjectKey

TRACE_ID_PREFIX = b"\x4b\x00\x00"  # "K", then the view and the count of windows: both 0 for a stored trace
SPAN_ID_SIZE = 8


def trace_id(key: ObjectKey, window: int, length: int) -> bytes:
    """The 16 bytes that name ``key`` in the window that begins at ``window`` and lasts ``length`` nanoseconds."""
    return TRACE_ID_PREFIX + _digest(*key, str(window), str(length), size=13)


def object_span_id(trace: bytes) -> bytes:
    """The root span of a stored trace: recomputable from the trace ID alone."""
    return blake2b(trace + b"object", digest_size=SPAN_ID_SIZE).digest()


def request_span_id(
    *, cluster: str, audit_id: str, stage: str, received: str, completed: str, verb: str, uri: str, user: str
) -> bytes:
    """One audited request. The audit ID alone would not do: clients may choose it (``Audit-ID`` header)."""
    return _digest("request", cluster, audit_id, stage, received, completed, verb, uri, user)


def change_span_id(*, cluster: str, uid: str, old_version: str, new_version: str) -> bytes:
    """The step of one object from a version to another; ``old_version`` is empty for a creation."""
    return _digest("change", cluster, uid, old_version, new_version)


def sighting_span_id(*, cluster: str, uid: str, version: str) -> bytes:
    """The whole object as it was at one version: a snapshot, not a change."""
    return _digest("sighting", cluster, uid, version)


def event_span_id(*, cluster: str, uid: str, count: int) -> bytes:
    """One state of a Kubernetes Event: repeats raise its count and make a new span."""
    return _digest("event", cluster, uid, str(count))


def link_span_id(
    trace: bytes, target: ObjectKey, *, role: str, link_class: str, rule: str, same_trace: bool = False
) -> bytes:
    """One end of a link: ``role`` is what the target is to the object of ``trace``, ``rule`` what made the link."""
    return _digest(trace.hex(), *target, role, link_class, rule, "SameTrace" if same_trace else "")


def gap_span_id(*, cluster: str, observer: str, what: str, start: int, end: int) -> bytes:
    """Something known to be missed. A gap belongs to the one observer that missed it."""
    return _digest("gap", cluster, observer, what, str(start), str(end))


def _digest(*parts: str, size: int = SPAN_ID_SIZE) -> bytes:
    text = "\0".join([f"{len(part)}:{part}" for part in parts])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()
