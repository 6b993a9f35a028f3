"""What of an object may be kept: without secrets and without the fields that policies leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from kubeweft.model import changes
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor

OBJECT_IDENTITY = ("kind", "apiVersion")
METADATA_IDENTITY = ("name", "namespace", "uid", "ownerReferences")


@dataclass(frozen=True, slots=True)
class Rules:
    """The part of the plan that shapes an object before it is compared, ready to use."""

    plan: Plan
    redactor: Redactor


def shape_body(body: bytes, group: str, resource: str, rules: Rules) -> bytes:
    """The body under the rules: the same bytes where nothing has to go. Raises ``BadInput`` if it is no object."""
    ignored = rules.plan.ignore_paths
    if not ignored and rules.redactor.leaves_alone(group, resource, body):
        return body
    try:
        obj = orjson.loads(body)
        rules.redactor.redact_object(group, resource, obj, raw=body)
        if ignored:
            _drop_ignored(obj, ignored)
        return orjson.dumps(obj)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"an object is no valid JSON: {error.msg}") from None
    except (TypeError, RecursionError):  # which any user who may write a custom resource can bring about
        raise BadInput("an object is nested too deeply to be looked into") from None


def _drop_ignored(obj: dict[str, Any], ignored: frozenset[tuple[str, ...]]) -> None:
    """Leave out what policies ignore, but never what an object is known and linked by."""
    head = [(name, obj[name]) for name in OBJECT_IDENTITY if name in obj]
    metadata = obj.get("metadata") or {}
    known_by = [(name, metadata[name]) for name in METADATA_IDENTITY if name in metadata]
    changes.drop_paths(obj, ignored)
    for name, value in head:
        obj.setdefault(name, value)
    for name, value in known_by:
        obj.setdefault("metadata", {}).setdefault(name, value)
