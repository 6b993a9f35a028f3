"""What of each resource type has to be read for a set of rules: asked for every change of every object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kubeweft.links.compiled import CompiledRule
from kubeweft.model.rules import ByExpression, ByHelmRelease, ByOwner, BySelector

NAMESPACES: Final = ("", "namespaces")
_METADATA: Final = frozenset({"metadata"})
_MOST_COMBINATIONS: Final = 256  # of fields that change together: users make the fields of custom resources
Type = tuple[str, str]


class TypeReading:
    """What objects of one type matter for. ``fields``: the top-level fields that can change anything, None for all."""

    __slots__ = ("_touched", "fields", "is_namespaces", "keeps_bodies", "pooled", "reads", "rules", "steps")

    def __init__(self, type_: Type, rules: Sequence[CompiledRule], wants: Wants) -> None:
        """``rules`` are in the order in which they win."""
        self.rules = tuple(rule for rule in rules if rule.rule.source.selects_type(*type_))
        self.pooled = type_ in wants.pooled
        self.steps = wants.roots
        self.is_namespaces = type_ == NAMESPACES and wants.namespaces
        self.keeps_bodies = any(rule.namespace_aware for rule in self.rules)
        self.reads = bool(self.rules) or self.pooled or self.is_namespaces or wants.knows(type_)
        self.fields = self._fields(wants)
        self._touched: dict[frozenset[str], Mapping[str, CompiledRule]] = {}

    def rules_touched(self, fields: frozenset[str]) -> Mapping[str, CompiledRule]:
        """The rules, by name, to which a change of these top-level fields alone can matter."""
        touched = self._touched.get(fields)
        if touched is None:
            if len(self._touched) >= _MOST_COMBINATIONS:
                self._touched.clear()
            touched = self._touched[fields] = {
                rule.rule.name: rule
                for rule in self.rules
                if rule.fields is None or not fields.isdisjoint(rule.fields)
            }
        return touched

    @property
    def opens(self) -> bool:
        """Whether the body matters at all, not only that the object is there."""
        return bool(self.rules) or self.pooled or self.steps or self.is_namespaces

    def _fields(self, wants: Wants) -> frozenset[str] | None:
        fields = _METADATA if self.pooled or self.steps or self.is_namespaces else frozenset[str]()
        if self.is_namespaces and wants.namespace_objects:
            return None
        for rule in self.rules:
            if rule.fields is None:
                return None
            fields |= rule.fields
        return fields


class Wants:
    """What a set of rules needs besides its sources."""

    __slots__ = ("everything", "known", "namespace_objects", "namespaces", "pooled", "roots")

    def __init__(self, rules: Sequence[CompiledRule] = ()) -> None:
        """``known``: types whose objects are looked for; ``everything``: any type can be a target."""
        self.pooled: set[Type] = set()
        self.known: set[Type] = set()
        self.everything = False
        self.roots = False
        self.namespaces = any(rule.namespace_aware for rule in rules)
        self.namespace_objects = any(rule.reads_namespace_object for rule in rules)
        for rule in rules:
            for target in rule.rule.targets:
                finder, type_ = target.finder, (target.group, target.resource)
                if isinstance(finder, BySelector):
                    self.pooled.add(type_)
                elif target.resource:
                    self.known.add(type_)
                elif isinstance(finder, ByOwner | ByExpression):
                    self.everything = True
                if isinstance(finder, ByOwner) and finder.recursive:
                    self.roots = self.everything = True
                if not isinstance(finder, BySelector | ByOwner | ByHelmRelease) and _may_say_type(finder):
                    self.everything = True

    def knows(self, type_: Type) -> bool:
        """Whether it matters if objects of this type are there."""
        return self.everything or type_ in self.known

    def newly(self, before: Wants) -> set[Type]:
        """The types whose objects have to be taken again because they did not matter as much before."""
        if (self.everything and not before.everything) or (self.roots and not before.roots):
            return {("*", "*")}
        found = self.pooled - before.pooled
        if not before.everything:
            found |= self.known - before.known - before.pooled
        if (self.namespaces and not before.namespaces) or (
            self.namespace_objects and not before.namespace_objects
        ):
            found.add(NAMESPACES)
        return found


def _may_say_type(finder: object) -> bool:
    """CEL and JSON annotations may name a type in their result, whatever the rule says."""
    return isinstance(finder, ByExpression) or getattr(finder, "format", "") == "JSON"
