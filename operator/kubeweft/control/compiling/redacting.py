"""From the words of a policy to what is taken out of objects, and the strictest of several.

The rules that are always on (Secret values, tokens, last-applied) are in ``model.redaction`` and cannot be named here.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubeweft.control.compiling.paths import compile_paths
from kubeweft.control.compiling.selecting import compile_resources
from kubeweft.control.compiling.verdicts import Problem
from kubeweft.control.declared import schema
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import FieldRedaction, Redaction, ValuePattern
from kubeweft.model.selectors import EVERYTHING, ResourcePattern

_STRICTER = ("Keep", "Digest", "Omit")
_IDENTITY = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "ownerReferences",
        "managedFields",
        "*",
    }
)


def compile_redaction(redaction: schema.Redaction, problems: list[Problem]) -> Redaction:
    """What one policy redacts; what cannot be read is added to ``problems`` and left out."""
    return Redaction(
        digest_secrets=redaction.secret_data == "Digest",
        user_identity=redaction.user_identity,
        annotation_keys=redaction.annotation_keys,
        fields=tuple(f for entry in redaction.fields for f in _field(entry, problems)),
        patterns=tuple(p for entry in redaction.patterns for p in _pattern(entry, problems)),
    )


def strictest(redactions: Sequence[Redaction]) -> Redaction:
    """All redactions at once: nothing that one of them takes out is left in by another."""
    if not redactions:
        return Redaction()
    omitted = {(f.path, f.resources) for r in redactions for f in r.fields if not f.digest}
    fields = {
        f: None for r in redactions for f in r.fields if not f.digest or (f.path, f.resources) not in omitted
    }
    return Redaction(
        digest_secrets=all(r.digest_secrets for r in redactions),
        user_identity=max((r.user_identity for r in redactions), key=_STRICTER.index),
        annotation_keys=frozenset().union(*(r.annotation_keys for r in redactions)),
        fields=tuple(sorted(fields, key=lambda f: f.digest)),
        patterns=tuple(dict.fromkeys(p for r in redactions for p in r.patterns)),
    )


def _field(entry: schema.RedactedField, problems: list[Problem]) -> list[FieldRedaction]:
    field = f"spec.redaction.fields[{entry.name}]"
    resources = compile_resources(f"{field}.resources", entry.resources, problems) or (EVERYTHING,)
    made = []
    for path in compile_paths(f"{field}.path", [entry.path], problems):
        if _is_identity(path):
            message = f"{entry.path!r} is part of what an object is known by: it cannot be redacted"
            problems.append(Problem("InvalidSpec", f"{field}.path", message))
        else:
            made.append(_made(path, digest=entry.action == "Digest", resources=resources))
    return made


def _made(path: tuple[str, ...], *, digest: bool, resources: tuple[ResourcePattern, ...]) -> FieldRedaction:
    return FieldRedaction(path=path, digest=digest, resources=resources)


def _is_identity(path: tuple[str, ...]) -> bool:
    if path[0] in ("apiVersion", "kind"):
        return True
    return path[0] == "metadata" and (len(path) == 1 or path[1] in _IDENTITY)


def _pattern(entry: schema.RedactedPattern, problems: list[Problem]) -> list[ValuePattern]:
    try:
        return [ValuePattern(entry.regex)]
    except BadInput as error:
        field = f"spec.redaction.patterns[{entry.name}].regex"
        problems.append(Problem("InvalidExpression", field, f"no regular expression in RE2 syntax: {error}"))
        return []
