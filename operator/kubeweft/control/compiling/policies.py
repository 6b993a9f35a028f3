"""From all policies and rules to the one plan in force and a verdict on each. Pure.

Policies add up: the union of what they select, of what diffs leave out and of what is redacted (where two disagree, the
strictest wins), the largest of the sizes at which diffs are cut, the longest of the times that spans are kept (without
limit where one policy sets none). Each exporter gets what its own policy selects. Only what a cluster is cannot be two
things: see ``clusters``.

A refused policy selects nothing, exports nothing and joins nothing. Its redaction stays in force as far as it can be
read: a mistake in one field must not uncover what another policy goes on tracing. So does the retention of a refused or
suspended policy: neither a mistake nor a pause may delete what had to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from kubeweft.control.compiling.amounts import compile_retention, compile_sampling, longest
from kubeweft.control.compiling.clusters import (
    LOCAL,
    Clusters,
    Naming,
    check_clusters,
    combine_clusters,
    secrets_of,
    uses_of,
)
from kubeweft.control.compiling.exporting import compile_exporters
from kubeweft.control.compiling.paths import compile_ignored
from kubeweft.control.compiling.redacting import compile_redaction, strictest
from kubeweft.control.compiling.rules import RuleVerdict
from kubeweft.control.compiling.selecting import compile_scope, notes_on
from kubeweft.control.compiling.verdicts import Problem, Verdict
from kubeweft.control.declared.objects import NAMESPACE, DeclaredObject
from kubeweft.control.declared.schema import Cluster, PolicySpec, read_policy
from kubeweft.control.declared.secrets import Known
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import AuditInlet, Exporter, Plan, Redaction, Retention
from kubeweft.model.rules import LinkRule

NO_REDACTION = Redaction()
NOTHING_KEPT = Retention()
NO_SECRETS: Known = {}
NO_RULES: Mapping[str, RuleVerdict] = {}
ALL_INLETS: frozenset[AuditInlet] = frozenset({"Webhook", "LogFile"})
NEWEST = "9999"  # what is not created yet comes after all that is


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What the settings decide about plans: the cluster's name, and receivers that get everything.

    ``namespace`` is where the Secrets are that policies name; ``audit_inlets`` are the ways (Webhook, LogFile) by which
    audited requests can reach this process.
    """

    cluster: str = "local"
    without_policy: Literal["everything", "nothing"] = "everything"
    exporters: tuple[Exporter, ...] = ()
    namespace: str = NAMESPACE
    audit_inlets: frozenset[AuditInlet] = ALL_INLETS


@dataclass(frozen=True, slots=True)
class Compiled:
    """The plan of all policies and rules and, by name, what became of each.

    ``secrets`` are the names of those that policies in force refer to.
    """

    plan: Plan
    verdicts: Mapping[str, Verdict]
    rule_verdicts: Mapping[str, RuleVerdict] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one policy brings into the plan."""

    verdict: Verdict
    secrets: frozenset[str] = frozenset()
    waiting_exporters: tuple[str, ...] = ()
    precedence: tuple[int, str, str] = (0, "", "")
    clusters: tuple[Cluster, ...] = ()
    redaction: Redaction = NO_REDACTION
    retention: Retention = NOTHING_KEPT
    ignored: frozenset[tuple[str, ...]] = frozenset()
    max_bytes: int = 0


def compile_policies(
    policies: Iterable[DeclaredObject],
    installation: Installation,
    secrets: Known = NO_SECRETS,
    *,
    rules: Mapping[str, RuleVerdict] = NO_RULES,
) -> Compiled:
    """The plan of these policies and rules; the same ones give an equal plan, in whatever order they come.

    ``secrets`` is what is known of the Secrets that policies name. What is not known is waited for, not refused.
    """
    parts = {p.name: _compile(p, installation, secrets) for p in sorted(policies, key=lambda p: p.name)}
    in_force = sorted((p for p in parts.values() if p.verdict.scope), key=lambda part: part.precedence)
    clusters = combine_clusters(
        [Naming(part.precedence[-1], part.clusters) for part in in_force],
        secrets,
        own=installation.cluster,
        namespace=installation.namespace,
    )
    parts = {name: _with_clusters(name, part, clusters) for name, part in parts.items()}
    verdicts = {name: part.verdict for name, part in parts.items()}
    bringing = list(parts.values()) or [_without_policies(installation)]
    return Compiled(
        replace(
            _combine(bringing, installation),
            rules=_rules(rules, own=installation.cluster),
            clusters=clusters.joined,
            audited=clusters.audited,
            labels=tuple(clusters.local_labels.items()),
        ),
        verdicts,
        rule_verdicts=dict(rules),
        secrets=clusters.secrets.union(*(part.secrets for part in in_force)),
    )


def _without_policies(installation: Installation) -> _Part:
    """As if one policy with an empty spec, both audit inlets and no name existed, or one that selects nothing."""
    part = _compile(DeclaredObject(resource="", name=""), installation, NO_SECRETS)
    scope = part.verdict.scope
    everything = scope is not None and installation.without_policy == "everything"
    return replace(
        part,
        verdict=replace(
            part.verdict, scope=replace(scope, inlets=ALL_INLETS) if scope and everything else None
        ),
    )


def _combine(parts: list[_Part], installation: Installation) -> Plan:
    in_force = [part for part in parts if part.verdict.scope]
    return Plan(
        scopes=tuple(part.verdict.scope for part in in_force if part.verdict.scope),
        ignore_paths=frozenset().union(*(part.ignored for part in in_force)),
        max_patch_bytes=max((part.max_bytes for part in in_force), default=Plan.max_patch_bytes),
        redaction=strictest([part.redaction for part in parts if not part.verdict.suspended]),
        exporters=(*installation.exporters, *(e for part in in_force for e in part.verdict.exporters)),
        waiting_exporters=tuple(name for part in in_force for name in part.waiting_exporters),
        retention=longest(part.retention for part in parts),
    )


def _rules(verdicts: Mapping[str, RuleVerdict], *, own: str) -> tuple[LinkRule, ...]:
    in_force = [verdict.rule for verdict in verdicts.values() if verdict.rule is not None]
    if own != LOCAL:
        in_force = [_called(rule, own) for rule in in_force]
    return tuple(sorted(in_force, key=lambda rule: (-rule.priority, rule.name)))


def _called(rule: LinkRule, own: str) -> LinkRule:
    """A rule may call the local cluster ``local``, as a policy may; objects are known by its own name."""

    def real(name: str) -> str:
        return own if name == LOCAL else name

    return replace(
        rule,
        source=replace(rule.source, clusters=frozenset(map(real, rule.source.clusters))),
        cluster=replace(
            rule.cluster,
            name=real(rule.cluster.name),
            aliases=tuple((alias, real(known_as)) for alias, known_as in rule.cluster.aliases),
        ),
    )


def _with_clusters(name: str, part: _Part, clusters: Clusters) -> _Part:
    verdict = part.verdict
    return replace(
        part,
        verdict=replace(
            verdict,
            conflicts=clusters.conflicts.get(name, ()),
            unresolved=(*clusters.unresolved.get(name, ()), *verdict.unresolved),
        ),
    )


def _compile(policy: DeclaredObject, installation: Installation, secrets: Known) -> _Part:
    try:
        spec = read_policy(policy.spec)
    except BadInput as error:
        return _Part(verdict=Verdict(problems=(Problem("InvalidSpec", "", str(error)),)))
    part = _compile_spec(policy.name, spec, installation, secrets)
    return replace(part, precedence=(-spec.priority, policy.created or NEWEST, policy.name))


def _compile_spec(name: str, spec: PolicySpec, installation: Installation, secrets: Known) -> _Part:
    problems = list(check_clusters(spec.clusters, own=installation.cluster))
    clusters = uses_of(spec.clusters, own=installation.cluster)
    scope = compile_scope(name, spec, problems, clusters=clusters)
    ignored = compile_ignored(spec.diff.ignore_paths, problems)
    part = _Part(
        verdict=Verdict(clusters=clusters, exporter_names=tuple(e.name for e in spec.exporters)),
        redaction=compile_redaction(spec.redaction, problems),
        retention=compile_retention(spec.retention, problems),
    )
    exporters = compile_exporters(
        spec.exporters,
        scope,
        problems,
        sampling=compile_sampling(spec.sampling),
        secrets=secrets,
        namespace=installation.namespace,
    )
    if problems:
        return replace(part, verdict=replace(part.verdict, problems=tuple(problems)))
    if spec.suspend:
        return replace(part, verdict=replace(part.verdict, suspended=True))
    notes = notes_on(spec, clusters, inlets=installation.audit_inlets, own=installation.cluster)
    return replace(
        part,
        verdict=replace(
            part.verdict,
            scope=scope,
            exporters=exporters.made,
            unresolved=exporters.unresolved,
            secrets=exporters.secrets | secrets_of(spec.clusters),
            notes=tuple(notes),
        ),
        secrets=exporters.secrets,
        waiting_exporters=exporters.waiting,
        clusters=spec.clusters,
        ignored=ignored,
        max_bytes=spec.diff.max_bytes,
    )
