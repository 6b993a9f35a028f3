"""What a search says of itself: where its time was over, where it could give no more, and what was wrong with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

import pytest

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace, TraceQuestion
from kubeweft.display.serving.finding import find_in_time, summarise_in_time
from kubeweft.display.serving.http.old_dialect import _found as old_found
from kubeweft.display.serving.http.v3_dialect import _found as v3_found
from kubeweft.display.serving.notices import NOTICE_ID
from kubeweft.display.serving.searches import MOST_TRACES
from kubeweft.display.serving.storage_v2.chunks import chunks_of
from kubeweft.model.errors import UserError
from kubeweft.runtime.stopping import took_longer_than
from query_api import TRACE_ID, FixedAnswers, displayed, trace_of, tree
from span_builders import at
from story_answers import answers_of, story

HOUR = TraceQuestion(since=at("10:00:00"), until=at("11:00:00"))


class Ending(FixedAnswers):
    """Finds so many traces, and then fails."""

    def __init__(self, found: int, error: Exception | None = None) -> None:
        super().__init__()
        self.found, self.error = found, error

    def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        for _ in range(self.found):
            yield trace_of([displayed(0)])
        if self.error:
            raise self.error


def test_a_search_whose_time_is_over_gives_what_it_has_found_and_says_so() -> None:
    *found, last = find_in_time(Ending(2, took_longer_than(8)), HOUR)
    assert [trace.trace_id for trace in found] == [TRACE_ID] * 2
    assert last.trace_id == NOTICE_ID
    (span,) = last.spans
    assert span.operation == "the answer took longer than 8 seconds: narrow the search, or its range of time"
    assert span.error == span.operation
    assert (span.service, span.start, span.parent_span_id) == ("more", HOUR.until, b"")


def test_a_notice_can_be_opened_and_says_what_to_do() -> None:
    (last,) = find_in_time(Ending(0, took_longer_than(8)), TraceQuestion(since=7))
    (span,) = last.spans
    assert (span.start, span.end) == (7, 7)
    opened = answers_of(story()).open(last.trace_id)
    assert opened is not None
    assert "search again" in next(opened.spans).operation


def test_a_wrong_question_is_an_error_unless_that_has_to_be_explained() -> None:
    wrong = Ending(1, UserError("there is no service 'x'"))
    with pytest.raises(UserError):
        list(find_in_time(wrong, HOUR))
    _, last = find_in_time(wrong, HOUR, explains=True)
    assert [span.operation for span in last.spans] == ["there is no service 'x'"]


def test_summaries_say_the_same() -> None:
    answers = answers_of(story())
    (last,) = summarise_in_time(answers, TraceQuestion(service="x"), explains=True)
    assert (last.trace_id, last.services) == (NOTICE_ID, {"more": (1, 1)})
    assert "there is no service 'x'" in last.operation
    assert len(list(summarise_in_time(answers, TraceQuestion()))) == 4


@pytest.mark.parametrize(
    ("found", "limit", "says"),
    [
        (MOST_TRACES, MOST_TRACES + 1, True),
        (MOST_TRACES, MOST_TRACES, False),
        (MOST_TRACES - 1, 10**12, False),
    ],
)
def test_more_traces_than_a_search_gives_are_not_dropped_silently(found: int, limit: int, says: bool) -> None:
    *_, last = find_in_time(Ending(found), TraceQuestion(limit=limit))
    assert (last.trace_id == NOTICE_ID) is says
    if says:
        assert f"no search gives more than {MOST_TRACES} traces" in next(last.spans).operation


@pytest.mark.parametrize(
    "written",
    [
        lambda answers: old_found(answers, HOUR, pretty=False),
        lambda answers: v3_found(answers, HOUR),
        lambda answers: chunks_of(find_in_time(answers, HOUR)),
    ],
    ids=["old", "v3", "gRPC"],
)
def test_each_tree_is_let_go_before_the_next_is_made(
    written: Callable[[FixedAnswers], Iterator[bytes]],
) -> None:
    held: list[weakref.ref[Iterator[DisplayedSpan]]] = []

    class Watched(FixedAnswers):
        def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
            for number in range(4):
                assert all(one() is None for one in held)
                spans = (span for span in [displayed(0), displayed(1)])
                held.append(weakref.ref(spans))
                yield DisplayedTrace(bytes((number, *TRACE_ID[1:])), tree(), spans)
                del spans

    assert b"".join(written(Watched()))
    assert len(held) == 4
