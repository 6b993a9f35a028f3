"""From a declared LinkRule to the rule that is carried out, or to all reasons why it cannot be. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubeweft.control.compiling.labels import compile_selector
from kubeweft.control.compiling.rule_targets import check_key, compile_targets
from kubeweft.control.compiling.selecting import compile_resources
from kubeweft.control.compiling.verdicts import Problem, Refusal, Verdict
from kubeweft.control.declared.objects import DeclaredObject
from kubeweft.control.declared.rule_schema import ClusterSpec, LinkRuleSpec, LinkSpec, SourceSpec, read_rule
from kubeweft.links.checking import check_rule
from kubeweft.model import rules, selectors
from kubeweft.model.errors import BadInput

PRIORITIES = range(-1000, 1001)
LONGEST_WORD = 63
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")
_CLUSTER = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_OF_MODE = {"Named": "name", "Label": "labelKey", "CEL": "expression"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What is said about one LinkRule; ``rule`` is None unless it is in force."""

    problems: tuple[Problem, ...] = ()
    suspended: bool = False
    rule: rules.LinkRule | None = None

    @property
    def accepted(self) -> bool:
        """Whether nothing in the rule has to be refused."""
        return not self.problems

    @property
    def refusal(self) -> Refusal:
        """The gravest reason, as for a policy."""
        return Verdict(problems=self.problems).refusal

    @property
    def message(self) -> str:
        """All problems at once, so that one round of editing is enough."""
        return Verdict(problems=self.problems).message


def compile_rule(declared: DeclaredObject) -> RuleVerdict:
    """What becomes of one LinkRule; whatever is wrong with it is told, and nothing is raised."""
    try:
        spec = read_rule(declared.spec)
    except BadInput as error:
        return RuleVerdict(problems=(Problem("InvalidSpec", "", str(error)),))
    problems: list[Problem] = []
    rule = _compile(declared.name, spec, problems)
    problems += [_of_expression(message) for message in check_rule(rule)]
    if problems:
        return RuleVerdict(problems=tuple(problems))
    return RuleVerdict(suspended=True) if spec.suspend else RuleVerdict(rule=rule)


def _compile(name: str, spec: LinkRuleSpec, problems: list[Problem]) -> rules.LinkRule:
    """The rule as far as it can be understood."""
    if spec.priority not in PRIORITIES:
        wrong = f"must be from {PRIORITIES[0]} to {PRIORITIES[-1]}"
        problems.append(Problem("InvalidSpec", "spec.priority", wrong))
    _check_link(spec.link, problems)
    return rules.LinkRule(
        name=name,
        source=_source(spec.source, problems),
        targets=compile_targets(spec.targets, problems),
        cluster=_cluster(spec.cluster, problems),
        priority=spec.priority,
        role=spec.link.role,
        link_class=spec.link.class_,
        direction=spec.link.direction,
        same_trace=spec.link.grouping == "SameTrace",
    )


def _source(source: SourceSpec, problems: list[Problem]) -> rules.SourceSelector:
    if not source.resources:
        wrong = "must not be empty: name the types that the rule reads"
        problems.append(Problem("InvalidSpec", "spec.source.resources", wrong))
    names = [condition.name for condition in source.match_conditions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        wrong = f"several are called {name!r}: each needs a name of its own"
        problems.append(Problem("InvalidSpec", "spec.source.matchConditions", wrong))
    return rules.SourceSelector(
        resources=compile_resources("spec.source.resources", source.resources, problems),
        clusters=source.clusters,
        namespaces=source.namespaces,
        namespace_selector=compile_selector(
            "spec.source.namespaceSelector", source.namespace_selector, problems
        ),
        object_selector=compile_selector("spec.source.objectSelector", source.object_selector, problems),
        conditions=tuple(selectors.MatchCondition(c.name, c.expression) for c in source.match_conditions),
    )


def _cluster(cluster: ClusterSpec, problems: list[Problem]) -> rules.TargetCluster:
    given = {"name": cluster.name, "labelKey": cluster.label_key, "expression": cluster.expression}
    wanted = _OF_MODE.get(cluster.mode)
    for member, value in given.items():
        if member == wanted and not value:
            wrong = f"'{member}' must be set when 'mode' is {cluster.mode}"
            problems.append(Problem("InvalidSpec", "spec.cluster", wrong))
        elif member != wanted and value:
            wrong = f"'{member}' must not be set when 'mode' is {cluster.mode}"
            problems.append(Problem("InvalidSpec", "spec.cluster", wrong))
    if cluster.label_key:
        check_key("spec.cluster.labelKey", cluster.label_key, problems)
    _check_names(cluster, problems)
    return rules.TargetCluster(
        mode=cluster.mode,
        name=cluster.name,
        label_key=cluster.label_key,
        expression=cluster.expression,
        aliases=tuple((alias.from_, alias.to) for alias in cluster.aliases),
    )


def _check_names(cluster: ClusterSpec, problems: list[Problem]) -> None:
    aliases = [alias.from_ for alias in cluster.aliases]
    for name in sorted({name for name in aliases if aliases.count(name) > 1}):
        wrong = f"{name!r} stands for several clusters: it can mean only one"
        problems.append(Problem("InvalidSpec", "spec.cluster.aliases", wrong))
    named = [("spec.cluster.name", cluster.name)] if cluster.name else []
    named += [(f"spec.cluster.aliases[{alias.from_}].to", alias.to) for alias in cluster.aliases]
    for field, name in named:
        if not _CLUSTER.fullmatch(name):
            wrong = f"{name!r} is no name of a cluster as policies give them, such as prod-eu"
            problems.append(Problem("InvalidSpec", field, wrong))


def _check_link(link: LinkSpec, problems: list[Problem]) -> None:
    if not _CLASS.fullmatch(link.class_) or len(link.class_) > LONGEST_WORD:
        wrong = f"{link.class_!r} is no word such as RunsOn: letters and digits, a capital first"
        problems.append(Problem("InvalidSpec", "spec.link.class", wrong))
    if link.grouping == "SameTrace" and link.role == "Peer":
        wrong = "must be Parent or Child when 'grouping' is SameTrace: only one of two can hold the other"
        problems.append(Problem("InvalidSpec", "spec.link.role", wrong))


def _of_expression(message: str) -> Problem:
    """What the checker says about an expression; it begins with the field, as seen from the spec."""
    field, _, wrong = message.partition(": ")
    return Problem("InvalidExpression", f"spec.{field}", wrong)
