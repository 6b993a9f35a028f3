"""Fetches the spans of other systems for a tree, before any view arranges it.

A source that fails, or is slow, costs its spans and never the tree: ``Tree.truncated`` says which, and why.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from kubeweft.display.extensions.belonging import Belonging, belonging
from kubeweft.display.extensions.sources import (
    ForeignAnswer,
    ForeignJoin,
    ForeignQuestion,
    ForeignSource,
    SourceFailed,
)
from kubeweft.display.extensions.wanting import BUILTIN_RULES, JoinRule, Wanted, wanted_of
from kubeweft.display.tree.trees import Tree, Truncation
from kubeweft.display.words.times import in_words
from kubeweft.model.windows import NANOSECONDS

SLACK: Final = 5 * NANOSECONDS  # two clocks, and audit events that tell their times to the microsecond
NARROW: Final = "narrow the time with --since and --until, or show one of its objects"
MOVE: Final = "move the time with --since and --until"

Answered = tuple[ForeignSource, ForeignAnswer | SourceFailed]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLimits:
    """How much of other systems a tree shows at most: of one value, in all, and of how many values and traces.

    ``seconds`` is how long is waited for all sources together.
    """

    values: int = 5_000
    traces: int = 500
    spans_read: int = 50_000
    spans_each: int = 200
    spans: int = 5_000
    seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Extensions:
    """Where spans of other systems come from, and by which attributes they are joined. ``strict`` for who may not see all.

    ``now`` gives nanoseconds: how far the work of what is still there has come.
    """

    sources: Sequence[ForeignSource]
    rules: Sequence[JoinRule] = BUILTIN_RULES
    limits: ForeignLimits = ForeignLimits()
    strict: bool = False
    now: Callable[[], int] = time.time_ns

    def restricted(self) -> Extensions:
        """For a viewer who may see some objects only: what carries no audit ID is of nobody who could be asked about.

        The spans of a Pod's own program say as much as its logs, which a right to get the Pod does not open.
        """
        return dataclasses.replace(self, strict=True)

    def join(self, tree: Tree) -> Tree:
        """The tree with the spans that belong to it, and with what is missing of them."""
        sources = [source for source in self.sources if not source.is_empty]
        if not sources:
            return tree
        all_wanted = wanted_of(tree, now=self.now())
        wanted = [one for one in all_wanted if one.to == "audit-id" or not self.strict]
        if not wanted:
            return tree
        asked = wanted[: self.limits.values]
        question = self._question(asked)
        answers = list(zip(sources, _ask(sources, question), strict=True))
        found = belonging(
            [span for _, answer in answers if not isinstance(answer, SourceFailed) for span in answer.spans],
            {(one.to, one.value) for one in asked},
            rules=self.rules,
            most_each=self.limits.spans_each,
            most=self.limits.spans,
            strict=self.strict,
        )
        cuts = [*_cuts(tree, found, answers), *_unasked(answers, question, beyond=len(wanted) - len(asked))]
        return dataclasses.replace(tree, foreign=tuple(found.spans), truncated=(*tree.truncated, *cuts))

    def _question(self, asked: Sequence[Wanted]) -> ForeignQuestion:
        return ForeignQuestion(
            joins=[
                ForeignJoin(rule.attribute, one.value, one.start - SLACK, one.end + SLACK)
                for one in asked
                for rule in self.rules
                if rule.to == one.to
            ],
            most_traces=self.limits.traces,
            most_spans=self.limits.spans_read,
            until_when=time.monotonic() + self.limits.seconds,
        )


def _ask(sources: Sequence[ForeignSource], question: ForeignQuestion) -> list[ForeignAnswer | SourceFailed]:
    """All sources at once; each ends by itself when the time is over."""
    if len(sources) == 1:
        return [_answer(sources[0], question)]
    with ThreadPoolExecutor(len(sources), thread_name_prefix="foreign-spans") as threads:
        return list(threads.map(lambda source: _answer(source, question), sources))


def _answer(source: ForeignSource, question: ForeignQuestion) -> ForeignAnswer | SourceFailed:
    try:
        return source.find(question)
    except SourceFailed as error:
        return error


def _cuts(tree: Tree, found: Belonging, answers: Sequence[Answered]) -> Iterator[Truncation]:
    """What limits have left out of what was found."""
    of = str(tree.root.key)
    if found.more:
        yield Truncation(what="foreign", of=of, shown=len(found.spans), more=found.more, hint=NARROW)
    traces = sum(answer.more for _, answer in answers if not isinstance(answer, SourceFailed))
    if traces:
        shown = len({span.trace_id for span in found.spans})
        yield Truncation(what="foreign_traces", of=of, shown=shown, more=traces, hint=NARROW)


def _unasked(answers: Sequence[Answered], question: ForeignQuestion, *, beyond: int) -> Iterator[Truncation]:
    """Sources that failed, or had no time for everything."""
    every = len(question.joins) + beyond
    for source, answer in answers:
        if isinstance(answer, SourceFailed):
            yield Truncation(what="extension", of=source.name, shown=0, more=1, hint=str(answer))
        elif unasked := answer.unasked + beyond:
            hint = f"it was asked about {every - unasked} of {every} requests and Pods; {NARROW}"
            yield Truncation(what="extension", of=source.name, shown=every - unasked, more=unasked, hint=hint)
        if not isinstance(answer, SourceFailed) and answer.before:
            hint = f"it was asked for those since {in_words(answer.before)} only; for earlier ones {MOVE}"
            yield Truncation(what="extension", of=source.name, shown=0, more=1, hint=hint)
