"""Searches as servers answer them: what was found while there was time, and last a trace that says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from kubeweft.display.answering.contract import Answers, DisplayedTrace, TraceQuestion, TraceSummary
from kubeweft.display.serving import notices
from kubeweft.display.serving.answers import summary_of
from kubeweft.display.serving.searches import MOST_TRACES
from kubeweft.display.tree.trees import FOREVER
from kubeweft.model.errors import UserError
from kubeweft.runtime.stopping import Stopped

Found = TypeVar("Found", DisplayedTrace, TraceSummary)


def find_in_time(
    answers: Answers, question: TraceQuestion, *, explains: bool = False
) -> Iterator[DisplayedTrace]:
    """The traces found, and a notice where time was over or there was no room for more.

    With ``explains`` one tells what is wrong with the question, too, instead of ``UserError``.
    """
    return _told(answers.find, question, _as_it_is, explains=explains)


def summarise_in_time(
    answers: Answers, question: TraceQuestion, *, explains: bool = False
) -> Iterator[TraceSummary]:
    """The same without their spans."""
    return _told(answers.summaries, question, summary_of, explains=explains)


def _told(
    find: Callable[[TraceQuestion], Iterator[Found]],
    question: TraceQuestion,
    shape: Callable[[DisplayedTrace], Found],
    *,
    explains: bool,
) -> Iterator[Found]:
    count = 0
    try:
        for one in find(question):
            count += one.trace_id != notices.NOTICE_ID
            yield one
            del one  # before the next is made: one tree in memory
    except Stopped as error:
        yield shape(notices.explanation(str(error), at=_moment_of(question)))
    except UserError as error:
        if not explains:
            raise
        yield shape(notices.explanation(str(error), at=_moment_of(question)))
    else:
        if count >= MOST_TRACES < question.limit:
            yield shape(notices.no_more_at_once(MOST_TRACES, at=_moment_of(question)))


def _as_it_is(trace: DisplayedTrace) -> DisplayedTrace:
    return trace


def _moment_of(question: TraceQuestion) -> int:
    """Where a notice lies on the axis of time: inside of what was asked for."""
    return question.since if question.until >= FOREVER else question.until
