"""From all policies to the one plan in force and a verdict on each. Pure.

Policies add up: the union of what they select, of what diffs leave out and of what is redacted (where two disagree, the
strictest wins), the largest of the sizes at which diffs are cut. Each exporter gets what its own policy selects.

A refused policy selects nothing and exports nothing. Its redaction stays in force as far as it can be read: a mistake in
one field must not uncover what another policy goes on tracing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kubeweft.control.exporting import compile_exporters
from kubeweft.control.objects import DeclaredObject
from kubeweft.control.paths import compile_paths
from kubeweft.control.redacting import compile_redaction, strictest
from kubeweft.control.refusing import unsupported
from kubeweft.control.schema import PolicySpec, read_policy
from kubeweft.control.selecting import compile_scope
from kubeweft.control.verdicts import Problem, Verdict
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Exporter, Plan, Redaction

NO_REDACTION = Redaction()


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What the settings decide about plans: the cluster's name, and receivers that get everything."""

    cluster: str = "local"
    without_policy: Literal["everything", "nothing"] = "everything"
    exporters: tuple[Exporter, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """The plan of all policies and, by name, what became of each."""

    plan: Plan
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one policy brings into the plan."""

    verdict: Verdict
    redaction: Redaction = NO_REDACTION
    ignored: frozenset[tuple[str, ...]] = frozenset()
    max_bytes: int = 0


def compile_policies(policies: Iterable[DeclaredObject], installation: Installation) -> Compiled:
    """The plan of these policies; the same policies give an equal plan, in whatever order they come."""
    parts = {p.name: _compile(p, installation) for p in sorted(policies, key=lambda p: p.name)}
    if not parts:
        return Compiled(_without_policies(installation), {})
    verdicts = {name: part.verdict for name, part in parts.items()}
    return Compiled(_combine(list(parts.values()), installation), verdicts)


def _without_policies(installation: Installation) -> Plan:
    """As if one policy with an empty spec and no name existed, or none that selects anything."""
    part = _compile(DeclaredObject(resource="", name=""), installation)
    plan = _combine([part], installation)
    return plan if installation.without_policy == "everything" else replace(plan, scopes=())


def _combine(parts: list[_Part], installation: Installation) -> Plan:
    in_force = [part for part in parts if part.verdict.scope]
    return Plan(
        scopes=tuple(part.verdict.scope for part in in_force if part.verdict.scope),
        ignore_paths=frozenset().union(*(part.ignored for part in in_force)),
        max_patch_bytes=max((part.max_bytes for part in in_force), default=Plan.max_patch_bytes),
        redaction=strictest([part.redaction for part in parts if not part.verdict.suspended]),
        exporters=(*installation.exporters, *(e for part in in_force for e in part.verdict.exporters)),
    )


def _compile(policy: DeclaredObject, installation: Installation) -> _Part:
    try:
        spec = read_policy(policy.spec)
    except BadInput as error:
        return _Part(verdict=Verdict(problems=(Problem("InvalidSpec", "", str(error)),)))
    return _compile_spec(policy.name, spec, installation)


def _compile_spec(name: str, spec: PolicySpec, installation: Installation) -> _Part:
    problems = list(unsupported(spec, cluster=installation.cluster))
    scope = compile_scope(name, spec, problems)
    ignored = compile_paths("spec.diff.ignorePaths", spec.diff.ignore_paths, problems)
    redaction = compile_redaction(spec.redaction, problems)
    exporters = compile_exporters(spec.exporters, scope, problems)
    cluster = spec.clusters[0].name if spec.clusters else ""
    if problems:
        return _Part(verdict=Verdict(problems=tuple(problems), cluster=cluster), redaction=redaction)
    if spec.suspend:
        return _Part(verdict=Verdict(suspended=True, cluster=cluster))
    verdict = Verdict(cluster=cluster, scope=scope, exporters=exporters)
    return _Part(verdict=verdict, redaction=redaction, ignored=ignored, max_bytes=spec.diff.max_bytes)
