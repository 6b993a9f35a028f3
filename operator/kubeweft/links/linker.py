"""The links of all objects, kept up to date as objects and rules change.

It is given every object that matters, as it is now, in any order, and tells which relations follow: the same final
objects give the same relations, however their arrival is shuffled. It has no clock and does no I/O; times are those of
the object versions. One linker serves all clusters, because links lead from one into another.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
import zstandard

from kubeweft.links.ascents import Ascent, Ascents
from kubeweft.links.by_owner import next_owner, owners_of
from kubeweft.links.cel import ClusterFacts
from kubeweft.links.compiled import CompiledRule
from kubeweft.links.examining import Finding, Rising, Selected, examine
from kubeweft.links.ledger import Ledger
from kubeweft.links.namespaces import Namespaces
from kubeweft.links.naming import Subject, mapping
from kubeweft.links.placing import TypeTable
from kubeweft.links.pool import Labels, Pool, Selection
from kubeweft.links.reading import NAMESPACES, Type, TypeReading, Wants
from kubeweft.links.sources import Book, Source, is_same, relations_of
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Related
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation
from kubeweft.model.rules import LinkRule

__all__ = ["Linker", "RuleStatistics"]

EVERY_TYPE: Final = ("*", "*")
MOST_ENDED: Final = 10_000
MOST_UNKNOWN: Final = 10_000
_NO_CLUSTERS: Final[Mapping[str, Mapping[str, str]]] = {}
_NO_SOURCES: Final[dict[ObjectKey, Source]] = {}
_NOT_ENDED: Final = object()
Touched = dict[ObjectKey, tuple[Source, tuple[Relation, ...]]]


class Linker:
    """Which object relates to which, by the rules in force."""

    def __init__(self, kinds: TypeTable) -> None:
        """``kinds`` may learn while the linker runs: see :meth:`kinds_grown`."""
        self._kinds = kinds
        self._rules: dict[str, CompiledRule] = {}
        self._refused: dict[str, RuleStatistics] = {}
        self._clusters: dict[str, ClusterFacts] = {}
        self._wants = Wants()
        self._readings: dict[Type, TypeReading] = {}
        self._sources: dict[Type, dict[ObjectKey, Source]] = {}
        self._pools: dict[tuple[str, str, str], Pool] = {}
        self._ledger = Ledger()
        self._ascents = Ascents()
        self._namespaces = Namespaces()
        self._book = Book(self._ledger, self._ascents, self._pool)
        self._unknown: dict[tuple[str, str, str], set[Type]] = {}
        self._ended: OrderedDict[ObjectKey, object] = OrderedDict()  # gone lately, while they had relations
        self._examined: Type = EVERY_TYPE
        self._turn = 0  # how often the rules have changed
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    def use(
        self, rules: Sequence[LinkRule], *, clusters: Mapping[str, Mapping[str, str]] = _NO_CLUSTERS
    ) -> frozenset[Type]:
        """From now on these rules, and these clusters with their labels.

        Gives the (group, resource) whose objects must be taken again, ``("*", "*")`` for all; until then those objects
        keep the relations told last. A rule that does not compile links nothing and says so in its statistics.
        """
        facts = {name: ClusterFacts(name, dict(labels)) for name, labels in clusters.items()}
        relabelled, self._clusters = facts != self._clusters, facts
        before, wants = self._rules, self._wants
        self._rules = self._compile(rules, before, relabelled=relabelled)
        self._wants = Wants(tuple(self._rules.values()))
        changed = [rule for name, rule in before.items() if self._rules.get(name) is not rule]
        changed += [rule for name, rule in self._rules.items() if before.get(name) is not rule]
        again = self._wants.newly(wants)
        for rule in changed:
            again |= _source_types(rule.rule)
        self._withdraw(changed)
        self._readings.clear()
        self._turn += 1
        self._book.forget_rules()
        self._let_go()
        return frozenset({EVERY_TYPE} if EVERY_TYPE in again else again)

    def kinds_grown(self) -> frozenset[Type]:
        """More kinds have become known: the types whose objects must be taken again because they waited for that."""
        again: set[Type] = set()
        for group, resource, kind in list(self._unknown):
            known = self._kinds.kind_of(group, resource) if resource else self._kinds.resource_of(group, kind)
            if known is not None:
                again |= self._unknown.pop((group, resource, kind))
        return frozenset(again)

    def reads(self, group: str, resource: str) -> bool:
        """Whether objects of this type matter: as sources, as targets, or as namespaces of sources."""
        return self._reading((group, resource)).reads or bool(self._sources.get((group, resource)))

    def is_touched(self, group: str, resource: str, fields: frozenset[str]) -> bool:
        """Whether a change of these top-level fields alone can matter. That an object is there or gone always does."""
        reading = self._reading((group, resource))
        if not reading.reads:
            return False
        return reading.fields is None or not fields.isdisjoint(reading.fields)

    def take(
        self, key: ObjectKey, body: bytes, *, time: int, fields: frozenset[str] | None = None
    ) -> list[Related]:
        """An object is now so, since ``time``; gives every object whose relations have changed, with all of them.

        ``body`` is JSON after redaction, and may hold metadata only. ``fields`` are the top-level fields in which it
        differs from the version before, of which the linker was told if it mattered; None where that is not known.
        """
        type_ = key[1:3]
        reading = self._reading(type_)
        source = self._sources.get(type_, _NO_SOURCES).get(key)
        if not reading.reads and source is None:
            return []
        key = source.key if source is not None else self._ledger.canonical(_interned(key))
        self._ledger.know(key)
        if not reading.opens and source is None:
            return []
        self._examined = type_
        obj = _parse(body)
        metadata = mapping(obj.get("metadata"))
        touched = self._touch(reading, key, metadata, obj, time=time)
        related: list[Related] = []
        if reading.rules or source is not None:
            touched.pop(key, None)
            if source is not None and fields is not None and self._stays(reading, source, obj, fields):
                source.time = time
            else:
                source = source or Source(key)
                told, revived = source.relations, self._ended.pop(key, _NOT_ENDED) is None
                self._take_source(reading, source, obj, body, time=time)
                # Whoever tells of an object anew may have lost what followed when it was told before.
                anew = fields is None and bool(source.relations)
                related += self._tell(source, told, time=time, anyway=revived or anew)
        for other, told in touched.values():
            related += self._tell(other, told, time=time)
        return related

    def gone(self, key: ObjectKey, *, time: int) -> list[Related]:
        """An object is gone; gives every other object whose relations have changed.

        Nothing is told of the object itself: its own links stay what they were, for all that is still to come about it.
        """
        type_ = key[1:3]
        self._ledger.forget(key)
        source = self._sources.get(type_, _NO_SOURCES).get(key)
        if source is not None:
            self._end(source)
        touched: Touched = {}
        pool = self._pools.get(key[:3])
        self._note(pool.drop(key) if pool else (), self._ascents.put(key, (None, None)), touched)
        if type_ == NAMESPACES:
            self._namespaces.gone(key)
        return [each for other, told in touched.values() for each in self._tell(other, told, time=time)]

    def forget_cluster(self, cluster: str, *, time: int) -> list[Related]:
        """Nobody watches a cluster any more: its objects are no sources and no known targets.

        Gives the objects of other clusters whose relations have changed by that.
        """
        every = (source for by_key in self._sources.values() for source in by_key.values())
        sources = [source for source in every if source.key.cluster == cluster]
        for source in sources:  # first, or all that it selects is chosen anew with each object that goes
            self._end(source)
        touched: Touched = {}
        known = [key for key in self._ledger.known() if key.cluster == cluster]
        for key in dict.fromkeys([*(source.key for source in sources), *known]):
            self._ledger.forget(key)
            self._note((), self._ascents.put(key, (None, None)), touched)
            if key[1:3] == NAMESPACES:
                self._namespaces.gone(key)
        for place in [place for place in self._pools if place[0] == cluster]:
            self._note(self._empty_pool(place), (), touched)
        return [each for other, told in touched.values() for each in self._tell(other, told, time=time)]

    def statistics(self) -> Mapping[str, RuleStatistics]:
        """How each rule does, by its name, at this moment."""
        found = {name: replace(rule.statistics) for name, rule in self._rules.items()}
        return found | {name: replace(statistics) for name, statistics in self._refused.items()}

    # -- rules

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

    def _withdraw(self, changed: Sequence[CompiledRule]) -> None:
        """What the sources of changed rules have counted is taken back; they are told anew when they are taken again."""
        for type_, sources in self._sources.items():
            if any(rule.rule.source.selects_type(*type_) for rule in changed):
                for source in sources.values():
                    self._book.leave(source)

    def _let_go(self) -> None:
        """Forget what no rule needs any more."""
        for place in [place for place in self._pools if place[1:] not in self._wants.pooled]:
            del self._pools[place]
        if not self._wants.roots:
            self._ascents.clear()
        if not self._wants.namespaces:
            self._namespaces = Namespaces()
        for key in self._ledger.known():
            if not self._reading(key[1:3]).reads:
                self._ledger.forget(key)  # nobody would tell when it is gone

    def _wait_for(self, group: str, resource: str, kind: str) -> None:
        waiting = self._unknown.get((group, resource, kind))
        if waiting is not None:
            waiting.add(self._examined)
        elif len(self._unknown) < MOST_UNKNOWN:  # anybody can name kinds that there are not
            self._unknown[group, resource, kind] = {self._examined}

    def _reading(self, type_: Type) -> TypeReading:
        reading = self._readings.get(type_)
        if reading is None:
            reading = self._readings[type_] = TypeReading(type_, tuple(self._rules.values()), self._wants)
        return reading

    # -- objects

    def _touch(
        self,
        reading: TypeReading,
        key: ObjectKey,
        metadata: dict[str, Any],
        obj: dict[str, Any],
        *,
        time: int,
    ) -> Touched:
        """The other sources that a change of this object concerns, with what was told of them last."""
        touched: Touched = {}
        if reading.pooled:
            self._note(self._pool(key[:3]).put(key, _labels(metadata), time), (), touched)
        if reading.steps:
            owners = owners_of(key, metadata, self._kinds, self._wait_for)
            step = next_owner(owners, controller_only=True), next_owner(owners, controller_only=False)
            self._note((), self._ascents.put(key, step), touched)
        if reading.is_namespaces and self._namespaces.take(
            key, obj, time=time, whole=self._wants.namespace_objects
        ):
            for source in self._namespaces.sources_in(key):
                touched.setdefault(source.key, (source, source.relations))
                self._examine_again(source)
        return touched

    def _note(self, selections: Iterable[Selection], ascents: Iterable[Ascent], touched: Touched) -> None:
        """Bring the numbers of what has changed up to date, and note whose it is."""
        for selected in selections:
            if isinstance(selected, Selected):
                selected.count()
                self._note_source(selected.source, touched)
        for rising in ascents:
            if isinstance(rising, Rising):
                self._book.follow(rising)
                self._note_source(rising.start, touched)

    def _note_source(self, key: ObjectKey, touched: Touched) -> None:
        source = self._sources.get(key[1:3], _NO_SOURCES).get(key)
        if source is not None:
            touched.setdefault(key, (source, source.relations))

    def _take_source(
        self, reading: TypeReading, source: Source, obj: dict[str, Any], body: bytes, *, time: int
    ) -> None:
        """Examine a source anew; it is remembered while there is something to remember."""
        source.time = time
        if source.body and not reading.keeps_bodies:
            self._namespaces.drop_source(source)
        source.body = self._compressor.compress(body) if reading.keeps_bodies else b""
        self._examine(reading, source, obj)
        if source.rules or source.relations or source.shortfalls or reading.keeps_bodies:
            self._sources.setdefault(source.key[1:3], {})[source.key] = source
            if reading.keeps_bodies:
                self._namespaces.put_source(source)
        else:
            self._remove(source)

    def _remove(self, source: Source) -> None:
        self._book.leave(source)
        type_ = source.key[1:3]
        sources = self._sources.get(type_)
        if sources is not None:
            sources.pop(source.key, None)
            if not sources:
                del self._sources[type_]
        self._namespaces.drop_source(source)

    def _end(self, source: Source) -> None:
        """A source is gone; that it had relations is remembered for a while."""
        self._remove(source)
        if source.relations:
            self._ended[source.key] = None
            if len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def _empty_pool(self, place: tuple[str, str, str]) -> list[Selection]:
        """All objects of a pool are gone; gives the selections that have changed, which go on in an empty one."""
        selections = self._pools.pop(place).selections()
        changed = [selection for selection in selections if selection.total]
        for selection in selections:
            selection.groups.clear()
            self._pool(place).add(selection)
        return changed

    def _examine_again(self, source: Source) -> None:
        """What surrounds a source has changed, not the source itself."""
        examined, self._examined = self._examined, source.key[1:3]
        reading = self._reading(self._examined)
        self._examine(reading, source, _parse(self._decompressor.decompress(source.body)))
        self._examined = examined

    def _stays(
        self, reading: TypeReading, source: Source, obj: dict[str, Any], fields: frozenset[str]
    ) -> bool:
        """Whether a change of these fields alone changes nothing: most do not, and concern few of the rules."""
        if source.turn != self._turn or reading.keeps_bodies:
            return False
        rules = reading.rules_touched(fields)
        if len(rules) == len(reading.rules):
            return False
        return is_same(source, self._find(source.key, obj, rules.values()), among=rules)

    def _examine(self, reading: TypeReading, source: Source, obj: dict[str, Any]) -> None:
        source.turn = self._turn
        findings = self._find(source.key, obj, reading.rules, surrounded=reading.keeps_bodies)
        source.relations = self._book.renew(source, findings)

    def _find(
        self, key: ObjectKey, obj: dict[str, Any], rules: Iterable[CompiledRule], *, surrounded: bool = False
    ) -> list[Finding]:
        """What these rules find; ``surrounded``: some of them look at the namespace too."""
        facts = self._clusters.get(key.cluster) or ClusterFacts(key.cluster, {})
        subject = Subject(
            key, obj, facts=facts, namespace_object=self._namespaces.of(key) if surrounded else None
        )
        labels = self._namespaces.labels_for(key, subject.labels) if surrounded else None
        findings = []
        for rule in rules:
            finding = examine(
                rule, subject, namespace_labels=labels, kinds=self._kinds, unknown=self._wait_for
            )
            if finding is not None:
                findings.append(finding)
        return findings

    def _tell(
        self, source: Source, told: tuple[Relation, ...], *, time: int, anyway: bool = False
    ) -> list[Related]:
        """What is new of a source, if anything is; true since the latest of all that it follows from."""
        if source.parts is not None:
            source.relations = relations_of(source.parts)
        if source.relations == told and not anyway:
            return []
        since = max(time, source.time, self._namespaces.time_for(source.key) if source.body else 0)
        for _, held in source.parts or ():
            if isinstance(held, Selected):
                since = max(since, self._pool(held.pool).latest(held))
        return [Related(source.key, source.relations, since)]

    def _pool(self, place: tuple[str, str, str]) -> Pool:
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = Pool()
        return pool


def _source_types(rule: LinkRule) -> set[Type]:
    """The types a rule reads, as far as it names them; all if it names some by a star."""
    types = {
        (group, name) for each in rule.source.resources for group in each.groups for name in each.resources
    }
    return {EVERY_TYPE} if any("*" in type_ for type_ in types) else types


def _interned(key: ObjectKey) -> ObjectKey:
    """The same key with shared texts: thousands of keys differ in nothing but the name."""
    cluster, group, resource, namespace = map(sys.intern, key[:4])
    return ObjectKey(cluster, group, resource, namespace, key.name)


def _parse(body: bytes) -> dict[str, Any]:
    """The object; an empty one where the body is no JSON map, which then names nothing."""
    try:
        return mapping(orjson.loads(body))
    except ValueError:
        return {}


def _labels(metadata: dict[str, Any]) -> Labels:
    found = mapping(metadata.get("labels"))
    return tuple(sorted([(key, value) for key, value in found.items() if type(value) is str]))
