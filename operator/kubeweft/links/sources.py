"""What the linker remembers of one source: which rules match it, and what they found."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence

from kubeweft.links.compiled import CompiledRule
from kubeweft.links.examining import Finding, Rising, Selected
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation

Held = tuple[Relation, ...] | Selected | Rising


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
