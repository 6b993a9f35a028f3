"""A small world as its audit log tells it: every trap that an import has to get right, in some thirty lines.

A Deployment with its ReplicaSet and Pod over two windows, a custom resource and a cluster-scoped one of kinds that
only the log itself tells, writes that change nothing, conflicts, deletions of both forms, Events, and a Secret.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import zstandard

from audit_events import Json
from kubeweft.app.importing import Importer, Report
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.sources.audit.files import Line
from kubeweft.store.sqlite import SqliteStore

RECORDED = Path(__file__).parents[1] / "data" / "rollout-audit.jsonl.zst"
CANARY = "canary-2f6b1c"
DAY = "2026-11-21"
Owner = tuple[str, str, str, bool]  # apiVersion, kind, name, controller


def body(
    kind: str,
    name: str,
    version: int,
    *,
    api: str = "v1",
    namespace: str = "shop",
    owners: Sequence[Owner] = (),
    metadata: Json | None = None,
    **fields: Any,
) -> Json:
    """An object as the API server answers with it."""
    head: Json = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    head |= {"namespace": namespace} if namespace else {}
    if owners:
        head["ownerReferences"] = [
            {"apiVersion": a, "kind": k, "name": n, "uid": f"uid-{n}", "controller": c}
            for a, k, n, c in owners
        ]
    managed = [{"manager": "me", "operation": "Update", "time": f"{DAY}T08:00:00Z", "fieldsV1": {}}]
    return {
        "kind": kind,
        "apiVersion": api,
        "metadata": head | {"managedFields": managed} | (metadata or {}),
        **fields,
    }


def line(
    verb: str, resource: str, clock: str, answer: Json | None = None, *, code: int = 200, **reference: str
) -> bytes:
    """One line: a request on ``resource.group`` that was answered with ``answer`` at a time of the one day."""
    plural, _, group = resource.partition(".")
    head = (answer or {}).get("metadata", {})
    named = {
        "name": head.get("name", ""),
        "namespace": head.get("namespace", ""),
        "apiGroup": group,
    } | reference
    parts = [named["namespace"], plural, named["name"], named.get("subresource", "")]
    return orjson.dumps(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "RequestResponse",
            "auditID": f"{verb}-{clock}-{named['name']}-{code}",
            "stage": "ResponseComplete",
            "requestURI": "/".join(["/apis", group, *filter(None, parts)]),
            "verb": verb,
            "user": {"username": "somebody"},
            "sourceIPs": ["10.0.0.1"],
            "userAgent": "kubectl",
            "objectRef": {"resource": plural, "apiVersion": "v1"} | {k: v for k, v in named.items() if v},
            "responseStatus": {"metadata": {}, "code": code},
            **({"responseObject": answer} if answer else {}),
            "requestReceivedTimestamp": f"{DAY}T{clock}Z",
            "stageTimestamp": f"{DAY}T{clock}Z",
        }
    )


def removed(resource: str, name: str, clock: str, *, namespace: str = "shop") -> bytes:
    """A delete that a bare Status answered."""
    group = resource.partition(".")[2]
    details = {"name": name, "group": group, "kind": resource.partition(".")[0], "uid": f"uid-{name}"}
    event: Json = orjson.loads(line("delete", resource, clock, name=name, namespace=namespace))
    event["responseStatus"] |= {"status": "Success", "details": details}
    return orjson.dumps(event)


def told(
    kind: str, name: str, reason: str, clock: str, *, api: str = "v1", namespace: str = "shop", count: int = 1
) -> bytes:
    """A Kubernetes Event about an object."""
    told_about = {"kind": kind, "apiVersion": api, "name": name, "uid": f"uid-{name}"}
    told_about |= {"namespace": namespace} if namespace else {}
    answer = body(
        "Event",
        f"{name}.{reason.lower()}",
        900,
        namespace=namespace or "default",
        involvedObject=told_about,
        reason=reason,
        message=f"{reason} {name}",
        count=count,
        type="Normal",
        firstTimestamp=f"{DAY}T{clock}Z",
        lastTimestamp=f"{DAY}T{clock}Z",
        source={"component": "tester"},
    )
    answer["metadata"]["uid"] = f"event-{name}-{reason}"
    return line("create", "events", clock, answer, code=201)


def deployment(version: int, replicas: int) -> Json:
    return body("Deployment", "web", version, api="apps/v1", spec={"replicas": replicas})


def replica_set(version: int, replicas: int) -> Json:
    owners = [("apps/v1", "Deployment", "web", True)]
    return body("ReplicaSet", "web-1", version, api="apps/v1", owners=owners, spec={"replicas": replicas})


def pod(version: int, phase: str, **metadata: Any) -> Json:
    owners = [
        ("apps/v1", "ReplicaSet", "web-1", True),
        ("v1", "Node", "n1", False),
        ("example.com/v1", "Zone", "z1", False),
    ]
    return body("Pod", "web-1-a", version, owners=owners, metadata=metadata, status={"phase": phase})


def widget(version: int, size: int) -> Json:
    owners = [("example.com/v1", "Zone", "z1", True)]
    return body("Widget", "w1", version, api="example.com/v1", owners=owners, spec={"size": size})


MARKED = {"deletionTimestamp": f"{DAY}T10:40:30Z", "deletionGracePeriodSeconds": 30}
GONE = {"deletionTimestamp": f"{DAY}T10:40:30Z", "deletionGracePeriodSeconds": 0}

WORLD: tuple[bytes, ...] = (
    told("Widget", "w1", "Planned", "10:00:00.100000", api="example.com/v1"),  # before its kind is known
    told("Zone", "z1", "Opened", "10:00:00.200000", api="example.com/v1", namespace=""),
    line("create", "deployments.apps", "10:00:01.000000", deployment(10, 2), code=201),
    line("create", "replicasets.apps", "10:00:01.100000", replica_set(11, 2), code=201),
    line("create", "pods", "10:00:01.200000", pod(12, "Pending"), code=201),
    line(
        "create", "pods", "10:00:01.250000", code=201, name="web-1-a", namespace="shop", subresource="binding"
    ),
    line(
        "create",
        "zones.example.com",
        "10:00:01.300000",
        body("Zone", "z1", 13, api="example.com/v1", namespace=""),
        code=201,
    ),
    line("create", "widgets.example.com", "10:00:01.400000", widget(14, 1), code=201),
    line("patch", "pods", "10:00:02.000000", pod(15, "Running"), subresource="status"),
    line("patch", "deployments.apps", "10:00:03.000000", deployment(16, 4)),
    line("update", "deployments.apps", "10:00:03.500000", code=409, name="web", namespace="shop"),
    line(
        "update", "deployments.apps", "10:00:04.000000", deployment(16, 4)
    ),  # changes nothing: the same version
    line("update", "deployments.apps", "10:31:00.000000", deployment(16, 4)),  # again, in the next window
    line("update", "replicasets.apps", "10:00:05.000000", replica_set(17, 4)),
    line("patch", "widgets.example.com", "10:00:06.000000", widget(18, 2)),
    line(
        "create", "secrets", "10:00:07.000000", body("Secret", "s1", 19, data={"password": CANARY}), code=201
    ),
    line(
        "patch",
        "secrets",
        "10:00:08.000000",
        body("Secret", "s1", 20, data={"password": CANARY, "b": CANARY}),
    ),
    told("Pod", "web-1-a", "Started", "10:00:09.000000"),
    told("Node", "n1", "Ready", "10:00:10.000000", namespace=""),
    told(
        "Pod", "web-1-a", "BackOff", "11:10:00.000000", count=7
    ),  # in a window in which nobody wrote the Pod
    line("update", "pods", "11:10:01.000000", code=409, name="web-1-a", namespace="shop"),
    line("patch", "deployments.apps", "10:35:00.000000", deployment(30, 2)),
    line("delete", "pods", "10:40:00.000000", pod(31, "Running", **MARKED)),
    line("delete", "pods", "10:40:20.000000", pod(32, "Running", **GONE)),
    removed("replicasets.apps", "web-1", "10:41:00.000000"),
    removed("deployments.apps", "web", "10:42:00.000000"),
    removed("widgets.example.com", "w1", "10:43:00.000000"),
    line("get", "pods", "10:44:00.000000", name="web-1-a", namespace="shop"),
    line("deletecollection", "pods", "10:45:00.000000", namespace="shop"),
)


def recorded(namespace: str) -> list[bytes]:
    """The lines about one namespace of the recorded rollout."""
    needle = f'"namespace":"{namespace}"'.encode()
    with zstandard.open(RECORDED, "rb") as stream:
        return [one for one in io.BufferedReader(stream).read().splitlines() if needle in one[:2000]]


def import_lines(file: Path, *parts: Iterable[bytes], cluster: str = "local") -> list[Report]:
    """Import each part for itself, as a process of its own would; gives the reports."""
    reports = []
    for part in parts:
        with SqliteStore(file) as store:
            importer = Importer(store, cluster=cluster, window_length=DEFAULT_WINDOW)
            importer.read((Line(number, content) for number, content in enumerate(part, 1)), source="log")
            reports.append(importer.finish())
    return reports


def stored(file: Path) -> dict[tuple[bytes, bytes], Span]:
    """Everything in a store, by trace and span ID."""
    with SqliteStore.open_reader(file) as reader:
        spans = reader.spans_after(0, limit=10**7)
    found = {(span.trace_id, span.span_id): span for _, span in spans}
    assert len(found) == len(spans)
    return found
