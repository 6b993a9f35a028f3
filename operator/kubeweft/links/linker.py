"""The links of all objects, kept up to date as objects and rules change.

It is given every object that matters, as it is now, in any order, and tells which relations follow: the same final
objects give the same relations, however their arrival is shuffled. It has no clock and does no I/O; times are those of
the object versions. One linker serves all clusters, because links lead from one into another.

What rules say of one object is found by :mod:`kubeweft.links.in_force`, and what follows for others by
:mod:`kubeweft.links.book`; here is who has to be examined, and what has to be told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
import zstandard

from kubeweft.links.book import NO_OWNERS, Book
from kubeweft.links.compiled import CompiledRule
from kubeweft.links.in_force import RulesInForce
from kubeweft.links.ledger import Ledger
from kubeweft.links.namespaces import Namespaces
from kubeweft.links.naming import mapping
from kubeweft.links.placing import TypeTable
from kubeweft.links.pool import labels_in
from kubeweft.links.reading import NAMESPACES, Type, TypeReading
from kubeweft.links.sources import Source, is_same, relations_of
from kubeweft.links.statistics import RuleStatistics
from kubeweft.model.observations import Related
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation
from kubeweft.model.rules import LinkRule

MOST_ENDED: Final = 10_000
_NO_CLUSTERS: Final[Mapping[str, Mapping[str, str]]] = {}
_NO_SOURCES: Final[dict[ObjectKey, Source]] = {}
_NOT_ENDED: Final = object()
Touched = dict[ObjectKey, tuple[Source, tuple[Relation, ...]]]  # with what was told of each last


class Linker:
    """Which object relates to which, by the rules in force."""

    def __init__(self, kinds: TypeTable) -> None:
        """``kinds`` may learn while the linker runs: see :meth:`kinds_grown`."""
        self._rules = RulesInForce(kinds)
        self._sources: dict[Type, dict[ObjectKey, Source]] = {}
        self._ledger = Ledger()
        self._book = Book(self._ledger)
        self._namespaces = Namespaces()
        self._ended: OrderedDict[ObjectKey, object] = OrderedDict()  # gone lately, while they had relations
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    def use(
        self, rules: Sequence[LinkRule], *, clusters: Mapping[str, Mapping[str, str]] = _NO_CLUSTERS
    ) -> frozenset[Type]:
        """From now on these rules, and these clusters with their labels.

        Gives the (group, resource) whose objects must be taken again, ``("*", "*")`` for all; until then those objects
        keep the relations told last. A rule that does not compile links nothing and says so in its statistics.
        """
        changed, again = self._rules.use(rules, clusters)
        self._withdraw(changed)
        self._let_go()
        return again

    def kinds_grown(self) -> frozenset[Type]:
        """More kinds have become known: the types whose objects must be taken again because they waited for that."""
        return self._rules.kinds_grown()

    def reads(self, group: str, resource: str) -> bool:
        """Whether objects of this type matter: as sources, as targets, or as namespaces of sources."""
        type_ = group, resource
        return self._rules.reading(type_).reads or bool(self._sources.get(type_))

    def is_touched(self, group: str, resource: str, fields: frozenset[str]) -> bool:
        """Whether a change of these top-level fields alone can matter. That an object is there or gone always does."""
        reading = self._rules.reading((group, resource))
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
        reading = self._rules.reading(type_)
        source = self._sources.get(type_, _NO_SOURCES).get(key)
        if not reading.reads and source is None:
            return []
        key = source.key if source is not None else self._ledger.canonical(key)
        self._ledger.know(key)
        if not reading.opens and source is None:
            return []
        obj = _parse(body)
        touched = self._touch(reading, key, obj, time=time)
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
        touched = self._touched(self._book.drop(key))
        if type_ == NAMESPACES:
            self._namespaces.gone(key)
        return self._tell_all(touched, time=time)

    def forget_cluster(self, cluster: str, *, time: int) -> list[Related]:
        """Nobody watches a cluster any more: its objects are no sources and no known targets.

        Gives the objects of other clusters whose relations have changed by that.
        """
        every = (source for by_key in self._sources.values() for source in by_key.values())
        sources = [source for source in every if source.key.cluster == cluster]
        for source in sources:  # first, or all that it selects is chosen anew with each object that goes
            self._end(source)
        concerned: list[ObjectKey] = []
        known = [key for key in self._ledger.known() if key.cluster == cluster]
        for key in dict.fromkeys([*(source.key for source in sources), *known]):
            self._ledger.forget(key)
            concerned += self._book.reown(key, NO_OWNERS)
            if key[1:3] == NAMESPACES:
                self._namespaces.gone(key)
        concerned += self._book.empty_pools(cluster)
        return self._tell_all(self._touched(concerned), time=time)

    def statistics(self) -> Mapping[str, RuleStatistics]:
        """How each rule does, by its name, at this moment."""
        return self._rules.statistics()

    # -- when rules change

    def _withdraw(self, changed: Sequence[CompiledRule]) -> None:
        """What the sources of changed rules have counted is taken back; they are told anew when they are taken again."""
        for type_, sources in self._sources.items():
            if any(rule.rule.source.selects_type(*type_) for rule in changed):
                for source in sources.values():
                    self._book.leave(source)

    def _let_go(self) -> None:
        """Forget what no rule needs any more."""
        wants = self._rules.wants
        self._book.let_go(wants)
        if not wants.namespaces:
            self._namespaces = Namespaces()
        for key in self._ledger.known():
            if not self._rules.reading(key[1:3]).reads:
                self._ledger.forget(key)  # nobody would tell when it is gone

    # -- when objects change: others

    def _touch(self, reading: TypeReading, key: ObjectKey, obj: dict[str, Any], *, time: int) -> Touched:
        """The other sources that a change of this object concerns."""
        concerned: list[ObjectKey] = []
        metadata = mapping(obj.get("metadata"))
        if reading.pooled:
            concerned += self._book.relabel(key, labels_in(metadata), time)
        if reading.steps:
            concerned += self._book.reown(key, self._rules.step(key, metadata))
        touched = self._touched(concerned)
        if reading.is_namespaces and self._namespaces.take(
            key, obj, time=time, whole=self._rules.wants.namespace_objects
        ):
            for source in self._namespaces.sources_in(key):
                touched.setdefault(source.key, (source, source.relations))
                self._examine_again(source)
        return touched

    def _touched(self, keys: Iterable[ObjectKey]) -> Touched:
        touched: Touched = {}
        for key in keys:
            source = self._sources.get(key[1:3], _NO_SOURCES).get(key)
            if source is not None:
                touched[key] = source, source.relations
        return touched

    def _examine_again(self, source: Source) -> None:
        """What surrounds a source has changed, not the source itself."""
        reading = self._rules.reading(source.key[1:3])
        self._examine(reading, source, _parse(self._decompressor.decompress(source.body)))

    # -- when objects change: themselves

    def _stays(
        self, reading: TypeReading, source: Source, obj: dict[str, Any], fields: frozenset[str]
    ) -> bool:
        """Whether a change of these fields alone changes nothing: most do not, and concern few of the rules."""
        if source.turn != self._rules.turn or reading.keeps_bodies:
            return False
        rules = reading.rules_touched(fields)
        if len(rules) == len(reading.rules):
            return False
        return is_same(source, self._rules.find(source.key, obj, rules.values()), among=rules)

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

    def _examine(self, reading: TypeReading, source: Source, obj: dict[str, Any]) -> None:
        source.turn = self._rules.turn
        namespaces = self._namespaces if reading.keeps_bodies else None
        findings = self._rules.find(source.key, obj, reading.rules, namespaces=namespaces)
        source.relations = self._book.renew(source, findings)

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

    # -- what is told

    def _tell_all(self, touched: Touched, *, time: int) -> list[Related]:
        return [each for source, told in touched.values() for each in self._tell(source, told, time=time)]

    def _tell(
        self, source: Source, told: tuple[Relation, ...], *, time: int, anyway: bool = False
    ) -> list[Related]:
        """What is new of a source, if anything is; true since the latest of all that it follows from."""
        if source.parts is not None:
            source.relations = relations_of(source.parts)
        if source.relations == told and not anyway:
            return []
        around = self._namespaces.time_for(source.key) if source.body else 0
        since = max(time, source.time, around, self._book.latest(source))
        return [Related(source.key, source.relations, since)]


def _parse(body: bytes) -> dict[str, Any]:
    """The object; an empty one where the body is no JSON map, which then names nothing."""
    try:
        return mapping(orjson.loads(body))
    except ValueError:
        return {}
