"""What of an object may be kept: without secrets and without the fields that policies leave out."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from kubeweft.model import changes
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor


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
    except orjson.JSONDecodeError as error:
        raise BadInput(f"an object is no valid JSON: {error.msg}") from None
    rules.redactor.redact_object(group, resource, obj, raw=body)
    if ignored:
        changes.drop_paths(obj, ignored)
    return orjson.dumps(obj)
