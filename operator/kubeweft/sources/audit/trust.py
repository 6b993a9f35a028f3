"""What the answer to a request may say about the object that was asked for.

A body is trusted only if the answer is a success and its kind, name and UID fit. That leaves out a ``Status`` (failures,
``pods/binding``), another type's answer (``serviceaccounts/token``), and whatever the client has put into ``objectRef``.
On a create the body is the only truth: ``objectRef`` holds the name and UID that the client made up.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from kubeweft.model.references import ResourceType, group_of
from kubeweft.sources.audit.wire import (
    AuditEvent,
    ObjectReference,
    ResponseMetadata,
    ResponseObject,
    StatusDetails,
)

WRITES: Final = frozenset({"create", "update", "patch", "delete"})

# The answers to these are never the object, so they need not be looked into.
OTHER_ANSWERS: Final = frozenset(
    {"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "token"}
)
PARTIAL: Final = ("PartialObjectMetadata", "meta.k8s.io/v1")  # the garbage collector asks for metadata only
NEVER_OBJECTS: Final = frozenset({"", "Status", "Scale", "Table", "PartialObjectMetadata"})


class KindTable(Protocol):
    """What has to be known about kinds; :class:`kubeweft.model.kinds.Kinds` is one."""

    def kind_of(self, group: str, resource: str) -> ResourceType | None:
        """The resource type of a plural name, or None while it is unknown."""

    def learn(self, resource: ResourceType) -> None:
        """Add a resource type."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is sure about the object; all empty if nothing is. Without a ``kind``, the body is not the whole object."""

    name: str = ""
    uid: str = ""
    version: str = ""
    kind: str = ""
    api_version: str = ""


NOTHING: Final = Answer()


def read_answer(
    event: AuditEvent,
    reference: ObjectReference,
    body: ResponseObject | None,
    namespace: str,
    kinds: KindTable,
) -> Answer | None:
    """What the answer to ``event`` says about an object in ``namespace`` (empty for cluster-scoped ones).

    None if there is a body that could tell, but does not fit.
    """
    if not succeeded(event) or event.verb not in WRITES or reference.subresource in OTHER_ANSWERS:
        return NOTHING
    if event.verb == "delete" and not reference.subresource and event.response_status is not None:
        uid = _deleted_uid(event.response_status.details, reference)
        if uid:
            return Answer(reference.name or "", uid)
    return NOTHING if body is None else _read_body(event, reference, body, namespace, kinds)


def succeeded(event: AuditEvent) -> bool:
    """Whether the API server did what was asked."""
    status = event.response_status
    return status is not None and status.code is not None and 200 <= status.code < 300


def type_shown(answer: Answer, reference: ObjectReference, *, namespaced: bool) -> ResourceType:
    """The resource type of which a whole trusted body is an example."""
    group, _, version = answer.api_version.rpartition("/")
    return ResourceType(group, version, reference.resource or "", answer.kind, namespaced)


def _deleted_uid(details: StatusDetails | None, reference: ObjectReference) -> str:
    if details is None or not details.uid or details.name != reference.name:
        return ""
    return details.uid if (details.group or "") == (reference.api_group or "") else ""


def _read_body(
    event: AuditEvent, reference: ObjectReference, body: ResponseObject, namespace: str, kinds: KindTable
) -> Answer | None:
    metadata = body.metadata
    if metadata is None or not metadata.uid or not metadata.name or (metadata.namespace or "") != namespace:
        return None
    if (event.verb != "create" or reference.subresource) and not _is_same(metadata, reference):
        return None
    kind, api_version, version = body.kind or "", body.api_version or "", metadata.resource_version or ""
    if _kind_fits(kind, api_version, reference, kinds):
        return Answer(metadata.name, metadata.uid, version, kind, api_version)
    if (kind == "Scale" and reference.subresource == "scale") or (kind, api_version) == PARTIAL:
        return Answer(metadata.name, metadata.uid, version)
    return None


def _is_same(metadata: ResponseMetadata, reference: ObjectReference) -> bool:
    """Here the name comes from the URL, and a UID that the client sent had to be the right one."""
    return metadata.name == reference.name and reference.uid in (None, "", metadata.uid)


def _kind_fits(kind: str, api_version: str, reference: ObjectReference, kinds: KindTable) -> bool:
    group = reference.api_group or ""
    if group_of(api_version) != group:
        return False
    known = kinds.kind_of(group, reference.resource or "")
    if known is not None:
        return known.kind == kind
    # of an unknown type, the answers of these two are the object; of other subresources nobody knows
    return reference.subresource in (None, "", "status") and kind not in NEVER_OBJECTS
