"""The built-in rules: which fields of which objects are secret, whatever a policy says.

Paths hide values and keep what surrounds them, so that a reader still sees which keys a Secret has. Nothing here can
be switched off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kubeweft.model import secret_texts
from kubeweft.model.builtin_kinds import BUILTIN_KINDS
from kubeweft.model.field_paths import FieldPath
from kubeweft.model.kinds import guess_resource
from kubeweft.model.references import group_of
from kubeweft.model.secret_texts import HIDDEN

# Whole manifests, with whatever was in them: kubectl's own, and those of other tools that apply.
MANIFEST_ANNOTATIONS: Final = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "kubecfg.ksonnet.io/last-applied-configuration",
        "kapp.k14s.io/original",
        "kapp.k14s.io/original-diff",
        "banzaicloud.com/last-applied",
        "objectset.rio.cattle.io/applied",
    }
)

_TOKEN_REQUEST: Final[tuple[FieldPath, ...]] = (("status", "token"),)
_TOKEN_REVIEW: Final[tuple[FieldPath, ...]] = (("spec", "token"), ("status", "token"))
_SIGNING_REQUEST: Final[tuple[FieldPath, ...]] = (("spec", "request"),)
_SELF_REVIEW: Final[tuple[FieldPath, ...]] = (("status",),)
_ROWS: Final[tuple[FieldPath, ...]] = (("rows",),)  # cells show fields without saying which

HIDDEN_BY_KIND: Final[dict[str, tuple[FieldPath, ...]]] = {
    "TokenRequest": _TOKEN_REQUEST,
    "TokenReview": _TOKEN_REVIEW,
    "CertificateSigningRequest": _SIGNING_REQUEST,
    "SelfSubjectReview": _SELF_REVIEW,
    "SelfSubjectAccessReview": _SELF_REVIEW,
    "SelfSubjectRulesReview": _SELF_REVIEW,
    "Table": _ROWS,
}
HIDDEN_BY_RESOURCE: Final[dict[str, tuple[FieldPath, ...]]] = {
    "serviceaccounts": _TOKEN_REQUEST,
    "tokenreviews": _TOKEN_REVIEW,
    "certificatesigningrequests": _SIGNING_REQUEST,
    "selfsubjectreviews": _SELF_REVIEW,
    "selfsubjectaccessreviews": _SELF_REVIEW,
    "selfsubjectrulesreviews": _SELF_REVIEW,
}

# Who somebody is, in the bodies of requests about identity: as secret as a policy wants user names to be.
_USER: Final[tuple[FieldPath, ...]] = tuple(
    ("spec", name) for name in ("user", "username", "uid", "groups", "extra")
)
IDENTITY_BY_KIND: Final[dict[str, tuple[FieldPath, ...]]] = {
    "CertificateSigningRequest": _USER,
    "SubjectAccessReview": _USER,
    "LocalSubjectAccessReview": _USER,
    "TokenReview": (("status", "user"),),
}

TypedObject = tuple[str, str, dict[str, Any]]

HELM_OWNERS: Final = {"owner": "helm", "OWNER": "TILLER"}
BOOTSTRAP_TOKEN: Final = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")

# Other objects can hold manifests inside: custom resources, and these.
_OPEN: Final = frozenset(
    {("apps", "controllerrevisions"), ("apiextensions.k8s.io", "customresourcedefinitions")}
)
CLOSED_KINDS: Final = {
    (row.group, row.resource): row.kind
    for row in BUILTIN_KINDS
    if row.group not in ("resource.k8s.io", "kubeweft.io") and (row.group, row.resource) not in _OPEN
}
_RESOURCES: Final = {(row.group, row.kind): row.resource for row in BUILTIN_KINDS}

_NOTHING: Final[frozenset[str]] = frozenset()
_HEADER: Final = frozenset({"apiVersion", "kind"})
_IDENTITY: Final = frozenset(
    {
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
    }
)
_REFERENCES: Final = frozenset({"ownerReferences", "managedFields"})


def hide_helm_release(obj: dict[str, Any]) -> None:
    """Helm can keep its releases, values included, in ConfigMaps."""
    metadata = obj.get("metadata")
    labels = metadata.get("labels") if type(metadata) is dict else None
    if type(labels) is dict and any(labels.get(key) == owner for key, owner in HELM_OWNERS.items()):
        for name in ("data", "binaryData"):
            values = obj.get(name)
            if type(values) is dict and "release" in values:
                values["release"] = HIDDEN


def annotated(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The annotations of a built-in object and of the templates that its type can have."""
    spec = obj.get("spec")
    for holder in (obj, *_templates(obj), *(_templates(spec) if type(spec) is dict else ())):
        metadata = holder.get("metadata")
        annotations = metadata.get("annotations") if type(metadata) is dict else None
        if type(annotations) is dict:
            yield annotations


def _templates(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    template = holder.get("template")
    if type(template) is dict:
        yield template
    job = holder.get("jobTemplate")
    if type(job) is dict:
        yield job
        spec = job.get("spec")
        if type(spec) is dict:
            yield from _templates(spec)
    claims = holder.get("volumeClaimTemplates")
    if type(claims) is list:
        yield from (claim for claim in claims if type(claim) is dict)
    volumes = holder.get("volumes")
    if type(volumes) is list:
        for volume in volumes:
            ephemeral = volume.get("ephemeral") if type(volume) is dict else None
            if type(ephemeral) is dict and type(ephemeral.get("volumeClaimTemplate")) is dict:
                yield ephemeral["volumeClaimTemplate"]


def items_of(listing: dict[str, Any], *, group: str, resource: str) -> list[TypedObject]:
    """The objects of a list, each with its API group and plural name; ``group`` and ``resource`` are the list's."""
    items, kind = listing["items"], listing.get("kind")
    if type(items) is not list or type(kind) is not str or not kind.endswith("List"):
        return []
    version = listing.get("apiVersion")
    return [
        (*_type_of(item, kind.removesuffix("List"), version, (group, resource)), item)
        for item in items
        if type(item) is dict
    ]


def _type_of(item: dict[str, Any], kind: str, version: Any, found_in: tuple[str, str]) -> tuple[str, str]:
    """Items of a typed list leave out their kind; those of a bare ``List`` are anything."""
    own = item.get("kind")
    if type(own) is not str or own == kind:
        return _known(version, kind) or found_in
    return _known(item.get("apiVersion"), own) or (group_of(str(item.get("apiVersion"))), guess_resource(own))


def _known(version: Any, kind: str) -> tuple[str, str] | None:
    group = group_of(version) if type(version) is str else ""
    resource = _RESOURCES.get((group, kind))
    return (group, resource) if resource else None


def may_hold_manifests(obj: dict[str, Any], raw: bytes) -> bool:
    """Whether there can be anything for :func:`maps_in` to find; ``raw`` is JSON that holds the object."""
    metadata = obj.get("metadata")
    own = 1 if type(metadata) is dict and "annotations" in metadata else 0
    return (
        b'"Secret"' in raw
        or b'"token"' in raw
        or raw.count(b'"annotations"') > own
        or secret_texts.has_escapes(raw)
    )


def maps_in(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every map inside an object, itself included, however deeply nested."""
    pending: list[Any] = [obj]
    while pending:
        node = pending.pop()
        if type(node) is dict:
            yield node
            pending += [value for value in node.values() if type(value) is dict or type(value) is list]
        else:
            pending += [value for value in node if type(value) is dict or type(value) is list]


def texts_in(obj: dict[str, Any]) -> Iterator[tuple[Any, Any, bool]]:
    """Every text inside an object: what holds it, its key there, and whether it refers to somebody else.

    Left out is what the object is known by, and the objects of a list, which are looked at one by one.
    """
    apart = (
        {id(item) for _, _, item in items_of(obj, group="", resource="")} if "items" in obj else frozenset()
    )
    pending: list[tuple[Any, frozenset[str], bool]] = [(obj, _HEADER, False)]
    while pending:
        holder, known_by, is_reference = pending.pop()
        entries: Iterable[tuple[Any, Any]] = holder.items() if type(holder) is dict else enumerate(holder)
        for key, value in entries:
            if type(value) is str:
                if key not in known_by:
                    yield holder, key, is_reference
            elif (type(value) is dict or type(value) is list) and id(value) not in apart:
                inner = _IDENTITY if known_by is _HEADER and key == "metadata" else _NOTHING
                refers = is_reference or (known_by is _IDENTITY and key in _REFERENCES)
                pending.append((value, inner, refers))
