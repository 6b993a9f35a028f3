"""Whole objects found in the audit log, for diffs where the cluster itself is not watched.

Nothing in a body is redacted yet: it stays inside ``sources`` until whoever makes changes of it has done that.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kubeweft.model.observations import Request
from kubeweft.model.references import ObjectKey


class BodySeen(NamedTuple):
    """One object as it was after a successful write, in the order of the log.

    ``deleted`` says that the write removed it; where a bare ``Status`` answered the delete, ``body`` and ``version``
    are empty. ``body`` is JSON as the API server sent it: trusted as to identity, not checked below its metadata.
    """

    request: Request
    key: ObjectKey
    uid: str
    version: str
    kind: str
    api_version: str
    deleted: bool
    body: bytes


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    finalizers: list[str] | None = None


class _Spec(msgspec.Struct, gc=False):
    finalizers: list[str] | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _Namespace(msgspec.Struct, gc=False):
    spec: _Spec | None = None


_object = msgspec.json.Decoder(_Object)
_namespace = msgspec.json.Decoder(_Namespace)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def body_seen(request: Request, raw: msgspec.Raw) -> BodySeen:
    """The object in a trusted body that is whole."""
    body = bytes(raw)
    return BodySeen(
        request,
        request.key,
        request.uid,
        request.version,
        request.kind,
        request.api_version,
        _is_deleted(request, body),
        body,
    )


def removal_seen(request: Request) -> BodySeen:
    """The deletion that a ``Status`` with the object's UID answers."""
    return BodySeen(request, request.key, request.uid, "", "", "", True, b"")


def _is_deleted(request: Request, body: bytes) -> bool:
    """Whether the object is gone after this write.

    A delete that has to wait (for finalizers or a grace period) answers with the object, marked; and the update that
    takes the last finalizer off a marked object removes it.
    """
    try:
        metadata = _object.decode(body).metadata
        if metadata.deletion_timestamp is None:
            return request.verb == "delete"
        if metadata.finalizers:
            return False
        if (request.key.group, request.key.resource) == (
            "",
            "namespaces",
        ):  # they have finalizers of their own
            return not _finalizers_of_namespace(body)
        return metadata.deletion_grace_period_seconds == 0
    except _UNREADABLE:
        return False


def _finalizers_of_namespace(body: bytes) -> bool:
    spec = _namespace.decode(body).spec
    return bool(spec is not None and spec.finalizers)
