"""Grafana Tempo, or what speaks its API, as a source: a search in TraceQL, then each trace found.

One search asks for many values at once, so a tree of hundreds of requests is a few questions. Requests are asked for
before Pods, whose programs may have thousands of traces, and none for more time than Tempo searches at once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kubeweft.display.extensions.http_api import Access, HttpApi
from kubeweft.display.extensions.sources import ForeignAnswer, ForeignJoin, ForeignQuestion, SourceFailed
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.windows import NANOSECONDS
from kubeweft.otlp.foreign import Hiding, foreign_spans_of_json

VALUES_AT_ONCE: Final = 40  # a query is part of a URL, which proxies cut at 8 kB
LONGEST_SEARCH: Final = 7 * 86_400 * NANOSECONDS - 2 * NANOSECONDS
"""Tempo's own limit (``max_duration``) is a week, and whole seconds are asked for."""
SHORT: Final = 60 * NANOSECONDS  # what lasts longer may have many traces, and is asked for apart


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
        joins = [_searchable(join) for join in question.joins]
        before = max(
            [cut.since for cut, join in zip(joins, question.joins, strict=True) if cut != join], default=0
        )
        found, unasked = self._search(joins, question)
        spans: list[ForeignSpan] = []
        for number, trace_id in enumerate(found):
            if number >= question.most_traces or len(spans) >= question.most_spans:
                return ForeignAnswer(spans, len(found) - number, unasked, before)
            try:
                spans += self._trace(trace_id, question)
            except SourceFailed:
                if spans and question.is_over():
                    return ForeignAnswer(spans, len(found) - number, unasked, before)
                raise
        return ForeignAnswer(spans, unasked=unasked, before=before)

    def _search(self, joins: Sequence[ForeignJoin], question: ForeignQuestion) -> tuple[list[str], int]:
        """The IDs of traces, in the order of what is asked, of one question the earliest first; and what was not asked."""
        found: dict[str, None] = {}
        unasked = len(joins)
        for group in together(joins):
            since, until = _range(group)
            asked = {
                "q": query_for(group),
                "start": str(max(since, 0) // NANOSECONDS),
                "end": str(until // NANOSECONDS + 1),
                "limit": str(question.most_traces + 1),
            }
            try:
                answer = self._api.get("/api/search", asked, question)
            except SourceFailed:
                if found and question.is_over():
                    break
                raise
            try:
                traces = [_found(trace) for trace in answer.get("traces") or ()]
            except (AttributeError, KeyError, TypeError, ValueError):
                raise SourceFailed("its answer is not what Tempo answers") from None
            found.update(dict.fromkeys(trace_id for _, trace_id in sorted(traces)))
            unasked -= len(group)
            if len(found) > question.most_traces:
                break
        return list(found), unasked

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


def together(joins: Sequence[ForeignJoin]) -> Iterator[list[ForeignJoin]]:
    """What one search asks for: as many values as there is room for, and of no more time than it takes."""
    for _, alike in itertools.groupby(sorted(joins, key=lambda join: (_is_long(join), join.since)), _is_long):
        group: list[ForeignJoin] = []
        for join in alike:
            since, until = _range([*group, join])
            if group and (len(group) >= VALUES_AT_ONCE or until - since > LONGEST_SEARCH):
                yield group
                group = []
            group.append(join)
        yield group


def _is_long(join: ForeignJoin) -> bool:
    return join.until - join.since > SHORT


def _searchable(join: ForeignJoin) -> ForeignJoin:
    """The latest part of its time that one search takes."""
    return join._replace(since=max(join.since, join.until - LONGEST_SEARCH))


def _range(group: Sequence[ForeignJoin]) -> tuple[int, int]:
    return min(join.since for join in group), max(join.until for join in group)


def query_for(joins: Sequence[ForeignJoin]) -> str:
    """The TraceQL for spans that have one of these attributes, their own or their resource's."""
    conditions = [
        f"{scope}.{json.dumps(join.attribute)} = {json.dumps(join.value)}"
        for join in joins
        for scope in _scopes(join.attribute)
    ]
    return f"{{ {' || '.join(conditions)} }}"


def _scopes(name: str) -> tuple[str, ...]:
    """Kubernetes' own attributes may be those of a resource; scoped conditions are several times as fast."""
    return ("span",) if name == "audit-id" else ("span", "resource")


def _found(trace: Mapping[str, Any]) -> tuple[int, str]:
    trace_id = str(trace["traceID"]).zfill(32)
    bytes.fromhex(trace_id)  # it becomes part of a path
    return int(trace.get("startTimeUnixNano", 0)), trace_id
