"""Short ways to write down what happened in a test, woven into spans by the real weaver.

``key("deployments", "demo")`` names an object, ``request``/``change``/``event``/``gap`` say what happened to it at a
clock time of one fixed day, and ``weave`` makes the spans.
"""

from __future__ import annotations

import orjson

from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import (
    Change,
    ChangeType,
    EventSeen,
    FieldManager,
    Gap,
    Observation,
    Related,
    Request,
    TraceContext,
)
from kubeweft.model.references import ObjectKey, OwnerReference, ResourceType
from kubeweft.model.relations import Relation, Role
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import format_timestamp, parse_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.weaving.weaver import Weaver

DAY = "2026-11-21"
SECOND = 1_000_000_000
TYPES = {
    "deployments": ResourceType("apps", "v1", "deployments", "Deployment", True),
    "replicasets": ResourceType("apps", "v1", "replicasets", "ReplicaSet", True),
    "statefulsets": ResourceType("apps", "v1", "statefulsets", "StatefulSet", True),
    "pods": ResourceType("", "v1", "pods", "Pod", True),
    "configmaps": ResourceType("", "v1", "configmaps", "ConfigMap", True),
    "nodes": ResourceType("", "v1", "nodes", "Node", False),
    "namespaces": ResourceType("", "v1", "namespaces", "Namespace", False),
    "services": ResourceType("", "v1", "services", "Service", True),
    "widgets": ResourceType("example.com", "v1", "widgets", "Widget", True),
}


def at(clock: str, *, day: str = DAY) -> int:
    """Nanoseconds of ``10:00:05.123`` on the fixed day."""
    time = parse_timestamp(f"{day}T{clock}Z")
    assert time, f"{clock} is no clock time"
    return time


def key(resource: str, name: str, *, namespace: str = "default", cluster: str = "demo") -> ObjectKey:
    """The key of an object of a known type; cluster-scoped ones lose their namespace."""
    known = TYPES[resource]
    return ObjectKey(cluster, known.group, resource, namespace if known.namespaced else "", name)


def uid(number: int) -> str:
    """A UID that looks like one."""
    return f"00000000-0000-4000-8000-{number:012d}"


def owner(target: ObjectKey, target_uid: str, *, controller: bool = True) -> OwnerReference:
    """A reference to an owner."""
    known = TYPES[target.resource]
    return OwnerReference(known.api_version, known.kind, target.name, target_uid, controller)


def request(
    target: ObjectKey,
    verb: str,
    clock: str,
    *,
    took: float = 0.012,
    code: int = 200,
    uid: str = "",
    version: str = "",
    base: str = "",
    subresource: str = "",
    user: str = "kubernetes-admin",
    agent: str = "kubectl/v1.36.3 (linux/amd64) kubernetes/abc",
    impersonated: str = "",
    reason: str = "",
    message: str = "",
    audit_id: str = "",
    kind: str = "",
    dry_run: bool = False,
) -> Request:
    """An audited request that took ``took`` seconds."""
    received = at(clock)
    completed = received + round(took * SECOND)
    path = f"/api/{target.resource}/{target.name}/{subresource}".rstrip("/")
    return Request(
        key=target,
        audit_id=audit_id or f"audit-{verb}-{clock}",
        level="RequestResponse",
        stage="ResponseComplete",
        verb=verb,
        subresource=subresource,
        uri_path=path,
        uri_query="",
        uri=path,
        user=user,
        impersonated_user=impersonated,
        user_agent=agent,
        client_address="127.0.0.1",
        code=code,
        reason=reason,
        message=message,
        received=received,
        completed=completed,
        received_text=format_timestamp(received),
        completed_text=format_timestamp(completed),
        kind=kind,
        uid=uid,
        version=version,
        base_version=base,
        dry_run=dry_run,
    )


def change(
    target: ObjectKey,
    type: ChangeType,  # noqa: A002  as the observation calls it
    clock: str,
    *,
    uid: str,
    version: str,
    old: str = "",
    words: tuple[str, ...] = (),
    patch: list[dict[str, object]] | None = None,
    truncated: bool = False,
    body: dict[str, object] | None = None,
    manager: str = "",
    subresource: str = "",
    receipt: bool = False,
    owners: tuple[OwnerReference, ...] = (),
    contexts: tuple[TraceContext, ...] = (),
) -> Change:
    """A step between two versions, or a sighting."""
    managers = (FieldManager(manager, "Update", subresource, at(clock)),) if manager else ()
    return Change(
        key=target,
        kind=TYPES[target.resource].kind,
        api_version=TYPES[target.resource].api_version,
        uid=uid,
        old_version=old,
        version=version,
        type=type,
        time=at(clock),
        time_source="receipt" if receipt else "object",
        patch=orjson.dumps(patch).decode() if patch else "",
        patch_truncated=truncated,
        words=words,
        body=orjson.dumps(body) if body is not None else b"",
        managers=managers,
        owners=owners,
        contexts=contexts,
    )


def event(
    target: ObjectKey,
    reason: str,
    clock: str,
    *,
    message: str = "",
    uid: str = "",
    event_uid: str = "",
    count: int = 1,
    first: str = "",
    type: str = "Normal",  # noqa: A002  as the observation calls it
    reporter: str = "kubelet",
    skew: int = 0,
) -> EventSeen:
    """One state of a Kubernetes Event."""
    return EventSeen(
        key=target,
        kind=TYPES[target.resource].kind,
        api_version=TYPES[target.resource].api_version,
        uid=uid,
        field_path="",
        event_uid=event_uid or f"event-{target.name}-{reason}",
        event_name=f"{target.name}.{reason.lower()}",
        type=type,
        reason=reason,
        action="",
        message=message,
        reporter=reporter,
        count=count,
        series=count > 1,
        first=at(first or clock),
        last=at(clock),
        skew_seconds=skew,
    )


def gap(target: ObjectKey, reason: str, start: str, end: str, *, message: str = "", count: int = 0) -> Gap:
    """Something missed."""
    return Gap(
        key=target, observer="one", reason=reason, message=message, start=at(start), end=at(end), count=count
    )


def to(target: ObjectKey, role: Role, link_class: str, rule: str = "") -> Relation:
    """What ``target`` is to the object that has the relation, made by a rule."""
    return Relation(target, role, link_class, rule or f"{link_class.lower()}-rule")


def related(source: ObjectKey, *relations: Relation, clock: str = "10:00:00") -> Related:
    """All that rules say about an object from a time on."""
    return Related(source, relations, at(clock))


def weave(*observations: Observation, window_length: int = DEFAULT_WINDOW) -> list[Span]:
    """The spans that these observations make."""
    return Weaver(window_length=window_length, kinds=Kinds()).weave(observations)
