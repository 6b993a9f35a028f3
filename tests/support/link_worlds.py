"""Short ways to write rules and objects for tests of links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from kubeweft.links.linker import Linker
from kubeweft.model.field_paths import parse_field_path
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation
from kubeweft.model.rules import ByFieldPath, BySelector, Finder, LinkRule, SourceSelector, Target
from kubeweft.model.selectors import ResourcePattern

TYPES = {
    "nodes": "", "pods": "", "services": "", "secrets": "", "configmaps": "", "namespaces": "",
    "deployments": "apps", "replicasets": "apps", "networkpolicies": "networking.k8s.io",
}  # fmt: skip
NAMESPACED = {name for name in TYPES if name not in {"nodes", "namespaces"}}


def pattern(resource: str) -> ResourcePattern:
    """The pattern of one resource, or of all."""
    group = "*" if resource == "*" else TYPES[resource]
    return ResourcePattern(groups=frozenset({group}), resources=frozenset({resource}))


def source(resource: str, **more: Any) -> SourceSelector:
    """The objects of one type."""
    return SourceSelector(resources=(pattern(resource),), **more)


def target(finder: Finder, resource: str = "", **more: Any) -> Target:
    """A target of one type."""
    return Target(name=more.pop("name", "it"), finder=finder, resource=resource,
                  group=more.pop("group", TYPES.get(resource, "")), **more)  # fmt: skip


def field(name: str, namespace: str = "") -> ByFieldPath:
    """Found by a field."""
    place = parse_field_path(namespace) if namespace else None
    return ByFieldPath(name=parse_field_path(name), namespace=place)


def selector(path: str) -> BySelector:
    """Found by a selector."""
    return BySelector(parse_field_path(path))


def rule(name: str, source_: SourceSelector, *targets: Target, **more: Any) -> LinkRule:
    """A rule."""
    return LinkRule(name=name, source=source_, targets=targets, **more)


def key(text: str, cluster: str = "local") -> ObjectKey:
    """``pods/shop/web`` or ``nodes/n1``."""
    resource, *rest = text.split("/")
    namespace = rest[0] if len(rest) > 1 else ""
    return ObjectKey(cluster, TYPES[resource], resource, namespace, rest[-1])


def body(key_: ObjectKey, obj: dict[str, Any] | None = None) -> bytes:
    """An object with the name and namespace of its key."""
    obj = dict(obj or {})
    meta = {**obj.pop("metadata", {}), "name": key_.name}
    if key_.namespace:
        meta["namespace"] = key_.namespace
    return orjson.dumps({"metadata": meta, **obj})


class World:
    """A linker and what it has told."""

    def __init__(self, *rules: LinkRule, kinds: Kinds | None = None, **clusters: dict[str, str]) -> None:
        self.linker = Linker(kinds or Kinds())
        self.again = self.linker.use(rules, clusters=clusters)
        self.told: dict[ObjectKey, tuple[Relation, ...]] = {}
        self.times: dict[ObjectKey, int] = {}

    def take(
        self, text: str, obj: dict[str, Any] | None = None, *, time: int = 1, cluster: str = "local"
    ) -> list[str]:
        """An object is now so; gives whose relations have changed."""
        key_ = key(text, cluster)
        if not self.linker.reads(key_.group, key_.resource):
            return []
        return self._hear(self.linker.take(key_, body(key_, obj), time=time))

    def change(
        self,
        text: str,
        before: dict[str, Any],
        after: dict[str, Any],
        *,
        time: int = 1,
        says_what: bool = True,
    ) -> list[str]:
        """An object has become another, told as a watch does: only if that matters, and saying what has changed."""
        key_ = key(text)
        names = before.keys() | after.keys()
        fields = frozenset(name for name in names if before.get(name) != after.get(name))
        if not self.linker.is_touched(key_.group, key_.resource, fields):
            return []
        return self._hear(
            self.linker.take(key_, body(key_, after), time=time, fields=fields if says_what else None)
        )

    def gone(self, text: str, *, time: int = 9, cluster: str = "local") -> list[str]:
        """An object is gone; gives whose relations have changed."""
        key_ = key(text, cluster)
        self.told.pop(key_, None)
        return self._hear(self.linker.gone(key_, time=time))

    def targets(self, text: str, cluster: str = "local") -> list[str]:
        """What an object relates to by what was told last, with the cluster where it is another."""
        return [
            ("" if each.target.cluster == cluster else f"{each.target.cluster}:") + short(each.target)
            for each in self.told.get(key(text, cluster), ())
        ]

    def counts(self, name: str) -> tuple[int, int, int, int, int]:
        """matched, resolved, unresolved, over the limit, errors."""
        found = self.linker.statistics()[name]
        return found.matched, found.resolved, found.unresolved, found.over_limit, found.errors

    def _hear(self, related: Iterable[Any]) -> list[str]:
        heard = []
        for each in related:
            self.told[each.key] = each.relations
            self.times[each.key] = each.time
            heard.append(short(each.key))
        return heard


def short(key_: ObjectKey) -> str:
    """``pods/shop/web``."""
    return "/".join(part for part in key_[2:] if part)
