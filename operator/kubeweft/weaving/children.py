"""One observation becomes one span, the child of its object's root in the window of its start.

Attributes are written in one fixed order and only from what the observation holds, so that whoever observes the same
thing writes the same bytes. Nothing here may depend on what was seen before.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Change, EventSeen, FieldManager, Gap, Request
from kubeweft.model.spans import Attributes, Span, SpanLink
from kubeweft.model.timestamps import format_timestamp

CHANGE_NAMES = {"Added": "created", "Modified": "changed", "Deleted": "deleted", "Sighting": "seen"}
LONGEST_AUDIT_ID = 64  # kube-apiserver shows no more of it in its own logs; the whole of it is in the span ID


def request_span(request: Request, trace: bytes, root: bytes) -> Span:
    """The span of an audited request; failed ones carry the error."""
    attributes: Attributes = {
        v.AUDIT_ID: request.audit_id[:LONGEST_AUDIT_ID],
        v.AUDIT_LEVEL: request.level,
        v.VERB: request.verb,
        v.CODE: request.code,
        v.USER: request.user,
        v.USER_AGENT: request.user_agent,
        v.CLIENT_ADDRESS: request.client_address,
        v.URL_PATH: request.uri_path,
    }
    _add(attributes, v.URL_QUERY, request.uri_query)
    _add(attributes, v.SUBRESOURCE, request.subresource)
    _add(attributes, v.IMPERSONATED_USER, request.impersonated_user)
    _add(attributes, v.UID, request.uid)
    _add(attributes, v.KIND, request.kind)
    _add(attributes, v.API_VERSION, request.api_version)
    _add(attributes, v.RESOURCE_VERSION, request.version)
    _add(attributes, v.REQUEST_BASE_VERSION, request.base_version)
    _add(attributes, v.FAILURE_REASON, request.reason)
    _add(attributes, v.FAILURE_MESSAGE, request.message)
    if request.stage != "ResponseComplete":
        attributes[v.AUDIT_STAGE] = request.stage
    if request.dry_run:
        attributes[v.DRY_RUN] = True
    if request.body_truncated:
        attributes[v.BODY_TRUNCATED] = True
    return Span(
        trace,
        request_id(request),
        root,
        "request",
        request.key,
        f"{request.verb} {request.subresource}" if request.subresource else request.verb,
        request.received,
        max(request.received, request.completed),
        attributes,
        (),
        _failure(request),
    )


def request_id(request: Request) -> bytes:
    """The span ID of a request, from all that tells two requests with one (forged) audit ID apart."""
    return identity.request_span_id(
        cluster=request.key.cluster,
        audit_id=request.audit_id,
        stage=request.stage,
        received=request.received_text,
        completed=request.completed_text,
        verb=request.verb,
        uri=request.uri,
        user=request.user,
    )


def change_span(change: Change, trace: bytes, root: bytes) -> Span:
    """The span of one step between two versions, or of a snapshot."""
    attributes: Attributes = {
        v.CHANGE_TYPE: change.type,
        v.UID: change.uid,
        v.RESOURCE_VERSION: change.version,
    }
    if change.old_version:
        attributes[v.OLD_VERSION] = change.old_version
    _add(attributes, v.KIND, change.kind)  # a deletion of which nothing else is known tells neither
    _add(attributes, v.API_VERSION, change.api_version)
    if change.generation:
        attributes[v.GENERATION] = change.generation
    if change.words:
        attributes[v.WORDS] = "\n".join(change.words)
    if change.patch:
        attributes[v.PATCH] = change.patch
    if change.patch_truncated:
        attributes[v.PATCH_TRUNCATED] = True
    if change.managers:
        _add_managers(attributes, change.managers)
    attributes[v.TIME_SOURCE] = change.time_source
    return Span(
        trace,
        change_id(change),
        root,
        "change",
        change.key,
        CHANGE_NAMES[change.type],
        change.time,
        change.time,
        attributes,
        tuple([SpanLink(c.trace_id, c.span_id, {v.LINK_ANNOTATION: c.annotation}) for c in change.contexts]),
        "",
        change.body,
    )


def _add_managers(attributes: Attributes, managers: Sequence[FieldManager]) -> None:
    """One, nearly always; several wrote within the second that they tell."""
    attributes[v.FIELD_MANAGER] = _joined([manager.manager for manager in managers])
    attributes[v.FIELD_MANAGER_OPERATION] = _joined([manager.operation for manager in managers])
    _add(attributes, v.FIELD_MANAGER_SUBRESOURCE, _joined([manager.subresource for manager in managers]))


def change_id(change: Change) -> bytes:
    """The span ID of a change or sighting."""
    if change.type == "Sighting":
        return identity.sighting_span_id(cluster=change.key.cluster, uid=change.uid, version=change.version)
    return identity.change_span_id(
        cluster=change.key.cluster,
        uid=change.uid,
        old_version=change.old_version,
        new_version=change.version,
    )


def event_span(event: EventSeen, trace: bytes, root: bytes) -> Span:
    """The span of one state of a Kubernetes Event; a Warning is no failure of a span, only of the thing told."""
    attributes: Attributes = {
        v.EVENT_REASON: event.reason,
        v.EVENT_TYPE: event.type,
        v.EVENT_MESSAGE: event.message,
        v.EVENT_COUNT: event.count,
        v.EVENT_REPORTER: event.reporter,
        v.EVENT_UID: event.event_uid,
        v.EVENT_NAME: event.event_name,
        v.EVENT_FIRST: format_timestamp(event.first),
    }
    _add(attributes, v.EVENT_ACTION, event.action)
    _add(attributes, v.EVENT_FIELD_PATH, event.field_path)
    _add(attributes, v.UID, event.uid)
    _add(attributes, v.KIND, event.kind)
    _add(attributes, v.API_VERSION, event.api_version)
    if event.series:
        attributes[v.EVENT_SERIES] = True
    if event.skew_seconds:
        attributes[v.CLOCK_SKEW_SECONDS] = event.skew_seconds
    return Span(
        trace,
        identity.event_span_id(cluster=event.key.cluster, uid=event.event_uid, count=event.count),
        root,
        "event",
        event.key,
        event.reason or "event",
        event.last,
        event.last,
        attributes,
    )


def gap_span(gap: Gap, trace: bytes, root: bytes) -> Span:
    """The span of something known to be missed: as long as what is missing."""
    attributes: Attributes = {
        v.GAP_REASON: gap.reason,
        v.GAP_MESSAGE: gap.message,
        v.GAP_OBSERVER: gap.observer,
    }
    if gap.count:
        attributes[v.GAP_COUNT] = gap.count
    what = "\0".join((*gap.key, gap.reason))
    span_id = identity.gap_span_id(
        cluster=gap.key.cluster, observer=gap.observer, what=what, start=gap.start, end=gap.end
    )
    return Span(trace, span_id, root, "gap", gap.key, "gap", gap.start, gap.end, attributes, (), gap.message)


def _failure(request: Request) -> str:
    if request.code < 400:
        return "" if request.stage != "Panic" else "the API server panicked"
    return f"{request.code} {request.reason}".rstrip()


def _add(attributes: Attributes, name: str, value: str) -> None:
    if value:
        attributes[name] = value


def _joined(values: list[str]) -> str:
    return values[0] if len(values) == 1 else ", ".join(dict.fromkeys(filter(None, values)))
