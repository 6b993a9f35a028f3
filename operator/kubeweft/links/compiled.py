"""Rules made ready to be carried out: expressions compiled, paths turned into functions, what they read noted.

Compiling raises ``BadInput``; rules come here checked (:mod:`kubeweft.links.checking`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kubeweft.links import by_annotation, by_expression, by_field_path, by_helm_release, by_label, by_selector
from kubeweft.links.cel import EvaluationFailed, Expression, compile_expression
from kubeweft.links.naming import Find, Subject
from kubeweft.links.owners import CONTROLS, OWNS
from kubeweft.links.placing import Places, TypeTable, Unknown
from kubeweft.links.statistics import RuleStatistics
from kubeweft.links.target_cluster import FindCluster, compile_cluster
from kubeweft.model.relations import Relation
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

TOP_FIELDS: Final = frozenset({"metadata"})
_OWNING: Final = frozenset({CONTROLS, OWNS})


class CompiledTarget:
    """One target of a rule. Exactly one of ``find``, ``read`` and ``owner`` says how targets are found."""

    __slots__ = ("expression", "find", "limit", "name", "owner", "places", "read", "target")

    def __init__(self, target: Target, places: Places) -> None:
        """Raises ``BadInput`` for an expression that does not compile."""
        self.name = target.name
        self.target = target
        self.limit = target.max_targets
        self.places = places
        self.expression: Expression | None = None
        self.find: Find | None = None
        self.read: Callable[[Subject], list[Any]] | None = None
        self.owner: ByOwner | None = None
        finder = target.finder
        if isinstance(finder, ByOwner):
            self.owner = finder
        elif isinstance(finder, BySelector):
            self.read = by_selector.compile_reader(finder)
        elif isinstance(finder, ByExpression):
            self.expression = compile_expression(finder.expression)
            self.find = by_expression.compile_finder(self.expression)
        else:
            self.find = _finder(finder)

    @property
    def fields(self) -> frozenset[str] | None:
        """The top-level fields of a source that this target is found by; None for all."""
        finder = self.target.finder
        if isinstance(finder, ByFieldPath):
            paths = [finder.name, finder.namespace or finder.name]
            return None if any(path[0] == "*" for path in paths) else frozenset(path[0] for path in paths)
        if isinstance(finder, BySelector):
            return None if finder.path[0] == "*" else frozenset({finder.path[0]})
        return self.expression.reads.fields if self.expression else TOP_FIELDS


class CompiledRule:
    """One rule with its statistics."""

    __slots__ = ("_takes_all", "cluster", "conditions", "fields", "namespace_aware", "reads_cluster", "reads_namespace_object", "rule", "statistics",
                 "targets")  # fmt: skip

    def __init__(self, rule: LinkRule, kinds: TypeTable, *, unknown: Unknown) -> None:
        """Raises ``BadInput`` for an expression that does not compile."""
        self.rule = rule
        self.statistics = RuleStatistics()
        aliases = dict(rule.cluster.aliases)
        self.targets = tuple(
            CompiledTarget(target, Places(target, kinds, aliases=aliases, unknown=unknown))
            for target in rule.targets
        )
        self.conditions = tuple(
            (each.name, compile_expression(each.expression, boolean=True)) for each in rule.source.conditions
        )
        where = compile_expression(rule.cluster.expression) if rule.cluster.mode == "CEL" else None
        self.cluster: FindCluster = compile_cluster(rule.cluster, where)
        expressions = [expression for _, expression in self.conditions]
        expressions += [target.expression for target in self.targets if target.expression]
        expressions += [where] if where else []
        self.reads_namespace_object = any("namespaceObject" in each.reads.names for each in expressions)
        self.reads_cluster = any("cluster" in each.reads.names for each in expressions)
        self.namespace_aware = rule.source.namespace_selector is not None or self.reads_namespace_object
        self.fields = self._fields(expressions)
        self._takes_all = rule.source == SourceSelector(resources=rule.source.resources)

    def relation(self, target: Any, *, link_class: str = "") -> Relation:
        """The relation of a source to this target."""
        rule = self.rule
        return Relation(
            target, rule.role, link_class or rule.link_class, rule.name, rule.direction, rule.same_trace
        )

    def owner_class(self, found: str) -> str:
        """A rule of class Controls or Owns takes the class of each owner reference, any other its own."""
        return found if self.rule.link_class in _OWNING else self.rule.link_class

    def selects(self, subject: Subject, namespace_labels: Mapping[str, str] | None) -> bool:
        """Whether the object is a source of this rule. Raises ``EvaluationFailed`` where a condition gives no answer.

        ``namespace_labels`` is None while the namespace is not known: then no selector of namespaces fits.
        """
        if self._takes_all:
            return True
        source = self.rule.source
        key = subject.key
        if source.clusters and key.cluster not in source.clusters:
            return False
        if source.namespaces and key.namespace not in source.namespaces:
            return False
        if source.object_selector is not None and not source.object_selector.matches(subject.labels):
            return False
        if source.namespace_selector is not None and not self._namespace_fits(namespace_labels):
            return False
        return all(self._holds(name, expression, subject) for name, expression in self.conditions)

    def _namespace_fits(self, labels: Mapping[str, str] | None) -> bool:
        selector = self.rule.source.namespace_selector
        return selector is None or (labels is not None and selector.matches(labels))

    def _holds(self, name: str, expression: Expression, subject: Subject) -> bool:
        try:
            return bool(expression.evaluate(subject.scene))
        except EvaluationFailed as failure:
            raise EvaluationFailed(f"source.matchConditions[{name}]: {failure}") from None

    def _fields(self, expressions: list[Expression]) -> frozenset[str] | None:
        """The top-level fields of a source that matter to this rule; None for all."""
        parts = [target.fields for target in self.targets] + [each.reads.fields for each in expressions]
        if self.rule.source.object_selector is not None or self.rule.cluster.mode == "Label":
            parts.append(TOP_FIELDS)
        read: set[str] = set()
        for part in parts:
            if part is None:
                return None
            read |= part
        return frozenset(read)


def _finder(finder: ByFieldPath | ByAnnotation | ByLabel | ByHelmRelease) -> Find:
    if isinstance(finder, ByFieldPath):
        return by_field_path.compile_finder(finder)
    if isinstance(finder, ByAnnotation):
        return by_annotation.compile_finder(finder)
    if isinstance(finder, ByLabel):
        return by_label.compile_finder(finder)
    return by_helm_release.compile_finder(finder)
