"""Which objects are known, and which links lead to which of them: for the numbers, and to keep each value once.

Thousands of Pods relate to the same Node and the same Secrets: the same relation is one value here, shared by all
sources that have it.
"""

from __future__ import annotations

import sys

from kubeweft.links import by_helm_release
from kubeweft.links.compiled import CompiledRule
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation


class _Wanted:
    """One relation with the number of sources that have it."""

    __slots__ = ("count", "relation")

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.count = 0


class Ledger:
    """Known objects and wanted targets."""

    def __init__(self) -> None:
        """Nothing known, nothing wanted."""
        self._known: dict[ObjectKey, ObjectKey] = {}
        self._wanted: dict[ObjectKey, dict[tuple[CompiledRule, str], _Wanted]] = {}

    def know(self, key: ObjectKey) -> bool:
        """The object is there; whether that is news."""
        if key in self._known:
            return False
        self._known[key] = key
        for (rule, _), wanted in self._wanted.get(key, {}).items():
            rule.statistics.unresolved -= wanted.count
            rule.statistics.resolved += wanted.count
        return True

    def forget(self, key: ObjectKey) -> bool:
        """The object is gone; whether that is news."""
        if self._known.pop(key, None) is None:
            return False
        for (rule, _), wanted in self._wanted.get(key, {}).items():
            rule.statistics.resolved -= wanted.count
            rule.statistics.unresolved += wanted.count
        return True

    def known(self) -> list[ObjectKey]:
        """All objects that are there."""
        return list(self._known)

    def canonical(self, key: ObjectKey) -> ObjectKey:
        """The very value that the key is known by already, or else the one that is worth keeping."""
        known = self._known.get(key)
        return known if known is not None else _interned(key)

    def want(self, rule: CompiledRule, target: ObjectKey, link_class: str) -> Relation:
        """One more source has this relation, which is given back: the same value for all of them."""
        wanted_here = self._wanted.get(target)
        if wanted_here is None:
            wanted_here = self._wanted[self._known.get(target, target)] = {}
        wanted = wanted_here.get((rule, link_class))
        if wanted is None:
            canonical = self._known.get(target, target)
            wanted = wanted_here[rule, link_class] = _Wanted(rule.relation(canonical, link_class=link_class))
        wanted.count += 1
        self._count(rule, target, 1)
        return wanted.relation

    def drop(self, rule: CompiledRule, target: ObjectKey, link_class: str) -> None:
        """One source less has this relation."""
        wanted_here = self._wanted[target]
        wanted = wanted_here[rule, link_class]
        wanted.count -= 1
        if not wanted.count:
            del wanted_here[rule, link_class]
            if not wanted_here:
                del self._wanted[target]
        self._count(rule, target, -1)

    def _count(self, rule: CompiledRule, target: ObjectKey, change: int) -> None:
        if target in self._known or target[1:3] == _RELEASES:
            rule.statistics.resolved += change
        else:
            rule.statistics.unresolved += change


def _interned(key: ObjectKey) -> ObjectKey:
    """The same key with shared texts: thousands of keys differ in nothing but the name."""
    cluster, group, resource, namespace = map(sys.intern, key[:4])
    return ObjectKey(cluster, group, resource, namespace, key.name)


_RELEASES = (by_helm_release.GROUP, by_helm_release.RESOURCE)
