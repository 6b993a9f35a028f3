"""Objects as watches bring them, written down shortly, and a differ that compares them under real rules."""

from __future__ import annotations

from typing import Any

import orjson

from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ResourceType
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.shaping import Rules

Json = dict[str, Any]

DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", True)
SECRETS = ResourceType("", "v1", "secrets", "Secret", True)
WIDGETS = ResourceType("example.com", "v1", "widgets", "Widget", True)
UID = "a5abc361-2988-43c1-8326-d18a5c805e0d"
OTHER_UID = "ffffffff-2988-43c1-8326-d18a5c805e0d"
DAY = "2026-11-21"
RECEIVED = parse_timestamp(f"{DAY}T12:00:00Z")


def at(clock: str) -> int:
    """Nanoseconds of a time of day on the one day of these tests."""
    return parse_timestamp(f"{DAY}T{clock}Z")


def managed(manager: str, clock: str, *, subresource: str = "", operation: str = "Update") -> Json:
    """One entry of ``managedFields``."""
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "time": f"{DAY}T{clock}Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    return entry | ({"subresource": subresource} if subresource else {})


def owner(kind: str, name: str, *, api_version: str = "apps/v1", **more: Any) -> Json:
    """One entry of ``ownerReferences``."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": f"uid-{name}", **more}


def tree(
    version: int | str,
    clock: str = "10:00:00",
    *,
    resource: ResourceType = DEPLOYMENTS,
    name: str = "demo",
    uid: str = UID,
    manager: str = "kubectl",
    metadata: Json | None = None,
    **fields: Any,
) -> Json:
    """A whole object that ``manager`` wrote last at ``clock`` (empty: no managedFields); ``fields`` are its own."""
    head: Json = {"name": name, "namespace": "default", "uid": uid, "resourceVersion": str(version)}
    if clock:
        head["managedFields"] = [managed(manager, clock)]
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": head | (metadata or {}),
        **(fields or {"spec": {"replicas": 2}}),
    }


def watched(version: int | str, clock: str = "10:00:00", **more: Any) -> bytes:
    """The same as the API server sends it."""
    return orjson.dumps(tree(version, clock, **more))


def rules_of(plan: Plan | None = None) -> Rules:
    """The rules of a plan, or of none: everything is traced."""
    plan = plan or Plan()
    return Rules(plan=plan, redactor=Redactor(plan.redaction, b"k" * 32))


def differ_of(resource: ResourceType = DEPLOYMENTS, *, plan: Plan | None = None) -> Differ:
    """A differ that has seen nothing."""
    return Differ("local", resource, window_length=DEFAULT_WINDOW, rules=rules_of(plan))


def nested(raw: bytes, depth: int) -> bytes:
    """The object with one more field, in which objects lie in each other ``depth`` times: orjson would not write it."""
    return raw[:-1] + b',"deep":' + b'{"a":' * (depth - 1) + b"{}" + b"}" * depth
