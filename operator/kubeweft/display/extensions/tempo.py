"""Grafana Tempo, or what speaks its API, as a source: a search in TraceQL, then each trace found.

One search asks for many values at once, so a tree of hundreds of requests is a few questions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kubeweft.display.extensions.http_api import Access, HttpApi
from kubeweft.display.extensions.sources import ForeignAnswer, ForeignQuestion, SourceFailed
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.windows import NANOSECONDS
from kubeweft.otlp.foreign import Hiding, foreign_spans_of_json

VALUES_AT_ONCE: Final = 40  # a query is part of a URL, which proxies cut at 8 kB


class TempoSource:
    """One Tempo."""

    is_empty = False  # nobody knows before it is asked

    def __init__(self, name: str, access: Access, *, hiding: Hiding) -> None:
        """``hiding`` takes secrets out of what comes."""
        self.name = name
        self._api = HttpApi(access)
        self._hiding = hiding

    def find(self, question: ForeignQuestion) -> ForeignAnswer:
        """The traces that are wanted."""
        found, unasked = self._search(question)
        spans: list[ForeignSpan] = []
        for number, trace_id in enumerate(found):
            if number >= question.most_traces or len(spans) >= question.most_spans:
                return ForeignAnswer(spans, len(found) - number, unasked)
            spans += self._trace(trace_id, question)
        return ForeignAnswer(spans, unasked=unasked)

    def _search(self, question: ForeignQuestion) -> tuple[list[str], int]:
        """The IDs of traces, in the order of what is asked, of one question the earliest first; and what was not asked."""
        found: dict[str, None] = {}
        for begin in range(0, len(question.joins), VALUES_AT_ONCE):
            asked = {
                "q": query_for(question.joins[begin : begin + VALUES_AT_ONCE]),
                "start": str(max(question.since, 0) // NANOSECONDS),
                "end": str(question.until // NANOSECONDS + 1),
                "limit": str(question.most_traces + 1),
            }
            answer = self._api.get("/api/search", asked, question)
            try:
                traces = [_found(trace) for trace in answer.get("traces") or ()]
            except (AttributeError, KeyError, TypeError, ValueError):
                raise SourceFailed("its answer is not what Tempo answers") from None
            found.update(dict.fromkeys(trace_id for _, trace_id in sorted(traces)))
            if len(found) > question.most_traces:
                return list(found), max(0, len(question.joins) - begin - VALUES_AT_ONCE)
        return list(found), 0

    def _trace(self, trace_id: str, question: ForeignQuestion) -> list[ForeignSpan]:
        answer = self._api.get(f"/api/v2/traces/{trace_id}", {}, question)
        if not answer:  # a Tempo before 2.7
            answer = self._api.get(f"/api/traces/{trace_id}", {}, question)
        try:
            trace = answer.get("trace") or answer
            groups = trace.get("resourceSpans") or trace.get("batches") or ()
            return foreign_spans_of_json(groups, hiding=self._hiding).spans
        except (AttributeError, KeyError, TypeError, ValueError):
            raise SourceFailed("its answer is not what Tempo answers") from None


def query_for(joins: Sequence[tuple[str, str]]) -> str:
    """The TraceQL for spans that have one of these attributes, their own or their resource's."""
    conditions = [
        f"{scope}.{json.dumps(name)} = {json.dumps(value)}"
        for name, value in joins
        for scope in _scopes(name)
    ]
    return f"{{ {' || '.join(conditions)} }}"


def _scopes(name: str) -> tuple[str, ...]:
    """Kubernetes' own attributes may be those of a resource; scoped conditions are several times as fast."""
    return ("span",) if name == "audit-id" else ("span", "resource")


def _found(trace: Mapping[str, Any]) -> tuple[int, str]:
    trace_id = str(trace["traceID"]).zfill(32)
    bytes.fromhex(trace_id)  # it becomes part of a path
    return int(trace.get("startTimeUnixNano", 0)), trace_id
