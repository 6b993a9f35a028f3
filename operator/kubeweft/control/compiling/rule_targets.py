"""From the words of a LinkRule's target to how it is found, with every mistake told. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubeweft.control.compiling.verdicts import Problem
from kubeweft.control.declared.rule_schema import TargetSpec
from kubeweft.model.errors import BadInput
from kubeweft.model.field_paths import FieldPath, parse_field_path
from kubeweft.model.rules import (
    ByAnnotation,
    ByExpression,
    ByFieldPath,
    ByHelmRelease,
    ByLabel,
    ByOwner,
    BySelector,
    Finder,
    Target,
)

_GROUP = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MEMBERS = {
    "FieldPath": "fieldPath",
    "CEL": "cel",
    "Annotation": "annotation",
    "Label": "label",
    "Selector": "selector",
    "Owner": "owner",
    "HelmRelease": "helmRelease",
}
_WITHOUT_RESOURCE = ("Owner", "CEL", "HelmRelease")
_WITHOUT_MEMBER = ("Owner", "HelmRelease")  # everything in them has a default
MOST_TARGETS = 1000


def compile_targets(targets: Sequence[TargetSpec], problems: list[Problem]) -> tuple[Target, ...]:
    """The targets that can be understood; what is wrong is added to ``problems``."""
    names = [target.name for target in targets]
    problems += [
        _wrong("spec.targets", f"several are called {name!r}: each needs a name of its own")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if not targets:
        problems.append(_wrong("spec.targets", "must not be empty: a rule without targets links nothing"))
    return tuple(made for target in targets if (made := _target(target, problems)) is not None)


def check_key(field: str, key: str, problems: list[Problem]) -> None:
    """A label or annotation key that no object can have is a mistake."""
    if not _KEY.fullmatch(key):
        problems.append(
            _wrong(field, f"{key!r} is no label or annotation key such as app or example.com/app")
        )


def _target(spec: TargetSpec, problems: list[Problem]) -> Target | None:
    field = f"spec.targets[{spec.name}]"
    if not _NAME.fullmatch(spec.name):
        problems.append(_wrong(f"{field}.name", "must be lower case letters, digits and '-', such as node"))
    if not 1 <= spec.max_targets <= MOST_TARGETS:
        problems.append(_wrong(f"{field}.maxTargets", f"must be from 1 to {MOST_TARGETS}"))
    _check_members(field, spec, problems)
    _check_resource(field, spec, problems)
    finder = _finder(field, spec, problems)
    if finder is None:
        return None
    return Target(
        name=spec.name,
        finder=finder,
        group=spec.resource.group if spec.resource else "",
        resource=spec.resource.resource if spec.resource else "",
        in_namespace=spec.namespace_from == "Source",
        max_targets=spec.max_targets,
    )


def _check_members(field: str, spec: TargetSpec, problems: list[Problem]) -> None:
    given = {
        "fieldPath": spec.field_path,
        "cel": spec.cel,
        "annotation": spec.annotation,
        "label": spec.label,
        "selector": spec.selector,
        "owner": spec.owner,
        "helmRelease": spec.helm_release,
    }
    wanted = _MEMBERS[spec.type]
    if given[wanted] is None and spec.type not in _WITHOUT_MEMBER:
        problems.append(_wrong(field, f"'{wanted}' must be set when 'type' is {spec.type}"))
    for member, value in given.items():
        if value is not None and member != wanted:
            wrong = f"'{member}' must not be set when 'type' is {spec.type}: remove it, or change 'type'"
            problems.append(_wrong(field, wrong))


def _check_resource(field: str, spec: TargetSpec, problems: list[Problem]) -> None:
    resource = spec.resource
    if resource is None:
        if spec.type not in _WITHOUT_RESOURCE:
            problems.append(_wrong(field, f"'resource' must be set when 'type' is {spec.type}"))
        return
    field = f"{field}.resource"
    if spec.type == "Owner":
        problems.append(_wrong(field, "must not be set when 'type' is Owner: owner references tell the type"))
    if resource.group and not _GROUP.fullmatch(resource.group):
        wrong = f"{resource.group!r} is no API group such as apps; leave it out for the core group"
        problems.append(_wrong(f"{field}.group", wrong))
    whole, slash, _ = resource.resource.partition("/")
    if slash:
        wrong = f"{resource.resource!r} is a subresource, and links lead to whole objects: use {whole!r}"
        problems.append(Problem("Unsupported", f"{field}.resource", wrong))
    elif not _RESOURCE.fullmatch(resource.resource):
        wrong = f"{resource.resource!r} is no plural resource name in lower case such as nodes"
        problems.append(_wrong(f"{field}.resource", wrong))


def _finder(field: str, spec: TargetSpec, problems: list[Problem]) -> Finder | None:
    if spec.type in ("Owner", "HelmRelease", "CEL"):
        return _finder_of_any_type(spec)
    if spec.type == "FieldPath" and spec.field_path:
        name = _path(f"{field}.fieldPath.name", spec.field_path.name, problems)
        namespace = spec.field_path.namespace
        where = None if namespace is None else _path(f"{field}.fieldPath.namespace", namespace, problems)
        return ByFieldPath(name=name, namespace=where) if name else None
    if spec.type == "Selector" and spec.selector:
        path = _path(f"{field}.selector.path", spec.selector.path, problems)
        return BySelector(path) if path else None
    if spec.type == "Annotation" and spec.annotation:
        check_key(f"{field}.annotation.key", spec.annotation.key, problems)
        if not spec.annotation.separator:
            problems.append(_wrong(f"{field}.annotation.separator", "must not be empty"))
        return ByAnnotation(
            key=spec.annotation.key, format=spec.annotation.format, separator=spec.annotation.separator
        )
    if spec.type == "Label" and spec.label:
        check_key(f"{field}.label.key", spec.label.key, problems)
        return ByLabel(spec.label.key)
    return None


def _finder_of_any_type(spec: TargetSpec) -> Finder | None:
    """Those that may tell the type of the target themselves."""
    if spec.type == "Owner":
        return ByOwner(
            controller_only=spec.owner.controller_only if spec.owner else True,
            recursive=spec.owner.recursive if spec.owner else False,
        )
    if spec.type == "HelmRelease":
        return ByHelmRelease(spec.helm_release.storage if spec.helm_release else "Auto")
    return ByExpression(spec.cel.expression) if spec.cel else None


def _path(field: str, text: str, problems: list[Problem]) -> FieldPath | None:
    try:
        return parse_field_path(text)
    except BadInput as error:
        problems.append(Problem("InvalidExpression", field, f"{text!r}: {error}"))
        return None


def _wrong(field: str, message: str) -> Problem:
    return Problem("InvalidSpec", field, message)
