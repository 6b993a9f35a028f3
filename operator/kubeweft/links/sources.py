"""What the linker remembers of one source: which rules match it, and what they found."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Sequence

from kubeweft.links.ascents import Ascents
from kubeweft.links.compiled import CompiledRule
from kubeweft.links.examining import Finding, Part, Rising, Selected
from kubeweft.links.ledger import Ledger
from kubeweft.links.pool import Pool
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation

Held = tuple[Relation, ...] | Selected | Rising
PoolOf = Callable[[tuple[str, str, str]], Pool]


class Source:
    """One object that rules match or matched. ``relations`` are those told last.

    ``parts`` is None where nothing but ``relations`` was found: so most Pods cost no more than one tuple.
    """

    __slots__ = ("body", "key", "parts", "relations", "rules", "shortfalls", "time", "turn")

    def __init__(self, key: ObjectKey) -> None:
        """Nothing found, nothing told yet."""
        self.key = key
        self.time = 0
        self.relations: tuple[Relation, ...] = ()
        self.rules: tuple[CompiledRule, ...] = ()
        self.parts: tuple[tuple[CompiledRule, Held], ...] | None = None
        self.shortfalls: tuple[tuple[CompiledRule, int, int, int], ...] = ()
        self.body = b""
        self.turn = 0  # of the rules under which it was examined last


class Book:
    """Enters findings into the ledger, the pools, the ascents and the statistics, and takes them out again."""

    def __init__(self, ledger: Ledger, ascents: Ascents, pool_of: PoolOf) -> None:
        """All three are shared with the linker."""
        self._ledger = ledger
        self._ascents = ascents
        self._pool_of = pool_of
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

    def forget_rules(self) -> None:
        """The rules have changed: combinations of them are of no use any more."""
        self._rules.clear()

    def follow(self, rising: Rising) -> None:
        """The root of a source has changed: count the new one in its place."""
        if rising.relation is not None:
            self._ledger.drop(rising.rule, rising.relation.target, rising.relation.link_class)
            rising.relation = None
        end = rising.end
        if end is not None:
            rising.relation = self._ledger.want(rising.rule, end, rising.rule.rule.link_class)

    def _hold(self, rule: CompiledRule, part: Part) -> Held:
        if isinstance(part, Selected):
            self._pool_of(part.pool).add(part)
            part.count()
            return part
        if isinstance(part, Rising):
            self._ascents.add(part)
            self.follow(part)
            return part
        default = rule.rule.link_class
        return tuple([self._ledger.want(rule, key, link_class or default) for key, link_class in part])

    def _release(self, rule: CompiledRule, held: Held) -> None:
        if isinstance(held, Selected):
            self._pool_of(held.pool).remove(held)
            held.uncount()
        elif isinstance(held, Rising):
            self._ascents.remove(held)
            if held.relation is not None:
                self._ledger.drop(rule, held.relation.target, held.relation.link_class)
        else:
            for relation in held:
                self._ledger.drop(rule, relation.target, relation.link_class)


def is_same(source: Source, findings: list[Finding], *, among: Container[str] | None = None) -> bool:
    """Whether nothing but fixed relations was found, the very ones of before: ``among`` those of the rules so named."""
    if source.parts is not None or source.shortfalls:
        return False
    rules, relations = source.rules, source.relations
    if among is not None:
        rules = tuple([rule for rule in rules if rule.rule.name in among])
        relations = tuple([relation for relation in relations if relation.rule in among])
    if len(findings) != len(rules):
        return False
    found = []
    for finding, rule in zip(findings, rules, strict=True):
        if finding.rule is not rule or finding.over or finding.unplaced or finding.failures:
            return False
        for part in finding.parts:
            if not isinstance(part, list):
                return False
            found += [(key, link_class or rule.rule.link_class, rule.rule.name) for key, link_class in part]
    return found == [(relation.target, relation.link_class, relation.rule) for relation in relations]


def relations_of(parts: Sequence[tuple[CompiledRule, Held]]) -> tuple[Relation, ...]:
    """The relations of a source in the order of its rules.

    A moving part of a rule may find what another part has found; the relation is told once. Only one parent can take an
    object into its trace: of all that ask for it, the first keeps ``same_trace``.
    """
    found = list(itertools.chain.from_iterable([_relations_in(held) for _, held in parts]))
    if len(parts) > 1 and any(not isinstance(held, tuple) for _, held in parts):
        found = list(dict.fromkeys(found))
    if any(rule.rule.same_trace and rule.rule.role == "Parent" for rule, _ in parts):
        takers = [place for place, each in enumerate(found) if each.same_trace and each.role == "Parent"]
        for place in takers[1:]:
            found[place] = found[place]._replace(same_trace=False)
    return tuple(found)


def _relations_in(held: Held) -> tuple[Relation, ...]:
    if isinstance(held, tuple):
        return held
    if isinstance(held, Selected):
        return held.relations()
    return (held.relation,) if held.relation is not None else ()


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
