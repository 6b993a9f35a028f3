"""The objects a rule is tried on, each under its key and without its secrets, as the operator would see them.

Files name kinds and rules name plural names: types that nobody has told of are guessed from the kind, as Kubernetes'
own tools do, unless a CustomResourceDefinition among the files says it better.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from kubeweft.app.rules.documents import Document
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds, guess_resource
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey, ResourceType, group_of

LOCAL: Final = "local"
_REDACTOR: Final = Redactor(Redaction(), b"")
_CRD: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")
_POLICY: Final = ("kubeweft.io", "TracingPolicy")


class World:
    """Objects by key. ``kinds`` and ``clusters`` (name to labels) grow with what is put in."""

    def __init__(self, kinds: Kinds, *, namespace: str = "default") -> None:
        """``namespace`` is that of namespaced objects which name none."""
        self.kinds = kinds
        self.objects: dict[ObjectKey, bytes] = {}
        self.clusters: dict[str, Mapping[str, str]] = {}
        self._namespace = namespace

    def learn(self, documents: Iterable[Document]) -> None:
        """Take up the types and clusters that these objects tell of: before any of them is put in."""
        for document in documents:
            group, kind = _type_of(document.body)
            if (group, kind) == _CRD:
                self._learn_definition(document.body)
            elif (group, kind) == _POLICY:
                self._learn_clusters(document.body)

    def put(self, document: Document, *, cluster: str = LOCAL) -> ObjectKey:
        """Add an object, or replace it; gives its key. Its secrets are left out."""
        self.clusters.setdefault(cluster, {})
        body = copy.deepcopy(document.body)
        type_ = self._type(document)
        key = ObjectKey(
            cluster, type_.group, type_.resource, self._namespace_of(type_, body), body["metadata"]["name"]
        )
        if type_.namespaced:
            body["metadata"]["namespace"] = key.namespace
        body["metadata"].pop("managedFields", None)
        _REDACTOR.redact_object(type_.group, type_.resource, body)
        self.objects[key] = _json(document.place, body)
        return key

    def _type(self, document: Document) -> ResourceType:
        group, kind = _type_of(document.body)
        known = self.kinds.resource_of(group, kind)
        if known is None:
            version = document.body["apiVersion"].rpartition("/")[2]
            namespaced = bool(document.body["metadata"].get("namespace"))
            known = ResourceType(group, version, guess_resource(kind), kind, namespaced)
            self.kinds.learn(known)
        return known

    def _namespace_of(self, type_: ResourceType, body: Mapping[str, Any]) -> str:
        return str(body["metadata"].get("namespace") or self._namespace) if type_.namespaced else ""

    def _learn_definition(self, body: Mapping[str, Any]) -> None:
        spec = body.get("spec") or {}
        names = spec.get("names") or {}
        group, plural, kind = spec.get("group"), names.get("plural"), names.get("kind")
        versions = [v.get("name", "") for v in spec.get("versions") or () if v.get("served", True)]
        if group and plural and kind:
            namespaced = spec.get("scope") != "Cluster"
            self.kinds.learn(ResourceType(group, next(iter(versions), ""), plural, kind, namespaced))

    def _learn_clusters(self, body: Mapping[str, Any]) -> None:
        for entry in (body.get("spec") or {}).get("clusters") or ():
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                labels = entry.get("labels")
                self.clusters[entry["name"]] = dict(labels) if isinstance(labels, dict) else {}


def _type_of(body: Mapping[str, Any]) -> tuple[str, str]:
    return group_of(body["apiVersion"]), body["kind"]


def _json(place: str, body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise UserError(f"{place}: this cannot be an object of Kubernetes: {error}") from None
