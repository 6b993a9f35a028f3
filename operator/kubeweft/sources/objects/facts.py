"""What one object says about itself: who wrote it, when, and who owns it; read without decoding the rest of it.

An object arrives as JSON and is only taken apart as far as needed: its top-level fields and those of its metadata stay
the bytes they were. ``managedFields`` (half of a typical Pod) and ``resourceVersion`` (different in every version) are
taken out; what is left is the body that versions are compared by.

Times come from the object, so that two observers agree on them. They are a second precise; order within a second is
the resourceVersion's.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import msgspec

from kubeweft.model.errors import BadInput
from kubeweft.model.references import OwnerReference, ResourceType
from kubeweft.model.timestamps import NANOSECONDS, parse_timestamp
from kubeweft.sources.objects.acting import Entry

Fields = dict[str, msgspec.Raw]
VERSION = b'"resourceVersion":'
NO_FIELDS = msgspec.Raw()


class Facts(NamedTuple):
    """Read from one object. ``time`` is 0 if the object tells none; ``deleting`` if it is marked for deletion."""

    namespace: str
    name: str
    uid: str
    version: str
    kind: str
    api_version: str
    generation: int
    time: int
    managers: tuple[Entry, ...]
    owners: tuple[OwnerReference, ...]
    deleting: bool


class _Managed(msgspec.Struct, gc=False, rename={"api_version": "apiVersion", "fields_v1": "fieldsV1"}):
    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: str | None = None
    api_version: str = ""
    fields_v1: msgspec.Raw = NO_FIELDS


class _Owner(msgspec.Struct, gc=False, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Condition(msgspec.Struct, gc=False, rename="camel"):
    last_transition_time: str | None = None
    last_update_time: str | None = None


class _Status(msgspec.Struct, gc=False):
    conditions: list[_Condition] | None = None


class _Identity(msgspec.Struct, gc=False):
    uid: str


class _Identified(msgspec.Struct, gc=False):
    metadata: _Identity


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    uid: str
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[_Owner] | None = None
    managed_fields: msgspec.Raw = NO_FIELDS


class _Object(msgspec.Struct, gc=False):
    metadata: msgspec.Raw
    status: msgspec.Raw = msgspec.Raw()


_object = msgspec.json.Decoder(_Object)
_metadata = msgspec.json.Decoder(_Metadata)
_managed = msgspec.json.Decoder(list[_Managed] | None)
_status = msgspec.json.Decoder(_Status)
_identified = msgspec.json.Decoder(_Identified)
_fields = msgspec.json.Decoder(Fields)
_encode = msgspec.json.Encoder().encode

_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def read_object(raw: bytes, resource: ResourceType) -> tuple[Facts, bytes]:
    """The facts of an object and its body. Raises ``BadInput`` if it is none."""
    try:
        obj = _object.decode(raw)
        metadata = _metadata.decode(obj.metadata)
        facts = _facts(obj, metadata, resource)
        return facts, _cut_out(raw, obj, metadata, resource) or _written_anew(raw, resource)
    except _UNREADABLE as error:
        raise BadInput(f"a watched object cannot be read: {_without_content(error)}") from None


def _cut_out(raw: bytes, obj: _Object, metadata: _Metadata, resource: ResourceType) -> bytes | None:
    """The body by cutting bytes out, as is right for what an API server sends in a watch; None where it is not."""
    head = _head(resource)
    if not raw.startswith(head):  # items of lists lack both, metadata-only objects name the wrong ones
        return None
    whole, managed = bytes(obj.metadata), bytes(metadata.managed_fields)
    kept = _without(whole, b',"managedFields":', managed) if managed else whole
    if kept is None or kept.count(VERSION) != 1:  # a label or an annotation may be called the same
        return None
    rest = _without(kept, VERSION, f'"{metadata.resource_version}",'.encode())
    return None if rest is None else head + rest + raw[len(head) + len(whole) :]


@functools.lru_cache(maxsize=4096)
def _head(resource: ResourceType) -> bytes:
    return f'{{"kind":"{resource.kind}","apiVersion":"{resource.api_version}","metadata":'.encode()


def _without(text: bytes, name: bytes, value: bytes) -> bytes | None:
    """The text without a member, if that is there in just this form; the value may be long, so it is not searched."""
    start = text.find(name)
    end = start + len(name) + len(value)
    if start < 0 or text[start + len(name) : end] != value:
        return None
    return text[:start] + text[end:]


def _written_anew(raw: bytes, resource: ResourceType) -> bytes:
    fields = _fields.decode(raw)
    metadata = _fields.decode(fields["metadata"])
    metadata.pop("managedFields", None)
    metadata.pop("resourceVersion", None)
    fields["metadata"] = msgspec.Raw(_encode(metadata))
    fields.pop("kind", None)
    fields.pop("apiVersion", None)
    return _encode({"kind": resource.kind, "apiVersion": resource.api_version, **fields})


def uid_in(raw: bytes) -> str:
    """The UID of an object that may not be readable as a whole; empty if even that cannot be told."""
    try:
        return _identified.decode(raw).metadata.uid
    except _UNREADABLE:
        return ""


def owners_in(body: bytes) -> tuple[str, str, tuple[OwnerReference, ...]]:
    """Namespace, name and owners of a body that was read before."""
    metadata = _metadata.decode(_object.decode(body).metadata)
    return metadata.namespace, metadata.name, _owners(metadata)


def _facts(obj: _Object, metadata: _Metadata, resource: ResourceType) -> Facts:
    managers = _managers(metadata.managed_fields, resource.api_version)
    return Facts(
        metadata.namespace,
        metadata.name,
        metadata.uid,
        metadata.resource_version,
        resource.kind,
        resource.api_version,
        metadata.generation,
        _newest_time(obj, metadata, managers),
        managers,
        _owners(metadata),
        metadata.deletion_timestamp is not None,
    )


def _managers(raw: msgspec.Raw, api_version: str) -> tuple[Entry, ...]:
    if raw is NO_FIELDS:
        return ()
    return tuple(
        [
            Entry(
                entry.manager,
                entry.operation,
                entry.subresource,
                parse_timestamp(entry.time or ""),
                entry.fields_v1 if entry.api_version == api_version else NO_FIELDS,  # else fields may differ
            )
            for entry in _managed.decode(raw) or ()
        ]
    )


def _owners(metadata: _Metadata) -> tuple[OwnerReference, ...]:
    return tuple(
        OwnerReference(owner.api_version, owner.kind, owner.name, owner.uid, owner.controller is True)
        for owner in metadata.owner_references or ()
    )


def _newest_time(obj: _Object, metadata: _Metadata, managers: tuple[Entry, ...]) -> int:
    """The field managers' newest time; without one (metadata of old objects), that of the conditions or creation."""
    newest = 0
    for entry in managers:
        newest = max(newest, entry.time)
    if not newest:
        newest = max(parse_timestamp(metadata.creation_timestamp or ""), _condition_time(obj.status))
    if metadata.deletion_timestamp is None:
        return newest
    # The deletion was asked for a grace period before the time that it is set for.
    seconds = metadata.deletion_grace_period_seconds or 0
    return max(newest, parse_timestamp(metadata.deletion_timestamp) - seconds * NANOSECONDS)


def _condition_time(raw: msgspec.Raw) -> int:
    if not bytes(raw):
        return 0
    try:
        conditions = _status.decode(raw).conditions or ()
    except msgspec.ValidationError:  # a custom resource may call anything "status"
        return 0
    times = [text for c in conditions for text in (c.last_transition_time, c.last_update_time) if text]
    return max(map(parse_timestamp, times), default=0)


def _without_content(error: Exception) -> str:
    """What is wrong, without quoting the object: msgspec's messages name fields and types only."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "it is no valid JSON"
