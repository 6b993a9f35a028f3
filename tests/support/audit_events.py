"""Audit events as a kube-apiserver writes them, for tests to bend: a good one, and what differs.

``audit_event()`` is a successful update of a Deployment at level RequestResponse; keyword arguments replace its
fields, and ``MISSING`` takes one out. ``pod_created``, ``event_written`` and the like are others that tests need.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Request
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.sources.audit.parsed import Parsed
from kubeweft.sources.audit.parsing import AuditParser

Json = dict[str, Any]
MISSING: Final = object()

RECEIVED: Final = "2026-11-21T08:13:24.375112Z"
COMPLETED: Final = "2026-11-21T08:13:24.378910Z"
RECEIVED_NS: Final = 1_795_248_804_375_112_000
UID: Final = "a5abc361-2988-43c1-8326-d18a5c805e0d"


def audit_event(**changes: Any) -> Json:
    """One audit event; values that are ``MISSING`` are left out."""
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "8cb36fae-06dc-48a0-92cb-481590cb37dd",
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/default/deployments/demo",
        "verb": "update",
        "user": {"username": "system:serviceaccount:kube-system:deployment-controller", "groups": ["a"]},
        "sourceIPs": ["10.1.1.1", "127.0.0.1"],
        "userAgent": "kube-controller-manager/v1.36.3",
        "objectRef": reference("deployments", "demo", apiGroup="apps", uid=UID, resourceVersion="280"),
        "responseStatus": {"metadata": {}, "code": 200},
        "requestObject": deployment(version="280"),
        "responseObject": deployment(version="281"),
        "requestReceivedTimestamp": RECEIVED,
        "stageTimestamp": COMPLETED,
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return {name: value for name, value in (event | changes).items() if value is not MISSING}


def reference(resource: str, name: str = "", *, namespace: str = "default", **more: str) -> Json:
    """An ``objectRef``; empty fields are left out, as in Go."""
    fields = {"resource": resource, "namespace": namespace, "name": name, "apiVersion": "v1", **more}
    return {field: value for field, value in fields.items() if value}


def deployment(*, version: str = "281", name: str = "demo", uid: str = UID, **metadata: Any) -> Json:
    """A Deployment as an answer shows it."""
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": version,
            **metadata,
        },
        "spec": {"replicas": 3},
    }


def status(code: int, **more: Any) -> Json:
    """A ``Status`` as body; as ``responseStatus`` it looks nearly the same."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, **more}


def kubernetes_event(**changes: Any) -> Json:
    """A core/v1 Event about a Pod, told once."""
    event = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": "demo-1.18ea",
            "namespace": "default",
            "uid": "e20415f5-0efd-49b3-9764-ea9611b86216",
            "resourceVersion": "377",
            "creationTimestamp": "2026-11-21T08:14:09Z",
        },
        "involvedObject": {
            "kind": "Pod",
            "namespace": "default",
            "name": "demo-1",
            "uid": "93b208d-988b",
            "apiVersion": "v1",
            "fieldPath": "spec.containers{nginx}",
        },
        "reason": "Pulled",
        "message": "Container image already present",
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2026-11-21T08:14:08Z",
        "lastTimestamp": "2026-11-21T08:14:08Z",
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "node-1",
    }
    return {name: value for name, value in (event | changes).items() if value is not MISSING}


def event_written(body: Json | None = None, **changes: Any) -> Json:
    """An audit event of the creation of a Kubernetes Event."""
    fields: Json = {
        "verb": "create",
        "requestURI": "/api/v1/namespaces/default/events",
        "objectRef": reference("events", "demo-1.18ea"),
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": body or kubernetes_event(),
        "responseObject": body or kubernetes_event(),
    }
    return audit_event(**(fields | changes))


def event_list(*events: Json | bytes) -> bytes:
    """The body that an API server sends to a webhook; ``bytes`` go in as they are."""
    items = b",".join(event if isinstance(event, bytes) else orjson.dumps(event) for event in events)
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + items + b"]}"


def audit_parser(
    *,
    plan: Plan | None = None,
    kinds: Kinds | None = None,
    with_bodies: bool = False,
    learn_kinds: bool = False,
) -> AuditParser:
    """A parser with the real rules; without a plan it wants everything but reading requests."""
    rules = plan or Plan()
    return AuditParser(
        cluster="c1",
        kinds=kinds or Kinds(),
        redactor=Redactor(rules.redaction, b"k" * 32),
        wants_request=rules.wants_request,
        wants_event=rules.wants_event,
        with_bodies=with_bodies,
        learn_kinds=learn_kinds,
    )


def parse(*events: Json | bytes, with_bodies: bool = False) -> Parsed:
    """What some audit events give."""
    return audit_parser(with_bodies=with_bodies).parse(event_list(*events))


def parse_request(event: Json) -> Request:
    """The only observation of one audit event, which has to be a request."""
    (found,) = parse(event).observations
    assert isinstance(found, Request)
    return found


def parse_seen(event: Json) -> EventSeen:
    """The only observation of one audit event, which has to be a Kubernetes Event."""
    (found,) = parse(event).observations
    assert isinstance(found, EventSeen)
    return found
