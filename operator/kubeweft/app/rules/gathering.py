"""What of a live cluster rules need: their sources, the namespaces, and what they lead to, read step by step.

Targets are read by their metadata: one by one while they are few, else the whole list of their type. What RBAC does
not let us see is remembered as not read, which is not the same as missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from kubeweft.app.rules.cluster import Cluster, NotReadable
from kubeweft.app.rules.trying import NAMESPACES, Limits, Outcome, try_rules
from kubeweft.app.rules.world import World
from kubeweft.links.linker import Linker
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey, ResourceType, group_resource
from kubeweft.model.rules import BySelector, LinkRule

FEW: Final = 20  # that many objects are asked for one by one
MOST_ROUNDS: Final = 8  # of following owners upwards
Type = tuple[str, str]


class Gathering:
    """Fills a world from a cluster, for one set of rules."""

    def __init__(
        self,
        cluster: Cluster,
        world: World,
        *,
        rules: Sequence[LinkRule],
        limits: Limits,
        name: str,
        note: Callable[[str], None],
    ) -> None:
        """``name`` is what the cluster is called; ``note`` is given what could not be read."""
        self._cluster = cluster
        self._world = world
        self._rules = rules
        self._limits = limits
        self._name = name
        self._note = note
        self._whole: set[tuple[Type, str]] = set()
        """Types read as lists, in a namespace or ("") in all of them."""
        self._asked: set[ObjectKey] = set()
        self._refused: set[Type] = set()

    def outcomes(self) -> list[Outcome]:
        """Read what is needed, and say what each rule makes of it. Raises ``UserError`` if no source can be read."""
        self._cluster.teach(self._world.kinds)
        self._read_sources()
        self._read_surroundings()
        for _ in range(MOST_ROUNDS):
            outcomes = self._try()
            if not self._read_targets(outcomes):
                return outcomes
        return self._try()

    def _try(self) -> list[Outcome]:
        return try_rules(self._rules, self._world, limits=self._limits, unread=self._is_unread)

    def _is_unread(self, key: ObjectKey) -> bool:
        type_ = (key.group, key.resource)
        if key.cluster != self._name or type_ in self._refused:
            return True
        read = key in self._asked or (type_, "") in self._whole or (type_, key.namespace) in self._whole
        return not read and type_ in self._cluster.types()

    def _read_sources(self) -> None:
        types = [
            type_
            for (group, resource), type_ in sorted(self._cluster.types().items())
            if any(rule.source.selects_type(group, resource) for rule in self._rules)
        ]
        if self._limits.type:
            types = [type_ for type_ in types if type_ == self._limits.type]
        if not types:
            raise UserError(f"no rule here reads {self._limits.type or 'any type that the cluster serves'}")
        if self._limits.type and self._limits.name:
            self._read_source(self._limits.type)
            return
        failures = [error for type_ in types for error in self._read_list(type_, self._namespaces_of(type_))]
        if len(failures) == len(types):
            raise UserError(f"none of the rules' sources can be read: {failures[0]}")

    def _read_source(self, type_: ResourceType) -> None:
        namespace = (self._limits.namespace or "default") if type_.namespaced else ""
        try:
            found = self._cluster.object(type_, namespace=namespace, name=self._limits.name)
        except NotReadable as error:
            raise UserError(f"cannot read {type_}/{self._limits.name}: {error}") from None
        if found is None:
            where = f" in namespace {namespace}" if namespace else ""
            raise UserError(f"the cluster has no {type_} {self._limits.name!r}{where}")
        self._asked.add(self._world.put(found, cluster=self._name))

    def _namespaces_of(self, type_: ResourceType) -> Collection[str]:
        """The namespaces to read a source type in; ``""`` stands for all."""
        if not type_.namespaced:
            return {""}
        if self._limits.namespace:
            return {self._limits.namespace}
        named = [
            r.source.namespaces for r in self._rules if r.source.selects_type(type_.group, type_.resource)
        ]
        return frozenset().union(*named) if all(named) else {""}

    def _read_surroundings(self) -> None:
        """Namespaces, and all that selectors may select: what no object names."""
        linker = Linker(self._world.kinds)
        linker.use(self._rules, clusters=self._world.clusters)
        types = self._cluster.types()
        if NAMESPACES in types and linker.reads(*NAMESPACES):
            self._told(self._read_list(types[NAMESPACES], {""}))
        for rule in self._rules:
            for target in rule.targets:
                type_ = types.get((target.group, target.resource))
                if type_ and isinstance(target.finder, BySelector):
                    inside = (
                        self._limits.namespace if target.in_namespace and rule.cluster.mode == "Same" else ""
                    )
                    self._told(self._read_list(type_, {inside}, metadata_only=True))

    def _read_targets(self, outcomes: Iterable[Outcome]) -> bool:
        """Whether anything was asked for, found or not."""
        wanted: dict[Type, set[ObjectKey]] = defaultdict(set)
        for key in (link.relation.target for outcome in outcomes for link in outcome.links):
            if key not in self._world.objects and self._is_unread(key) and key.cluster == self._name:
                wanted[key.group, key.resource].add(key)
        asked = False
        for type_, keys in sorted(wanted.items()):
            served = self._cluster.types().get(type_)
            if served is None or type_ in self._refused:
                continue
            asked = True
            if len(keys) > FEW:
                self._told(self._read_list(served, {key.namespace for key in keys}, metadata_only=True))
            else:
                self._read_each(served, keys)
        return asked

    def _read_each(self, type_: ResourceType, keys: Iterable[ObjectKey]) -> None:
        for key in sorted(keys):
            try:
                found = self._cluster.object(
                    type_, namespace=key.namespace, name=key.name, metadata_only=True
                )
            except NotReadable as error:
                self._refused.add((type_.group, type_.resource))
                self._told([f"{type_}: {error}"])
                return
            self._asked.add(key)
            if found:
                self._world.put(found, cluster=self._name)

    def _read_list(
        self, type_: ResourceType, namespaces: Collection[str], *, metadata_only: bool = False
    ) -> list[str]:
        """Read a type, unless it has been; gives what failed."""
        where = {""} if len(namespaces) > FEW else namespaces
        name: Type = (type_.group, type_.resource)
        for namespace in sorted(where):
            if self._whole & {(name, ""), (name, namespace)}:
                continue
            try:
                for document in self._cluster.objects(
                    type_, namespace=namespace, metadata_only=metadata_only
                ):
                    self._world.put(document, cluster=self._name)
            except NotReadable as error:
                self._refused.add(name)
                return [f"{group_resource(*name)}: {error}"]
            self._whole.add((name, namespace))
        return []

    def _told(self, failures: Iterable[str]) -> None:
        for failure in failures:
            self._note(f"not read: {failure}")
