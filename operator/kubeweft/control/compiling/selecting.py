"""From the words of a policy to its scope: which clusters, types, namespaces, objects and sources."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from kubeweft.control.compiling.labels import compile_selector
from kubeweft.control.compiling.verdicts import ClusterUse, Problem
from kubeweft.control.declared.schema import Match, PolicySpec, Resources
from kubeweft.links.cel import compile_expression
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import AuditInlet, Scope
from kubeweft.model.selectors import EVERYTHING, MatchCondition, ResourcePattern

_GROUP = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ALL = "*"
_INLETS: dict[str, frozenset[AuditInlet]] = {
    "Disabled": frozenset(),
    "Webhook": frozenset({"Webhook"}),
    "LogFile": frozenset({"LogFile"}),
}


def compile_scope(
    policy: str, spec: PolicySpec, problems: list[Problem], *, clusters: Iterable[ClusterUse]
) -> Scope:
    """The scope of one policy; what can match nothing, or cannot be decided, is added to ``problems``."""
    match, sources = spec.match, spec.sources
    problems.extend(_check_sources(spec))
    return Scope(
        policy=policy,
        clusters=frozenset(use.known_as for use in clusters),
        resources=compile_resources("spec.match.resources", match.resources, problems) or (EVERYTHING,),
        excluded=compile_resources("spec.match.excludeResources", match.exclude_resources, problems),
        namespaces=match.namespaces,
        excluded_namespaces=match.exclude_namespaces,
        namespace_selector=compile_selector(
            "spec.match.namespaceSelector", match.namespace_selector, problems
        ),
        object_selector=compile_selector("spec.match.objectSelector", match.object_selector, problems),
        conditions=_compile_conditions(match, problems),
        objects=sources.objects.mode != "Disabled",
        metadata_only=sources.objects.mode == "Metadata",
        audit=sources.audit.mode != "Disabled",
        inlets=_INLETS[sources.audit.mode],
        events=sources.events.mode != "Disabled",
        omit_users=sources.audit.omit_users,
        omit_read_only=sources.audit.omit_read_only,
    )


def notes_on(
    spec: PolicySpec, clusters: Iterable[ClusterUse], *, inlets: frozenset[str], own: str
) -> Iterator[str]:
    """What the author of an accepted policy may not expect; ``inlets`` are the audit inlets of this process."""
    mode, others = spec.sources.audit.mode, [use.name for use in clusters if use.known_as != own]
    if spec.match.match_conditions and spec.sources.objects.mode == "Metadata":
        yield "expressions see the metadata of objects only, because of sources.objects.mode Metadata"
    if mode != "Disabled" and mode not in inlets:
        flag = "--audit-listen" if mode == "Webhook" else "--audit-log"
        yield f"no audited request will come, because this process has no audit inlet {mode} (see {flag})"
    elif mode == "LogFile" and others:
        yield f"the audit log file is that of the local cluster: no request will come from {', '.join(others)}"
    sampled = spec.sampling.percent != 100 or spec.sampling.max_spans_per_second is not None
    if sampled and not spec.exporters:
        yield "sampling concerns exporters, and there are none: the embedded store keeps all that is selected"


def compile_resources(
    field: str, entries: Iterable[Resources], problems: list[Problem]
) -> tuple[ResourcePattern, ...]:
    """Patterns of resource types; the CRD of an older version takes any text, so what matches nothing is found here."""
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


def _check_sources(spec: PolicySpec) -> Iterator[Problem]:
    sources, match = spec.sources, spec.match
    if sources.objects.mode != "Disabled":
        return
    if sources.audit.mode == sources.events.mode == "Disabled":
        yield Problem("InvalidSpec", "spec.sources", "at least one source must be enabled")
    for field, given in (
        ("objectSelector", match.object_selector),
        ("matchConditions", match.match_conditions),
    ):
        if given:
            message = "it looks at objects, so sources.objects.mode must be Full or Metadata"
            yield Problem("InvalidSpec", f"spec.match.{field}", message)


def _compile_conditions(match: Match, problems: list[Problem]) -> tuple[MatchCondition, ...]:
    made = []
    for condition in match.match_conditions:
        wrong = _problem_with(condition.expression)
        if wrong:
            field = f"spec.match.matchConditions[{condition.name}].expression"
            problems.append(Problem("InvalidExpression", field, wrong))
        made.append(MatchCondition(condition.name, condition.expression))
    return tuple(made)


@functools.lru_cache(maxsize=1024)  # all policies are compiled anew whenever one of them changes
def _problem_with(expression: str) -> str:
    try:
        compile_expression(expression, boolean=True)
    except BadInput as error:
        return str(error)
    return ""


def _check_resource(field: str, resource: str) -> Iterable[Problem]:
    if "/" in resource:
        whole = resource.partition("/")[0]
        message = f"{resource!r}: subresources belong to the resource they are of: write {whole!r}"
        yield Problem("InvalidSpec", field, message)
    elif resource != _ALL and not _RESOURCE.fullmatch(resource):
        message = f"{resource!r} is no plural resource name in lower case such as deployments, nor '*'"
        yield Problem("InvalidSpec", field, message)
