"""A difference as JSON, as an RFC 6902 patch and as a unified diff of YAML: shapes that programs take."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from kubeweft.display.history.differences import Difference, FieldHistory, Moment, Writing
from kubeweft.display.history.manifest import manifest_yaml
from kubeweft.display.tree.trees import number_of, text_of
from kubeweft.model import changes
from kubeweft.model import vocabulary as v
from kubeweft.model.changes import Operation
from kubeweft.model.timestamps import format_timestamp

Json = dict[str, Any]
CONTEXT_LINES = 3


def as_json(difference: Difference) -> Json:
    """Everything that is known, as plain values; a shape that only ever grows."""
    key = difference.key
    return {
        "object": {
            "cluster": key.cluster,
            "group": key.group,
            "resource": key.resource,
            "kind": difference.kind,
            "namespace": key.namespace,
            "name": key.name,
        },
        "from": _moment(difference.old),
        "to": _moment(difference.new),
        "same": difference.is_same,
        "lives": [writing_as_json(writing) for writing in difference.lives],
        "fields": [_history(history) for history in difference.fields],
        "changed_back": list(difference.changed_back),
        "changes": len(difference.writings),
        "unread": difference.unread,
        "patch": as_patch(difference),
    }


def as_patch(difference: Difference) -> list[Operation]:
    """The RFC 6902 operations that make the later object of the earlier one; one that is not there counts as ``{}``."""
    return changes.diff(difference.old.manifest or {}, difference.new.manifest or {})


def as_unified(difference: Difference) -> Iterator[str]:
    """The lines of a unified diff of both manifests as YAML, as ``diff -u`` writes it; none where they are the same.

    ``patch`` makes of the manifest of the first moment that of the second, so the version is in it.
    """
    if difference.is_same:
        return
    ends = [_yaml_lines(moment) for moment in (difference.old, difference.new)]
    names = [
        f"{difference.key}\t{format_timestamp(moment.time)}" if moment.manifest is not None else "/dev/null"
        for moment in (difference.old, difference.new)
    ]
    yield from difflib.unified_diff(
        ends[0], ends[1], fromfile=names[0], tofile=names[1], n=CONTEXT_LINES, lineterm=""
    )


def writing_as_json(writing: Writing) -> Json:
    """Who changed something, and the spans that say so."""
    change, request = writing.change, writing.request
    return {
        "time": format_timestamp(writing.time),
        "type": text_of(change, v.CHANGE_TYPE),
        "version": text_of(change, v.RESOURCE_VERSION),
        "verb": text_of(request, v.VERB) if request else "",
        "subresource": text_of(request, v.SUBRESOURCE) if request else "",
        "code": number_of(request, v.CODE) if request else 0,
        "user": text_of(request, v.USER) if request else "",
        "impersonated_user": text_of(request, v.IMPERSONATED_USER) if request else "",
        "user_agent": text_of(request, v.USER_AGENT) if request else "",
        "audit_id": text_of(request, v.AUDIT_ID) if request else "",
        "field_manager": text_of(change, v.FIELD_MANAGER),
        "trace_id": change.trace_id.hex(),
        "change_span_id": change.span_id.hex(),
        "request_span_id": request.span_id.hex() if request else "",
    }


def _history(history: FieldHistory) -> Json:
    field = history.field
    shape: Json = {"path": field.label, "change": field.kind}
    if field.kind != "added":
        shape["old"] = field.old
    if field.kind != "removed":
        shape["new"] = field.new
    return {**shape, "words": field.line(), "by": [writing_as_json(writing) for writing in history.by]}


def _moment(moment: Moment) -> Json:
    shape: Json = {
        "time": format_timestamp(moment.time),
        "presence": moment.presence,
        "version": moment.version,
        "uid": moment.uid,
    }
    for what, time in (("deleted", moment.deleted), ("created", moment.created)):
        if time:
            shape[what] = format_timestamp(time)
    return shape


def _yaml_lines(moment: Moment) -> list[str]:
    if moment.manifest is None:
        return []
    metadata = {
        **moment.manifest["metadata"],
        **({"resourceVersion": moment.version} if moment.version else {}),
    }
    return manifest_yaml({**moment.manifest, "metadata": metadata}).splitlines()
