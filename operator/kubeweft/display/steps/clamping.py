"""No effect before its cause: where only a clock can be to blame, what was caused is shown when its cause began.

Servers have clocks of their own, and many times are known to the second only. What is moved says by how much, and text
goes on telling the time that was observed.
"""

from __future__ import annotations

import dataclasses
import operator

from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.changing import each_list
from kubeweft.display.tree.made import SHOWN_MOVED, SHOWN_SKEW, tag, with_tags
from kubeweft.display.tree.trees import Fact, Tree, is_whole_second
from kubeweft.display.words.axis import duration
from kubeweft.model.windows import NANOSECONDS

SECONDS = Duration(TOLERANCE)
GATHERED = frozenset({"group", "object"})


def clamp_clocks(tree: Tree, *, most: Duration = SECONDS) -> Tree:
    """Facts begin with their cause where they seem to have begun up to ``most`` before it; the rest is left alone."""
    return each_list(tree, lambda facts: tuple([_clamped(fact, most) for fact in facts]))


def _clamped(fact: Fact, most: int) -> Fact:
    if not fact.children:
        return fact
    is_cause = fact.span.source not in GATHERED and not fact.folds
    children = [_clamped(_after(child, fact, most) if is_cause else child, most) for child in fact.children]
    same = all(map(operator.is_, children, fact.children))
    return fact if same else fact.holding(tuple(children))


def _after(child: Fact, cause: Fact, most: int) -> Fact:
    early = cause.start - child.start
    if not 0 < early <= most:
        return child
    moved = int(tag(child.label, SHOWN_MOVED) or 0) + early
    tags = [(SHOWN_MOVED, str(moved))]
    if not (is_whole_second(child) and early < NANOSECONDS):  # else it may have been then
        tags.append((SHOWN_SKEW, duration(early)))
    label = with_tags(child.label, *tags)
    return dataclasses.replace(child, start=child.start + early, end=child.end + early, label=label)
