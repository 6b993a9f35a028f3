"""What was observed about an object, before it becomes spans: the values between ``sources`` and ``weaving``.

All times are nanoseconds since the epoch, UTC. Everything here is already redacted: no room after ``sources`` ever
sees a Secret value.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from kubeweft.model.references import ObjectKey, OwnerReference
from kubeweft.model.relations import Relation

ChangeType = Literal["Added", "Modified", "Deleted", "Sighting"]
TimeSource = Literal["object", "request", "receipt"]


class Request(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One audited API request on one object (or on a collection, then the key's name is empty).

    ``received_text`` and ``completed_text`` are the two audit timestamps as written: they are hashed, so re-formatting
    them must not change an ID. ``uid`` and ``version`` are set only from a trusted response body (2xx, kind, name and
    uid fit) or from the ``details`` of a Status that answers a delete.
    """

    key: ObjectKey
    audit_id: str
    level: str
    stage: str
    verb: str
    subresource: str
    uri_path: str
    uri_query: str
    uri: str
    user: str
    impersonated_user: str
    user_agent: str
    client_address: str
    code: int
    reason: str
    message: str
    received: int
    completed: int
    received_text: str
    completed_text: str
    kind: str = ""
    api_version: str = ""
    uid: str = ""
    version: str = ""
    base_version: str = ""
    dry_run: bool = False
    body_truncated: bool = False


class FieldManager(msgspec.Struct, frozen=True, gc=False):
    """Who wrote fields of an object last, from ``metadata.managedFields``."""

    manager: str
    operation: str
    subresource: str
    time: int


class TraceContext(NamedTuple):
    """A span of another tracing system that an annotation of an object names (W3C trace context)."""

    trace_id: bytes
    span_id: bytes
    annotation: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an object between two versions, or (``Sighting``) the object as first met.

    ``patch`` is RFC 6902 as JSON text, from the old version to the new; ``words`` says the same to a person, a line
    per field. ``body`` is the object after the change (before it, for a deletion), as JSON without managedFields;
    empty where the version before and the patch are enough to know it. ``contexts`` are those that its annotations name
    since this change. ``fields`` are the top-level fields that differ; None where everything may.
    """

    key: ObjectKey
    kind: str
    api_version: str
    uid: str
    old_version: str
    version: str
    type: ChangeType
    time: int
    time_source: TimeSource
    patch: str = ""
    patch_truncated: bool = False
    words: tuple[str, ...] = ()
    body: bytes = b""
    managers: tuple[FieldManager, ...] = ()
    generation: int = 0
    owners: tuple[OwnerReference, ...] = ()
    contexts: tuple[TraceContext, ...] = ()
    fields: frozenset[str] | None = None


class EventSeen(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One state of a Kubernetes Event about the object ``key``.

    ``first`` and ``last`` are the Event's own times; ``skew_seconds`` is how far its clock was ahead of the API
    server's, in which case ``last`` has been set back to the API server's time.
    """

    key: ObjectKey
    kind: str
    api_version: str
    uid: str
    field_path: str
    event_uid: str
    event_name: str
    type: str
    reason: str
    action: str
    message: str
    reporter: str
    count: int
    series: bool
    first: int
    last: int
    skew_seconds: int = 0


class Gap(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something we know we missed, from ``start`` to ``end``, on the object (or whole type: empty name) ``key``."""

    key: ObjectKey
    observer: str
    reason: str
    message: str
    start: int
    end: int
    count: int = 0


class Known(msgspec.Struct, frozen=True, gc=False):
    """An object remembered from a former run, with its owners: it makes links, but no span of its own."""

    key: ObjectKey
    owners: tuple[OwnerReference, ...]


class Related(msgspec.Struct, frozen=True, gc=False):
    """All that rules say about an object from ``time`` (nanoseconds) on: these relations, in place of those before.

    An object that is not ``selected`` by any policy makes no spans for it by itself.
    """

    key: ObjectKey
    relations: tuple[Relation, ...]
    time: int
    selected: bool = True


Observation = Request | Change | EventSeen | Gap | Known | Related
