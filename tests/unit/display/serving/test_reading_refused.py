"""A store that refuses to give so much has something to say: it is not taken for one in which there is nothing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kubeweft.display.answering.contract import TraceQuestion
from kubeweft.model.errors import UserError
from kubeweft.model.spans import Span
from memory_reader import MemoryReader
from story_answers import answers_of, story


class Refusing(MemoryReader):
    """Finds objects, and gives no span of them."""

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        raise UserError("the answer is too large")


@pytest.mark.parametrize("service", ["tree", "tree full"])
def test_what_a_store_refuses_is_told(service: str) -> None:
    question = TraceQuestion(service=service, tags={"kind": "deploy"})
    (trace,) = answers_of(story()).find(question)
    answers = answers_of(Refusing(story()))
    with pytest.raises(UserError, match="too large"):
        answers.open(trace.trace_id)
    with pytest.raises(UserError, match="too large"):
        list(answers.find(question))
