"""The parts of ``audit.k8s.io/v1`` that we read, as types for the decoder.

Request bodies stay as the bytes that were sent: most are never looked into, and one may be anything (a JSON patch is a
list). Every field may be absent or null: nothing in an audit event is sure to be there.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Code = Annotated[
    int, msgspec.Meta(ge=-(2**31), lt=2**31)
]  # int32 in the API; more would not fit into a store


class User(msgspec.Struct, gc=False):
    """Who asked. Groups and extra are not read."""

    username: str | None = None


class ObjectReference(msgspec.Struct, gc=False, rename="camel"):
    """What was asked for. On a create, ``name``, ``uid`` and ``resource_version`` are whatever the client sent."""

    resource: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    api_group: str | None = None
    resource_version: str | None = None
    subresource: str | None = None


class StatusDetails(msgspec.Struct, gc=False):
    """What a ``Status`` says it is about; after a delete this holds the only UID."""

    name: str | None = None
    group: str | None = None
    kind: str | None = None
    uid: str | None = None


class ResponseStatus(msgspec.Struct, gc=False):
    """How it was answered. Absent if the server panicked before it could answer."""

    code: Code | None = None
    reason: str | None = None
    message: str | None = None
    details: StatusDetails | None = None


class Annotations(msgspec.Struct, gc=False):
    """The one annotation that matters here: the API server cut the bodies out."""

    truncated: str | None = msgspec.field(name="audit.k8s.io/truncated", default=None)


class ResponseMetadata(msgspec.Struct, gc=False, rename="camel"):
    """What a response body says about the identity of its object, and whether that is being deleted."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    creation: str | None = msgspec.field(name="creationTimestamp", default=None)
    deletion_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    finalizers: Any = None


class ResponseObject(msgspec.Struct, gc=False, rename="camel"):
    """A response body as far as it is read: its identity and, should it be a Kubernetes Event, what that tells.

    The members of an Event may be anything: a custom resource may use the same names for something else.
    """

    kind: str | None = None
    api_version: str | None = None
    metadata: ResponseMetadata | None = None
    involved_object: Any = None
    regarding: Any = None
    type: Any = None
    reason: Any = None
    action: Any = None
    message: Any = None
    note: Any = None
    source: Any = None
    deprecated_source: Any = None
    reporting_component: Any = None
    reporting_controller: Any = None
    count: Any = None
    deprecated_count: Any = None
    series: Any = None
    event_time: Any = None
    first_timestamp: Any = None
    deprecated_first_timestamp: Any = None
    last_timestamp: Any = None
    deprecated_last_timestamp: Any = None


class AuditEvent(msgspec.Struct, gc=False, rename="camel"):
    """One audit event without its response body. Only a line of a log names the ``kind`` of each.

    Two fields that every audit event has are demanded, so that no small body can hold a million empty ones.
    """

    stage: str | None
    audit_id: str | None = msgspec.field(name="auditID")
    kind: str | None = None
    api_version: str | None = None
    level: str | None = None
    request_uri: str | None = msgspec.field(name="requestURI", default=None)
    verb: str | None = None
    user: User | None = None
    impersonated_user: User | None = None
    source_ips: list[str] | None = msgspec.field(name="sourceIPs", default=None)
    user_agent: str | None = None
    object_ref: ObjectReference | None = None
    response_status: ResponseStatus | None = None
    request_object: msgspec.Raw = msgspec.Raw()
    request_received_timestamp: str | None = None
    stage_timestamp: str | None = None
    annotations: Annotations | None = None


class ReadEvent(AuditEvent, gc=False):
    """One audit event whose response body is read in the same pass: passing over it twice would cost half as much
    again as all the rest."""

    response_object: ResponseObject | None = None


class RawEvent(AuditEvent, gc=False):
    """One audit event whose response body is kept as it was sent."""

    response_object: msgspec.Raw = msgspec.Raw()
