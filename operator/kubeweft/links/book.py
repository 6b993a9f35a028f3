"""What the sources have found, kept on the books: counted in the statistics, and up to date while other objects change.

A source names most of its targets itself. What selectors select changes with the labels of others, and the way to a root
with the owners on it: those who keep both up to date are asked here, and tell which sources are concerned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from kubeweft.links.ascents import Ascents, Step
from kubeweft.links.compiled import CompiledRule
from kubeweft.links.examining import Finding, Part, Rising, Selected
from kubeweft.links.ledger import Ledger
from kubeweft.links.pool import Labels, Pool, Selection
from kubeweft.links.reading import Wants
from kubeweft.links.sources import Held, Source, is_same, relations_of
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation

NO_OWNERS: Step = (None, None)


class Book:
    """Enters findings into the ledger, the pools, the ascents and the statistics, and takes them out again.

    A pool has a place: cluster, group and resource of its objects.
    """

    def __init__(self, ledger: Ledger) -> None:
        """The ``ledger`` is shared with the linker."""
        self._ledger = ledger
        self._ascents = Ascents()
        self._pools: defaultdict[tuple[str, str, str], Pool] = defaultdict(Pool)
        self._rules: dict[tuple[CompiledRule, ...], tuple[CompiledRule, ...]] = {}

    def enter(self, source: Source, findings: list[Finding]) -> tuple[Relation, ...]:
        """Count what was found; gives the relations that follow."""
        rules = tuple([finding.rule for finding in findings if finding.selected])
        source.rules = self._rules.setdefault(rules, rules)
        parts: list[tuple[CompiledRule, Held]] = []
        for finding in findings:
            finding.rule.statistics.matched += finding.selected
            parts += [(finding.rule, self._hold(finding.rule, part)) for part in finding.parts]
        source.shortfalls = tuple(_shortfalls(source.key, findings))
        moving = any(not isinstance(held, tuple) for _, held in parts)
        source.parts = tuple(parts) if moving else None
        return relations_of(parts)

    def renew(self, source: Source, findings: list[Finding]) -> tuple[Relation, ...]:
        """Count what was found in place of what was counted before; gives the relations that follow."""
        if is_same(source, findings):
            return source.relations  # most changes change nothing here
        self.leave(source)
        return self.enter(source, findings)

    def leave(self, source: Source) -> None:
        """Take out all that was counted; what was told last stays on record."""
        parts = source.parts
        if parts is None:
            by_name = {rule.rule.name: rule for rule in source.rules}
            parts = tuple(
                (by_name[relation.rule], (relation,)) for relation in source.relations if source.rules
            )
        for rule, held in parts:
            self._release(rule, held)
        for rule in source.rules:
            rule.statistics.matched -= 1
        for rule, over, unplaced, errors in source.shortfalls:
            rule.statistics.over_limit -= over
            rule.statistics.unresolved -= unplaced
            rule.statistics.errors -= errors
            if not rule.statistics.errors:
                rule.statistics.first_error = ""
        source.rules, source.parts, source.shortfalls = (), None, ()

    def latest(self, source: Source) -> int:
        """Since when all that its selectors have chosen has its labels; 0 where that is nothing."""
        moving = [held for _, held in source.parts or () if isinstance(held, Selected)]
        return max([self._pools[held.pool].latest(held) for held in moving], default=0)

    def relabel(self, key: ObjectKey, labels: Labels, time: int) -> list[ObjectKey]:
        """An object has these labels since ``time``: the sources whose selectors choose otherwise now."""
        changed = self._pools[key[:3]].put(key, labels, time)
        return _recount(changed) if changed else []

    def reown(self, key: ObjectKey, step: Step) -> list[ObjectKey]:
        """An object has these next owners: the sources that have another root now."""
        concerned = []
        for rising in self._ascents.put(key, step):
            if isinstance(rising, Rising):
                self._follow(rising)
                concerned.append(rising.start)
        return concerned

    def drop(self, key: ObjectKey) -> list[ObjectKey]:
        """An object is gone: the sources of which something follows from that."""
        pool = self._pools.get(key[:3])
        return [*_recount(pool.drop(key) if pool else ()), *self.reown(key, NO_OWNERS)]

    def empty_pools(self, cluster: str) -> list[ObjectKey]:
        """All objects of a cluster are gone from the pools: the sources that selected any, and go on in empty ones."""
        concerned: list[ObjectKey] = []
        for place in [place for place in self._pools if place[0] == cluster]:
            selections = self._pools.pop(place).selections()
            changed = [selection for selection in selections if selection.total]
            for selection in selections:
                selection.groups.clear()
                self._pools[place].add(selection)
            concerned += _recount(changed)
        return concerned

    def let_go(self, wants: Wants) -> None:
        """The rules have changed: forget what none of them needs any more."""
        self._rules.clear()
        for place in [place for place in self._pools if place[1:] not in wants.pooled]:
            del self._pools[place]
        if not wants.roots:
            self._ascents.clear()

    def _follow(self, rising: Rising) -> None:
        """The root of a source has changed: count the new one in its place."""
        if rising.relation is not None:
            self._ledger.drop(rising.rule, rising.relation.target, rising.relation.link_class)
            rising.relation = None
        end = rising.end
        if end is not None:
            rising.relation = self._ledger.want(rising.rule, end, rising.rule.rule.link_class)

    def _hold(self, rule: CompiledRule, part: Part) -> Held:
        if isinstance(part, Selected):
            self._pools[part.pool].add(part)
            part.count()
            return part
        if isinstance(part, Rising):
            self._ascents.add(part)
            self._follow(part)
            return part
        default = rule.rule.link_class
        return tuple([self._ledger.want(rule, key, link_class or default) for key, link_class in part])

    def _release(self, rule: CompiledRule, held: Held) -> None:
        if isinstance(held, Selected):
            self._pools[held.pool].remove(held)
            held.uncount()
        elif isinstance(held, Rising):
            self._ascents.remove(held)
            if held.relation is not None:
                self._ledger.drop(rule, held.relation.target, held.relation.link_class)
        else:
            for relation in held:
                self._ledger.drop(rule, relation.target, relation.link_class)


def _recount(selections: Iterable[Selection]) -> list[ObjectKey]:
    """Bring the statistics to what is selected now; gives the sources whose selections these are."""
    concerned = []
    for selected in selections:
        if isinstance(selected, Selected):
            selected.count()
            concerned.append(selected.source)
    return concerned


def _shortfalls(key: ObjectKey, findings: list[Finding]) -> Iterator[tuple[CompiledRule, int, int, int]]:
    for finding in findings:
        if finding.over or finding.unplaced or finding.failures:
            statistics = finding.rule.statistics
            statistics.over_limit += finding.over
            statistics.unresolved += finding.unplaced
            statistics.errors += len(finding.failures)
            if finding.failures and not statistics.first_error:
                statistics.first_error = f"{key}: {finding.failures[0]}"
            yield finding.rule, finding.over, finding.unplaced, len(finding.failures)
