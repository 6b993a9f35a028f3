"""Try rules on a world of objects: with the very linker that the operator runs, one rule at a time, and no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from kubeweft.app.rules.world import World
from kubeweft.links import by_helm_release
from kubeweft.links.linker import Linker
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.relations import Relation
from kubeweft.model.rules import LinkRule
from kubeweft.model.selectors import MatchCondition, ResourcePattern

State = Literal["found", "missing", "not read"]
NAMESPACES: Final = ("", "namespaces")
HELM_RELEASES: Final = (
    by_helm_release.GROUP,
    by_helm_release.RESOURCE,
)  # no objects of the API: always there


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Which sources are asked about: those of one namespace, of one type, of one name; empty: all."""

    namespace: str = ""
    type: ResourceType | None = None
    name: str = ""


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Link:
    """One link a rule makes. ``state`` is what is known of the target; what was not looked for is ``not read``."""

    source: ObjectKey
    relation: Relation
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one rule does.

    ``unknown`` counts targets whose type nobody knows, ``over_limit`` those beyond ``maxTargets``; ``failed`` are the
    objects for which an expression failed.
    """

    rule: LinkRule
    matched: tuple[ObjectKey, ...] = ()
    links: tuple[Link, ...] = ()
    unknown: int = 0
    over_limit: int = 0
    errors: int = 0
    failed: tuple[ObjectKey, ...] = ()
    first_error: str = ""

    @property
    def is_resolved(self) -> bool:
        """Whether every target is there, or was not looked for."""
        return not self.unknown and all(link.state != "missing" for link in self.links)


def try_rules(
    rules: Iterable[LinkRule],
    world: World,
    *,
    limits: Limits = NO_LIMITS,
    unread: Callable[[ObjectKey], bool] = lambda _: False,
) -> list[Outcome]:
    """What each rule links in this world.

    ``limits`` holds for sources; all objects can be targets. ``unread`` tells of a target that is not in the world
    whether that is only because nobody looked for it.
    """
    return [_try(rule, world, limits, unread) for rule in rules]


def _try(rule: LinkRule, world: World, limits: Limits, unread: Callable[[ObjectKey], bool]) -> Outcome:
    narrow = _narrowed(rule, limits)
    if narrow is None:
        return Outcome(rule=rule)
    linker = Linker(world.kinds)
    linker.use([narrow], clusters=world.clusters)
    read = [key for key in world.objects if linker.reads(key.group, key.resource)]
    read.sort(key=lambda key: key[1:3] != NAMESPACES)  # an object needs to find its namespace
    relations: dict[ObjectKey, Sequence[Relation]] = {}
    matched, failed, matches, errors = [], [], 0, 0
    for key in read:
        relations.update((r.key, r.relations) for r in linker.take(key, world.objects[key], time=1))
        now = _statistics(linker, rule)
        matched += [key] if now.matched > matches else []
        failed += [key] if now.errors > errors else []
        matches, errors = now.matched, now.errors
    end = _statistics(linker, rule)
    links = [
        Link(source, relation, _state(relation.target, world, unread))
        for source in sorted(matched)
        for relation in sorted(relations.get(source, ()))
        if relation.rule == rule.name
    ]
    return Outcome(
        rule=rule,
        matched=tuple(sorted(matched)),
        links=tuple(links),
        unknown=max(0, end.resolved + end.unresolved - len(links)),
        over_limit=end.over_limit,
        errors=end.errors,
        failed=tuple(failed),
        first_error=end.first_error,
    )


def _statistics(linker: Linker, rule: LinkRule) -> RuleStatistics:
    return linker.statistics().get(rule.name, RuleStatistics())


def _narrowed(rule: LinkRule, limits: Limits) -> LinkRule | None:
    """The rule as if it read only the sources that are asked about; None if it reads none of them."""
    source = rule.source
    if limits.type is not None:
        group, resource = limits.type.group, limits.type.resource
        if not source.selects_type(group, resource):
            return None
        source = replace(source, resources=(ResourcePattern(frozenset({group}), frozenset({resource})),))
    if limits.namespace and (limits.type is None or limits.type.namespaced):
        if source.namespaces and limits.namespace not in source.namespaces:
            return None
        source = replace(source, namespaces=frozenset({limits.namespace}))
    if limits.name:
        named = MatchCondition("", f"object.metadata.name == {json.dumps(limits.name)}")
        source = replace(source, conditions=(named, *source.conditions))
    return replace(rule, source=source)


def _state(target: ObjectKey, world: World, unread: Callable[[ObjectKey], bool]) -> State:
    if target in world.objects or target[1:3] == HELM_RELEASES:
        return "found"
    return "not read" if unread(target) else "missing"
