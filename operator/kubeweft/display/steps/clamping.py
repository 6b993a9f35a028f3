"""No effect before its cause: where only a clock can be to blame, what was caused is shown when its cause began.

Servers have clocks of their own, and many times are known to the second only. Where a clock is to blame, all that it told
below moves along, so that no time between two things becomes shorter. What is moved says by how much, and text goes on
telling the time that was observed.
"""

from __future__ import annotations

import operator

from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.changing import each_list, relabelled
from kubeweft.display.tree.made import SHOWN_MOVED, SHOWN_SKEW, tag, with_tags
from kubeweft.display.tree.trees import Fact, Tree, fact_of, is_gathered, is_whole_second
from kubeweft.display.words.axis import duration
from kubeweft.model.windows import NANOSECONDS

SECONDS = Duration(TOLERANCE)


def clamp_clocks(tree: Tree, *, most: Duration = SECONDS) -> Tree:
    """Facts begin with their cause where they seem to have begun up to ``most`` before it; the rest is left alone."""
    return each_list(tree, lambda facts: tuple([_clamped(fact, most) for fact in facts]))


def _clamped(fact: Fact, most: int) -> Fact:
    if not fact.children:
        return fact
    is_cause = not is_gathered(fact) and not fact.folds
    children = [_clamped(_after(child, fact, most) if is_cause else child, most) for child in fact.children]
    same = all(map(operator.is_, children, fact.children))
    return fact if same else fact.holding(tuple(children))


def _after(child: Fact, cause: Fact, most: int) -> Fact:
    early = cause.start - child.start
    if not 0 < early <= most:
        return child
    if is_whole_second(fact_of(child.span)) and early < NANOSECONDS:
        return _shifted(child, early)  # it may have been then, and what it caused was when it was
    moved = _with_all_below(child, early)
    return relabelled(moved, with_tags(moved.label, (SHOWN_SKEW, duration(early))), moved.children)


def _with_all_below(fact: Fact, by: int) -> Fact:
    """Moved together with what stands under it and was told by the same clock, which is that of its cluster."""
    cluster = fact.span.key.cluster
    children = [
        _with_all_below(child, by) if child.span.key.cluster == cluster else child for child in fact.children
    ]
    moved = _shifted(fact, by).holding(tuple(children))
    return moved if moved.finer is None else moved.known(moved.finer._replace(time=moved.finer.time + by))


def _shifted(fact: Fact, by: int) -> Fact:
    label = with_tags(fact.label, (SHOWN_MOVED, str(int(tag(fact.label, SHOWN_MOVED) or 0) + by)))
    return relabelled(fact.moved(fact.start + by, fact.end + by), label, fact.children)
