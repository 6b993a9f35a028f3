"""What of an object may be kept: without secrets and without the fields that policies leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from kubeweft.model import changes
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import AuditInlet, Plan, Scope
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey
from kubeweft.sources.objects.choosing import Chooser

PARTIAL = {"kind", "apiVersion", "metadata"}
OBJECT_IDENTITY = ("kind", "apiVersion")
METADATA_IDENTITY = ("name", "namespace", "uid", "ownerReferences")


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Rules:
    """The part of the plan that shapes an object before it is compared, ready to use."""

    plan: Plan
    redactor: Redactor
    chooser: Chooser | None = None  # None: no policy looks into objects

    def is_chosen(self, scope: Scope, key: ObjectKey) -> bool:
        """Whether what a scope says about the inside of objects holds for this one."""
        return self.chooser is None or self.chooser.is_chosen(scope, key)

    def wants_object(self, key: ObjectKey) -> bool:
        """Whether changes of this object become spans."""
        return (self.chooser or self.plan).wants_object(key)

    def wants_event(self, key: ObjectKey) -> bool:
        """Whether Kubernetes Events about this object become spans."""
        return (self.chooser or self.plan).wants_event(key)

    def wants_request(self, key: ObjectKey, *, verb: str, user: str, inlet: AuditInlet | None = None) -> bool:
        """Whether an audited request becomes a span."""
        return (self.chooser or self.plan).wants_request(key, verb=verb, user=user, inlet=inlet)


def shape_body(body: bytes, group: str, resource: str, rules: Rules) -> bytes:
    """The body under the rules: the same bytes where nothing has to go. Raises ``BadInput`` if it is no object."""
    if rules.plan.wants_metadata_only(group, resource):
        body = metadata_alone(body)
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


def metadata_alone(body: bytes) -> bytes:
    """What a metadata-only watch would have brought: for versions from before it was one."""
    fields = _fields.decode(body)
    if fields.keys() <= PARTIAL:
        return body
    return _encode({name: fields[name] for name in fields if name in PARTIAL})


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
