"""One rule on one object: whether it is a source, and which targets it has. Nothing is remembered here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubeweft.links.ascents import Ascent
from kubeweft.links.by_owner import owners_of
from kubeweft.links.cel import EvaluationFailed
from kubeweft.links.compiled import CompiledRule, CompiledTarget
from kubeweft.links.naming import Named, Subject
from kubeweft.links.owners import CONTROLS, Parent
from kubeweft.links.placing import TypeTable, Unknown
from kubeweft.links.pool import Selection
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation
from kubeweft.model.selectors import LabelSelector


class Selected(Selection):
    """What a selector in a source selects. ``pool`` is cluster, group and resource of what it selects from."""

    __slots__ = ("_relations", "over", "pool", "rule", "shown", "source")

    def __init__(
        self,
        rule: CompiledRule,
        subject: Subject,
        selector: LabelSelector,
        *,
        pool: tuple[str, str, str],
        namespace: str | None,
        limit: int,
    ) -> None:
        """Nothing of it is counted yet."""
        super().__init__(selector, namespace=namespace, limit=limit)
        self.rule = rule
        self.source = subject.key
        self.pool = pool
        self.shown = 0
        self.over = 0
        self._relations: dict[ObjectKey, Relation] = {}

    def relations(self) -> tuple[Relation, ...]:
        """Those to all that is chosen, but to the source itself. They are kept: most stay when one more is chosen."""
        if len(self._relations) > 2 * self.limit:
            self._relations.clear()
        known = self._relations
        found = [known.get(key) or self._relate(key) for key in self.chosen]
        if self.source[1:3] == self.pool[1:]:
            found = [relation for relation in found if relation.target != self.source]
        return tuple(found)

    def _relate(self, key: ObjectKey) -> Relation:
        relation = self._relations[key] = self.rule.relation(key)
        return relation

    def count(self) -> None:
        """Bring the statistics of the rule to what is selected now."""
        statistics = self.rule.statistics
        statistics.resolved += len(self.chosen) - self.shown
        self.shown = len(self.chosen)
        over = self.total - self.shown
        statistics.over_limit += over - self.over
        self.over = over

    def uncount(self) -> None:
        """Take all of it out of the statistics."""
        self.rule.statistics.resolved -= self.shown
        self.rule.statistics.over_limit -= self.over
        self.shown = self.over = 0


class Rising(Ascent):
    """The way from a source to its root owner; ``relation`` is the one that is counted now."""

    __slots__ = ("only", "relation", "rule")

    def __init__(self, rule: CompiledRule, target: CompiledTarget, subject: Subject) -> None:
        """Only roots of the type that the target names count, if it names one."""
        owner = target.owner
        super().__init__(subject.key, controller_only=owner is None or owner.controller_only)
        self.rule = rule
        self.only = (target.target.group, target.target.resource) if target.target.resource else None
        self.relation: Relation | None = None

    @property
    def end(self) -> ObjectKey | None:
        """The root owner, if it is of the right type."""
        if self.root is None or (self.only is not None and self.root[1:3] != self.only):
            return None
        return self.root


Fixed = list[tuple[ObjectKey, str]]  # keys of targets with the class of the link, empty for that of the rule
Seen = set[ObjectKey]  # targets of the rule that an earlier one of its targets has found
Part = Fixed | Selected | Rising


class Finding:
    """What one rule says of one source."""

    __slots__ = ("failures", "over", "parts", "rule", "selected", "unplaced")

    def __init__(self, rule: CompiledRule) -> None:
        """Nothing found yet."""
        self.rule = rule
        self.selected = False  # while its conditions have not all been true: they may fail
        self.parts: list[Part] = []
        self.over = 0
        self.unplaced = 0
        self.failures: list[str] = []


def examine(
    rule: CompiledRule,
    subject: Subject,
    *,
    namespace_labels: Mapping[str, str] | None,
    kinds: TypeTable,
    unknown: Unknown,
) -> Finding | None:
    """What the rule finds, or None if the object is no source of it."""
    finding = Finding(rule)
    try:
        if not rule.selects(subject, namespace_labels):
            return None
        finding.selected = True
        cluster = rule.cluster(subject)
    except EvaluationFailed as failure:
        finding.failures.append(str(failure))
        return finding
    seen: Seen = set()
    for target in rule.targets:
        try:
            if target.find is not None:
                names = target.find(subject) if cluster else ()
                if names:
                    _place(finding, target, subject, names=names, cluster=cluster, seen=seen)
            elif target.owner is not None:
                _find_owners(finding, target, subject, kinds=kinds, unknown=unknown, seen=seen)
            elif cluster:
                _find_selected(finding, target, subject, cluster=cluster)
        except EvaluationFailed as failure:
            finding.failures.append(f"targets[{target.name}]: {failure}")
    return finding


def _place(
    finding: Finding,
    target: CompiledTarget,
    subject: Subject,
    *,
    names: Sequence[Named],
    cluster: str,
    seen: Seen,
) -> None:
    keys: Fixed = []
    for named in names:
        try:
            key = target.places.place(named, subject, cluster)
        except EvaluationFailed as failure:  # the other names may be right
            finding.failures.append(f"targets[{target.name}]: {failure}")
            continue
        if key is None:
            finding.unplaced += 1
        elif key not in seen and key != subject.key:
            seen.add(key)
            keys.append((key, ""))
    _limit(finding, keys, target.limit)


def _find_owners(
    finding: Finding,
    target: CompiledTarget,
    subject: Subject,
    *,
    kinds: TypeTable,
    unknown: Unknown,
    seen: Seen,
) -> None:
    owner = target.owner
    if owner is None:
        return
    if owner.recursive:
        finding.parts.append(Rising(finding.rule, target, subject))
        return

    def missing(group: str, resource: str, kind: str) -> None:
        finding.unplaced += 1
        unknown(group, resource, kind)

    keys: Fixed = []
    for parent in owners_of(subject.key, subject.metadata, kinds, missing):
        found = parent.key, finding.rule.owner_class(parent.link_class)
        if _is_asked_for(parent, target) and parent.key not in seen and parent.key != subject.key:
            seen.add(parent.key)
            keys.append(found)
    _limit(finding, keys, target.limit)


def _is_asked_for(parent: Parent, target: CompiledTarget) -> bool:
    if target.owner is not None and target.owner.controller_only and parent.link_class != CONTROLS:
        return False
    asked = target.target.group, target.target.resource
    return not target.target.resource or parent.key[1:3] == asked


def _find_selected(finding: Finding, target: CompiledTarget, subject: Subject, *, cluster: str) -> None:
    if target.read is None:
        return
    for selector in target.read(subject):
        type_ = target.places.resource_type()
        if type_ is None:
            finding.unplaced += 1
            continue
        group, resource, namespaced = type_
        namespace = subject.key.namespace if target.target.in_namespace else ""
        finding.parts.append(
            Selected(
                finding.rule,
                subject,
                selector,
                pool=(cluster, group, resource),
                namespace=(namespace or None) if namespaced else "",
                limit=target.limit,
            )
        )


def _limit(finding: Finding, keys: Fixed, limit: int) -> None:
    if len(keys) > 1:
        keys.sort()
        if len(keys) > limit:
            finding.over += len(keys) - limit
            del keys[limit:]
    if keys:
        finding.parts.append(keys)
