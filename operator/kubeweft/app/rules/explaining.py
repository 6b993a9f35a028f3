"""What a rule does, in plain words, field by field; and why it does not, where it is refused or not ready."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kubeweft.app.rules.rulebook import DeclaredRule, awake
from kubeweft.app.rules.wording import count, name_selector, name_types
from kubeweft.model.field_paths import FieldPath
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import group_resource
from kubeweft.model.rules import (
    ByAnnotation,
    ByExpression,
    ByFieldPath,
    ByHelmRelease,
    ByLabel,
    ByOwner,
    BySelector,
    LinkRule,
    SourceSelector,
    Target,
)

_KINDS: Final = Kinds()
Line = tuple[str, str]  # what it is about, and what is said about it

_ROLES: Final = {
    "Parent": "each target is a parent of the object: what happens to the object is shown under the target",
    "Child": "each target is a child of the object: what happens to the target is shown under the object",
    "Peer": "object and target stand side by side: neither is shown under the other",
}
_DIRECTIONS: Final = {
    "SourceToTarget": "the span of the object points to that of the target (OpenTelemetry span link)",
    "TargetToSource": "the span of the target points to that of the object (OpenTelemetry span link)",
    "Both": "the spans of both point to each other (OpenTelemetry span links)",
}
_FORMATS: Final = {
    "Name": "names",
    "NamespacedName": "names, or namespace/name",
    "JSON": "JSON: names or maps with name, namespace, group, resource, cluster",
}
_STORAGE: Final = {
    "Auto": "by the annotations meta.helm.sh/release-name and -namespace, else by the labels "
    "app.kubernetes.io/managed-by=Helm and app.kubernetes.io/instance",
    "Annotations": "by the annotations meta.helm.sh/release-name and -namespace",
    "ManagedByLabel": "by the labels app.kubernetes.io/managed-by=Helm and app.kubernetes.io/instance",
}


def explain(rule: DeclaredRule) -> list[Line]:
    """The rule line by line. A refused one has its problems only: half a meaning would mislead."""
    lines: list[Line] = [("state", _state(rule))]
    lines += [("problem", str(problem)) for problem in rule.verdict.problems]
    lines += [("status", message) for message in _status(rule.status)]
    compiled = awake(rule).verdict.rule
    return [*lines, *_meaning(compiled)] if compiled else lines


def _state(rule: DeclaredRule) -> str:
    if not rule.verdict.accepted:
        return f"refused: {rule.verdict.refusal}"
    return "accepted, but suspended: it links nothing" if rule.verdict.suspended else "accepted"


def _status(status: Any) -> Iterator[str]:
    """What the operator has said in the cluster, the summary first."""
    conditions = [c for c in status.get("conditions") or () if isinstance(c, dict)]
    for condition in sorted(conditions, key=lambda c: c.get("type") != "Ready"):
        if condition.get("type") == "Ready" or condition.get("status") == "False":
            told = f"{condition.get('type')} is {condition.get('status')}, {condition.get('reason')}"
            yield f"{told}: {condition.get('message')}"


def _meaning(rule: LinkRule) -> Iterator[Line]:
    yield from _source(rule.source)
    for target in rule.targets:
        yield f"target {target.name}", f"{_type(target)} {_way(target)}"
        yield (
            "",
            _namespace(target)
            + f"at most {count(target.max_targets, 'target')} of an object, the rest is counted",
        )
    yield "cluster", _cluster(rule)
    yield "link", f"{rule.link_class}; {_ROLES[rule.role]}"
    yield "direction", _DIRECTIONS[rule.direction]
    if rule.same_trace:
        yield "grouping", "SameTrace: OTLP receivers get the spans of the child in the trace of the parent"
        yield (
            "priority",
            f"{rule.priority}; of several such parents the rule with the highest gives the parent",
        )
    else:
        yield "grouping", "Link: each object keeps a trace of its own"


def _source(source: SourceSelector) -> Iterator[Line]:
    yield "reads", name_types(source.resources)
    if source.clusters:
        yield "in clusters", ", ".join(sorted(source.clusters))
    if source.namespaces:
        yield "in namespaces", ", ".join(sorted(source.namespaces))
    if source.namespace_selector:
        yield "in namespaces", f"with the labels {name_selector(source.namespace_selector)}"
    if source.object_selector:
        yield "with labels", name_selector(source.object_selector)
    for condition in source.conditions:
        yield f"if {condition.name}", f"{condition.expression} is true"


def _type(target: Target) -> str:
    if isinstance(target.finder, ByOwner):
        return "owners"
    if isinstance(target.finder, ByHelmRelease) and not target.resource:
        return "the Helm release"
    return (
        group_resource(target.group, target.resource)
        if target.resource
        else "objects of the type that is told"
    )


def _way(target: Target) -> str:
    match target.finder:
        case ByFieldPath(name=name, namespace=namespace):
            where = f", in the namespace in {_written(namespace)}" if namespace else ""
            return f"named in {_written(name)}{where}"
        case ByExpression(expression=expression):
            return f"told by the expression {expression}"
        case ByAnnotation(key=key, format=form, separator=separator):
            apart = f", separated by {separator!r}" if form != "JSON" else ""
            return f"named in the annotation {key} ({_FORMATS[form]}{apart})"
        case ByLabel(key=key):
            return f"named by the label {key}"
        case BySelector(path=path):
            return f"whose labels are selected by {_written(path)}"
        case ByOwner(controller_only=controller_only, recursive=recursive):
            who = (
                "only the one that controls the object"
                if controller_only
                else "all in metadata.ownerReferences"
            )
            return f"({who}){', up to the root owner' if recursive else ''}"
        case ByHelmRelease(storage=storage):
            return f"that has installed the object, {_STORAGE[storage]}"


def _namespace(target: Target) -> str:
    known = _KINDS.kind_of(target.group, target.resource)
    if isinstance(target.finder, ByOwner) or (known is not None and not known.namespaced):
        return ""
    if isinstance(target.finder, BySelector):
        return "in the namespace of the object; " if target.in_namespace else "in all namespaces; "
    if target.in_namespace:
        return "where no namespace is told, in that of the object; "
    return "where no namespace is told, namespaced targets are not found; "


def _cluster(rule: LinkRule) -> str:
    cluster = rule.cluster
    where = {
        "Same": "that of the object",
        "Named": f"always {cluster.name}",
        "Label": f"the one named by the label {cluster.label_key}",
        "CEL": f"the one told by the expression {cluster.expression}",
    }[cluster.mode]
    aliases = ", ".join(f"{name} means {known}" for name, known in cluster.aliases)
    return f"{where} ({aliases})" if aliases else where


def _written(path: FieldPath) -> str:
    """A path as people write it."""
    text = path[0]
    for key in path[1:]:
        if key == "*" or key.isdecimal():
            text += f"[{key}]"
        else:
            text += f".{key}" if key.replace("-", "_").isidentifier() else f"['{key}']"
    return text
