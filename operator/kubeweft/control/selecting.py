"""From the words of a policy to its scope: which types, namespaces and sources."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubeweft.control.schema import PolicySpec, Resources
from kubeweft.control.verdicts import Problem
from kubeweft.model.plan import Scope
from kubeweft.model.selectors import EVERYTHING, ResourcePattern

_GROUP = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ALL = "*"


def compile_scope(policy: str, spec: PolicySpec, problems: list[Problem]) -> Scope:
    """The scope of one policy; names that can match nothing are added to ``problems``."""
    match, sources = spec.match, spec.sources
    return Scope(
        policy=policy,
        resources=compile_resources("spec.match.resources", match.resources, problems) or (EVERYTHING,),
        excluded=compile_resources("spec.match.excludeResources", match.exclude_resources, problems),
        namespaces=match.namespaces,
        excluded_namespaces=match.exclude_namespaces,
        objects=sources.objects.mode != "Disabled",
        audit=sources.audit.mode != "Disabled",
        events=sources.events.mode != "Disabled",
        omit_users=sources.audit.omit_users,
        omit_read_only=sources.audit.omit_read_only,
    )


def compile_resources(
    field: str, entries: Iterable[Resources], problems: list[Problem]
) -> tuple[ResourcePattern, ...]:
    """Patterns of resource types; the CRD takes any text, so that what matches nothing has to be found here."""
    patterns = []
    for number, entry in enumerate(entries):
        for group in entry.api_groups:
            if group not in ("", _ALL) and not _GROUP.fullmatch(group):
                wrong = f"{group!r} is no API group such as apps, nor '' (core) or '*'"
                problems.append(Problem("InvalidSpec", f"{field}[{number}].apiGroups", wrong))
        for resource in entry.resources:
            problems.extend(_check_resource(f"{field}[{number}].resources", resource))
        patterns.append(
            ResourcePattern(groups=frozenset(entry.api_groups), resources=frozenset(entry.resources))
        )
    return tuple(patterns)


def _check_resource(field: str, resource: str) -> Iterable[Problem]:
    if "/" in resource:
        whole = resource.partition("/")[0]
        message = f"{resource!r}: subresources are not selected by themselves yet, they belong to {whole!r}"
        yield Problem("Unsupported", field, message)
    elif resource != _ALL and not _RESOURCE.fullmatch(resource):
        message = f"{resource!r} is no plural resource name in lower case such as deployments, nor '*'"
        yield Problem("InvalidSpec", field, message)
