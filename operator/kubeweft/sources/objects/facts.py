"""What one object says about itself: who wrote it, when, and who owns it; read without decoding the rest of it.

An object arrives as JSON and is only taken apart as far as needed: its top-level fields and those of its metadata stay
the bytes they were. ``managedFields`` (half of a typical Pod) and ``resourceVersion`` (different in every version) are
taken out; what is left is the body that versions are compared by.

Times come from the object, so that two observers agree on them. They are a second precise; order within a second is
the resourceVersion's.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kubeweft.model.errors import BadInput
from kubeweft.model.observations import FieldManager
from kubeweft.model.references import OwnerReference, ResourceType
from kubeweft.model.timestamps import NANOSECONDS, parse_timestamp

Fields = dict[str, msgspec.Raw]


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
    managers: tuple[FieldManager, ...]
    owners: tuple[OwnerReference, ...]
    deleting: bool


class _Managed(msgspec.Struct, gc=False):
    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: str | None = None


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


_fields = msgspec.json.Decoder(Fields)
_text = msgspec.json.Decoder(str)
_number = msgspec.json.Decoder(int)
_managed = msgspec.json.Decoder(list[_Managed])
_owners = msgspec.json.Decoder(list[_Owner] | None)
_status = msgspec.json.Decoder(_Status)
_encode = msgspec.json.Encoder().encode

_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def read_object(raw: bytes, resource: ResourceType) -> tuple[Facts, bytes]:
    """The facts of an object and its body. Raises ``BadInput`` if it is none."""
    try:
        fields = _fields.decode(raw)
        metadata = _fields.decode(fields["metadata"])
        facts = _facts(fields, metadata, resource)
    except _UNREADABLE:
        raise BadInput("a watched object is no valid JSON, or its metadata has another form") from None
    except KeyError as missing:
        raise BadInput(f"a watched object has no {missing.args[0]}") from None
    metadata.pop("managedFields", None)
    metadata.pop("resourceVersion", None)
    fields["metadata"] = msgspec.Raw(_encode(metadata))
    # Items of lists lack kind and apiVersion, metadata-only objects name the wrong ones, and both have to come first.
    named = {"kind": resource.kind, "apiVersion": resource.api_version, **_without_type(fields)}
    return facts, _encode(named)


def owners_in(body: bytes) -> tuple[str, str, tuple[OwnerReference, ...]]:
    """Namespace, name and owners of a body; raises what a broken body deserves."""
    metadata = _fields.decode(_fields.decode(body)["metadata"])
    return _text_of(metadata, "namespace"), _text_of(metadata, "name"), _read_owners(metadata)


def acting_managers(managers: tuple[FieldManager, ...], *, status_only: bool) -> tuple[FieldManager, ...]:
    """The field managers that can have made the newest change: those with the newest time.

    Two may have written within one second; a change of the status alone then belongs to those that write the status.
    """
    if len(managers) <= 1:
        return managers
    newest = max(manager.time for manager in managers)
    latest = tuple(manager for manager in managers if manager.time == newest)
    fitting = tuple(manager for manager in latest if (manager.subresource == "status") is status_only)
    return fitting or latest


def _facts(fields: Fields, metadata: Fields, resource: ResourceType) -> Facts:
    managers = _managers(metadata.get("managedFields"))
    return Facts(
        namespace=_text_of(metadata, "namespace"),
        name=_text_of(metadata, "name"),
        uid=_text.decode(metadata["uid"]),
        version=_text_of(metadata, "resourceVersion"),
        kind=resource.kind,
        api_version=resource.api_version,
        generation=_number.decode(metadata["generation"]) if "generation" in metadata else 0,
        time=_newest_time(fields, metadata, managers),
        managers=managers,
        owners=_read_owners(metadata),
        deleting="deletionTimestamp" in metadata,
    )


def _without_type(fields: Fields) -> Fields:
    fields.pop("kind", None)
    fields.pop("apiVersion", None)
    return fields


def _text_of(metadata: Fields, name: str) -> str:
    raw = metadata.get(name)
    return _text.decode(raw) if raw is not None else ""


def _managers(raw: msgspec.Raw | None) -> tuple[FieldManager, ...]:
    if raw is None:
        return ()
    return tuple(
        FieldManager(entry.manager, entry.operation, entry.subresource, parse_timestamp(entry.time or ""))
        for entry in _managed.decode(raw)
    )


def _read_owners(metadata: Fields) -> tuple[OwnerReference, ...]:
    raw = metadata.get("ownerReferences")
    return tuple(
        OwnerReference(owner.api_version, owner.kind, owner.name, owner.uid, owner.controller is True)
        for owner in (_owners.decode(raw) or () if raw is not None else ())
    )


def _newest_time(fields: Fields, metadata: Fields, managers: tuple[FieldManager, ...]) -> int:
    """The field managers' newest time; without one (metadata of old objects), that of the conditions or creation."""
    newest = max((manager.time for manager in managers), default=0)
    if not newest:
        newest = parse_timestamp(
            _text_of(metadata, "creationTimestamp") if "creationTimestamp" in metadata else ""
        )
        newest = max(newest, _condition_time(fields.get("status")))
    return max(newest, _deletion_time(metadata))


def _condition_time(raw: msgspec.Raw | None) -> int:
    if raw is None:
        return 0
    try:
        conditions = _status.decode(raw).conditions or ()
    except msgspec.ValidationError:  # a custom resource may call anything "status"
        return 0
    return max(
        (
            max(parse_timestamp(c.last_transition_time or ""), parse_timestamp(c.last_update_time or ""))
            for c in conditions
        ),
        default=0,
    )


def _deletion_time(metadata: Fields) -> int:
    """When the deletion was asked for: ``deletionTimestamp`` lies the grace period after it."""
    if "deletionTimestamp" not in metadata:
        return 0
    grace = metadata.get("deletionGracePeriodSeconds")
    seconds = _number.decode(grace) if grace is not None else 0
    return parse_timestamp(_text_of(metadata, "deletionTimestamp")) - seconds * NANOSECONDS
