"""Changes of one object from its versions in audit logs: what a watch would have shown, found afterwards.

Pure: all known versions of one object go in, in any order, and the changes between consecutive ones come out. A
version that becomes known later splits a step that was larger before, so the caller replaces what it had written.
A change has the time of its request, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Change, ChangeType
from kubeweft.model.references import ObjectKey, ResourceType, group_of
from kubeweft.sources.objects.comparing import NO_STEP, Step, compare_bodies
from kubeweft.sources.objects.facts import owners_in, read_object
from kubeweft.sources.objects.shaping import Rules, shape_body
from kubeweft.store.interfaces import AuditVersion


def kept_body(raw: bytes, *, resource: str, kind: str, api_version: str, rules: Rules) -> bytes | None:
    """A response body as it may be kept: without managedFields, secrets and ignored fields. None if it is no object."""
    group, version = group_of(api_version), api_version.rpartition("/")[2]
    try:
        _, body = read_object(raw, ResourceType(group, version, resource, kind, True))
        return shape_body(body, group, resource, rules)
    except BadInput:
        return None


def changes_of(versions: Iterable[AuditVersion], *, window_length: int, max_bytes: int) -> Iterator[Change]:
    """The changes of one object, oldest first, with a snapshot at the first of each window."""
    before: AuditVersion | None = None
    body = b""
    snapshot_window = -1
    for told in sorted(versions, key=_order):
        version = told
        if before is not None and not told.kind:  # a bare Status answered
            version = told._replace(kind=before.kind, api_version=before.api_version)
        after = version.body or body
        window = version.time - version.time % window_length
        if before is None:
            kind: ChangeType = "Deleted" if version.deleted else "Added" if version.created else "Sighting"
            yield _change(version, kind, after, old_version="", step=NO_STEP, body=after)
        else:
            step = compare_bodies(body, after, max_bytes=max_bytes)
            kind = "Deleted" if version.deleted else "Modified"
            kept = body if version.deleted else b""
            yield _change(version, kind, after, old_version=before.version, step=step, body=kept)
            if not version.deleted and (step.cut or window != snapshot_window):
                yield _change(version, "Sighting", after, old_version="", step=NO_STEP, body=after)
        snapshot_window = window
        before, body = version, after


def _order(version: AuditVersion) -> tuple[bool, int, str, int]:
    """By resourceVersion; a deletion that was answered without one comes last."""
    return (not version.version, len(version.version), version.version, version.time)


def _change(
    version: AuditVersion, kind: ChangeType, shown: bytes, *, old_version: str, step: Step, body: bytes
) -> Change:
    return Change(
        key=ObjectKey(version.cluster, version.group, version.resource, version.namespace, version.name),
        kind=version.kind,
        api_version=version.api_version,
        uid=version.uid,
        old_version=old_version,
        version=version.version,
        type=kind,
        time=version.time,
        time_source="request",
        patch=step.patch,
        patch_truncated=step.cut,
        words=step.words,
        body=body,
        owners=owners_in(shown)[2] if shown else (),
    )
