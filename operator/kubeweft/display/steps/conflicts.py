"""Group the requests that failed with 409 against one old version: a conflict storm is one fact, not hundreds.

Each says which write had replaced that version, where that is known: who it was that they ran into.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kubeweft.display.steps.gathering import CONFLICT
from kubeweft.display.tree.changing import each_list, relabelled
from kubeweft.display.tree.made import SHOWN_REPLACED, changes_made, with_tags
from kubeweft.display.tree.trees import Fact, Tree
from kubeweft.display.words.actors import requester
from kubeweft.model import vocabulary as v


def group_conflicts(tree: Tree) -> Tree:
    """The first of several conflicts against one version has the others under it and lasts until the last."""
    return each_list(tree, lambda facts: fold_conflicts(_with_winners(facts)))


def fold_conflicts(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The same for a list of facts, maybe of several objects; a storm stands where its first conflict stood."""
    storms: dict[tuple[object, str], list[Fact]] = {}
    for fact in facts:
        if is_conflict(fact):
            storms.setdefault(_against(fact), []).append(fact)
    if all(len(conflicts) == 1 for conflicts in storms.values()):
        return tuple(facts)
    kept = []
    for fact in facts:
        if not is_conflict(fact):
            kept.append(fact)
        elif conflicts := storms.pop(_against(fact), None):
            kept.append(_storm(conflicts))
    return tuple(kept)


def unfold_conflicts(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Storms taken apart again into the requests that they are made of."""
    if not any(fact.folds == "conflicts" for fact in facts):
        return tuple(facts)
    apart: list[Fact] = []
    for fact in facts:
        if fact.folds != "conflicts":
            apart.append(fact)
        else:
            first = msgspec.structs.replace(
                fact, end=max(fact.start, fact.start + fact.span.end - fact.span.start), children=(), folds=""
            )
            apart.extend((first, *fact.children))
    return tuple(apart)


def _with_winners(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    if not any(is_conflict(fact) for fact in facts):
        return facts
    replaced: dict[tuple[object, str], str] = {}
    for fact in facts:
        for change in changes_made(fact) if fact.span.source == "request" else (fact,):
            if old := change.text(v.OLD_VERSION):
                replaced.setdefault((fact.span.key, old), _write(fact))
    return tuple([_with_winner(fact, replaced.get(_against(fact), "")) for fact in facts])


def _with_winner(fact: Fact, write: str) -> Fact:
    if not write or not is_conflict(fact):
        return fact
    return relabelled(fact, with_tags(fact.label, (SHOWN_REPLACED, write)), fact.children)


def _write(fact: Fact) -> str:
    """``update by jane (kubectl)``; of a change without its request whose field manager is unknown nothing."""
    if fact.span.source == "request":
        return f"{fact.span.name} by {requester(fact).name}"
    manager = fact.text(v.FIELD_MANAGER)
    return f"{fact.span.name} by {manager}" if manager else ""


def is_conflict(fact: Fact) -> bool:
    """Whether a request was refused because the object had changed since the client read it."""
    return (
        fact.span.source == "request"
        and fact.number(v.CODE) == CONFLICT
        and bool(fact.text(v.REQUEST_BASE_VERSION))
    )


def _against(fact: Fact) -> tuple[object, str]:
    return fact.span.key, fact.text(v.REQUEST_BASE_VERSION)


def _storm(facts: list[Fact]) -> Fact:
    first, *others = sorted(facts, key=lambda f: (f.start, f.end, f.span.span_id))
    if not others:
        return first
    return msgspec.structs.replace(
        first, end=max(f.end for f in facts), children=tuple(others), folds="conflicts"
    )
