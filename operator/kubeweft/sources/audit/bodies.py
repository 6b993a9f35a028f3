"""Whole objects found in the audit log, for diffs where the cluster itself is not watched.

Nothing in a body is redacted yet: it stays inside ``sources`` until whoever makes changes of it has done that.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kubeweft.model.observations import Request
from kubeweft.model.references import ObjectKey
from kubeweft.sources.audit.wire import ResponseObject


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


class _Spec(msgspec.Struct, gc=False):
    finalizers: list[str] | None = None


class _Namespace(msgspec.Struct, gc=False):
    spec: _Spec | None = None


_namespace = msgspec.json.Decoder(_Namespace)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def body_seen(request: Request, read: ResponseObject, raw: msgspec.Raw) -> BodySeen:
    """The object in a trusted body that is whole; ``read`` is what has been read of it."""
    body = bytes(raw)
    return BodySeen(
        request,
        request.key,
        request.uid,
        request.version,
        request.kind,
        request.api_version,
        _is_deleted(request, read, body),
        body,
    )


def removal_seen(request: Request) -> BodySeen:
    """The deletion that a ``Status`` with the object's UID answers."""
    return BodySeen(request, request.key, request.uid, "", "", "", True, b"")


def _is_deleted(request: Request, read: ResponseObject, body: bytes) -> bool:
    """Whether the object is gone after this write.

    A delete that has to wait (for finalizers or a grace period) answers with the object, marked; and the update that
    takes the last finalizer off a marked object removes it.
    """
    metadata = read.metadata
    if metadata is None or metadata.deletion_timestamp is None:
        return request.verb == "delete"
    if metadata.finalizers:
        return False
    if (request.key.group, request.key.resource) == ("", "namespaces"):  # they have finalizers of their own
        return not _finalizers_of_namespace(body)
    return bool(metadata.deletion_grace_period_seconds == 0)


def _finalizers_of_namespace(body: bytes) -> bool:
    try:
        spec = _namespace.decode(body).spec
    except _UNREADABLE:
        return True
    return bool(spec is not None and spec.finalizers)
