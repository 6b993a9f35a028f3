"""The rules in force: compiled, what they read of each type of object, and what they find in one.

Objects may name kinds that are not known yet. That is noted with the type of those objects, because they have to be
taken again when the kind becomes known. Nothing else of any object is remembered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from kubeweft.links.ascents import Step
from kubeweft.links.by_owner import next_owner, owners_of
from kubeweft.links.cel import ClusterFacts
from kubeweft.links.compiled import CompiledRule
from kubeweft.links.examining import Finding, examine
from kubeweft.links.namespaces import Namespaces
from kubeweft.links.naming import Subject
from kubeweft.links.placing import TypeTable
from kubeweft.links.reading import Type, TypeReading, Wants
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.errors import BadInput
from kubeweft.model.references import ObjectKey
from kubeweft.model.rules import LinkRule

EVERY_TYPE: Final = ("*", "*")
MOST_UNKNOWN: Final = 10_000


class RulesInForce:
    """The rules that link now; ``turn`` is how often they have changed, ``wants`` what they need besides sources."""

    def __init__(self, kinds: TypeTable) -> None:
        """None. ``kinds`` may learn later: see :meth:`kinds_grown`."""
        self.turn = 0
        self.wants = Wants()
        self._kinds = kinds
        self._rules: dict[str, CompiledRule] = {}
        self._refused: dict[str, RuleStatistics] = {}
        self._clusters: dict[str, ClusterFacts] = {}
        self._readings: dict[Type, TypeReading] = {}
        self._unknown: dict[tuple[str, str, str], set[Type]] = {}
        self._examined: Type = EVERY_TYPE

    def use(
        self, rules: Sequence[LinkRule], clusters: Mapping[str, Mapping[str, str]]
    ) -> tuple[list[CompiledRule], frozenset[Type]]:
        """From now on these. Gives what has changed, before and after, and the types whose objects must be taken again.

        A rule that does not compile links nothing and says so in its statistics.
        """
        facts = {name: ClusterFacts(name, dict(labels)) for name, labels in clusters.items()}
        relabelled, self._clusters = facts != self._clusters, facts
        before, wants = self._rules, self.wants
        self._rules = self._compile(rules, before, relabelled=relabelled)
        self.wants = Wants(tuple(self._rules.values()))
        self._readings.clear()
        self.turn += 1
        changed = [rule for name, rule in before.items() if self._rules.get(name) is not rule]
        changed += [rule for name, rule in self._rules.items() if before.get(name) is not rule]
        again = self.wants.newly(wants)
        for rule in changed:
            again |= _source_types(rule.rule)
        return changed, frozenset({EVERY_TYPE} if EVERY_TYPE in again else again)

    def kinds_grown(self) -> frozenset[Type]:
        """More kinds have become known: the types whose objects must be taken again because they waited for that."""
        again: set[Type] = set()
        for group, resource, kind in list(self._unknown):
            known = self._kinds.kind_of(group, resource) if resource else self._kinds.resource_of(group, kind)
            if known is not None:
                again |= self._unknown.pop((group, resource, kind))
        return frozenset(again)

    def statistics(self) -> dict[str, RuleStatistics]:
        """How each rule does, by its name, at this moment."""
        found = {name: replace(rule.statistics) for name, rule in self._rules.items()}
        return found | {name: replace(statistics) for name, statistics in self._refused.items()}

    def reading(self, type_: Type) -> TypeReading:
        """What has to be read of objects of this type."""
        reading = self._readings.get(type_)
        if reading is None:
            reading = self._readings[type_] = TypeReading(type_, tuple(self._rules.values()), self.wants)
        return reading

    def find(
        self,
        key: ObjectKey,
        obj: dict[str, Any],
        rules: Iterable[CompiledRule],
        *,
        namespaces: Namespaces | None = None,
    ) -> list[Finding]:
        """What these rules find in an object; ``namespaces`` where some of them look at its namespace too."""
        self._examined = key[1:3]
        facts = self._clusters.get(key.cluster) or ClusterFacts(key.cluster, {})
        around = namespaces.of(key) if namespaces is not None else None
        subject = Subject(key, obj, facts=facts, namespace_object=around)
        labels = namespaces.labels_for(key, subject.labels) if namespaces is not None else None
        findings = []
        for rule in rules:
            finding = examine(
                rule, subject, namespace_labels=labels, kinds=self._kinds, unknown=self._wait_for
            )
            if finding is not None:
                findings.append(finding)
        return findings

    def step(self, key: ObjectKey, metadata: dict[str, Any]) -> Step:
        """The next owners of an object on the way to its root."""
        self._examined = key[1:3]
        owners = owners_of(key, metadata, self._kinds, self._wait_for)
        return next_owner(owners, controller_only=True), next_owner(owners, controller_only=False)

    def _compile(
        self, rules: Sequence[LinkRule], before: Mapping[str, CompiledRule], *, relabelled: bool
    ) -> dict[str, CompiledRule]:
        """In the order in which they win. A rule that has not changed keeps its statistics."""
        compiled: dict[str, CompiledRule] = {}
        self._refused = {}
        for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.name)):
            known = before.get(rule.name)
            if known is not None and known.rule == rule and not (relabelled and known.reads_cluster):
                compiled[rule.name] = known
                continue
            try:
                compiled[rule.name] = CompiledRule(rule, self._kinds, unknown=self._wait_for)
            except BadInput as fault:
                self._refused[rule.name] = RuleStatistics(errors=1, first_error=str(fault))
        return compiled

    def _wait_for(self, group: str, resource: str, kind: str) -> None:
        waiting = self._unknown.get((group, resource, kind))
        if waiting is not None:
            waiting.add(self._examined)
        elif len(self._unknown) < MOST_UNKNOWN:  # anybody can name kinds that there are not
            self._unknown[group, resource, kind] = {self._examined}


def _source_types(rule: LinkRule) -> set[Type]:
    """The types a rule reads, as far as it names them; all if it names some by a star."""
    types = {
        (group, name) for each in rule.source.resources for group in each.groups for name in each.resources
    }
    return {EVERY_TYPE} if any("*" in type_ for type_ in types) else types
