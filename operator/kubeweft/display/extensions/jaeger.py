"""Jaeger, or what speaks its query API (``/api/traces``), as a source.

Jaeger searches within one service, and for all tags together, so each value is a question of its own for each service:
they are few, asked until the time is over, and what was not asked is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kubeweft.display.extensions.http_api import Access, HttpApi
from kubeweft.display.extensions.sources import ForeignAnswer, ForeignJoin, ForeignQuestion, SourceFailed
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.spans import Attributes, AttributeValue
from kubeweft.otlp.foreign import Hiding, cleaned, is_ours

MICROSECOND: Final = 1000
MOST_QUESTIONS: Final = 64
TRACES_EACH: Final = 100  # of one value and service; of more Jaeger gives the latest
OURS: Final = "kubeweft-"  # the services under which Kubeweft's own spans are exported
KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


class JaegerSource:
    """One Jaeger; ``services`` are those to look in, else all that it knows."""

    is_empty = False  # nobody knows before it is asked

    def __init__(self, name: str, access: Access, *, hiding: Hiding, services: Sequence[str] = ()) -> None:
        """``hiding`` takes secrets out of what comes."""
        self.name = name
        self._api = HttpApi(access)
        self._hiding = hiding
        self._services = tuple(services)

    def find(self, question: ForeignQuestion) -> ForeignAnswer:
        """The traces that are wanted, as far as there is time for the questions."""
        services = self._services or self._all_services(question)
        asked = [(service, join) for join in question.joins for service in services]
        spans: dict[tuple[bytes, bytes], ForeignSpan] = {}
        traces: set[bytes] = set()
        more = 0
        for number, (service, join) in enumerate(asked):
            unasked = len(question.joins) - number // len(services)
            if (
                number >= MOST_QUESTIONS
                or len(traces) >= question.most_traces
                or len(spans) >= question.most_spans
            ):
                return ForeignAnswer(list(spans.values()), more, unasked)
            try:
                found, left_out = self._search(service, join, question)
            except SourceFailed:
                if spans and question.is_over():
                    return ForeignAnswer(list(spans.values()), more, unasked)
                raise
            more += left_out
            for span in found:
                spans.setdefault((span.trace_id, span.span_id), span)
                traces.add(span.trace_id)
        return ForeignAnswer(list(spans.values()), more)

    def _all_services(self, question: ForeignQuestion) -> list[str]:
        named = self._api.get("/api/services", {}, question).get("data") or ()
        return sorted(str(name) for name in named if not str(name).startswith(OURS))

    def _search(
        self, service: str, join: ForeignJoin, question: ForeignQuestion
    ) -> tuple[list[ForeignSpan], int]:
        """The spans of the traces found, and how many traces (at least) had no room."""
        asked = {
            "service": service,
            "tags": json.dumps({join.attribute: join.value}),
            "start": str(max(join.since, 0) // MICROSECOND),
            "end": str(join.until // MICROSECOND + 1),
            "limit": str(TRACES_EACH + 1),
        }
        answer = self._api.get("/api/traces", asked, question)
        try:
            traces = list(answer.get("data") or ())
            told = [span for trace in traces[:TRACES_EACH] for span in _spans(trace)]
            return [cleaned(span, hiding=self._hiding) for span in told], len(traces[TRACES_EACH:])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise SourceFailed("its answer is not what Jaeger answers") from None


def _spans(trace: Mapping[str, Any]) -> Iterator[ForeignSpan]:
    processes = {
        name: (str(process.get("serviceName", "")), _tags(process.get("tags") or ()))
        for name, process in (trace.get("processes") or {}).items()
    }
    for told in trace.get("spans") or ():
        service, resource = processes.get(told.get("processID", ""), ("", {}))
        if not is_ours(resource) and not service.startswith(OURS):
            yield _span(told, service, resource)


def _span(told: Mapping[str, Any], service: str, resource: Attributes) -> ForeignSpan:
    tags = _tags(told.get("tags") or ())
    start = int(told["startTime"]) * MICROSECOND
    failed = str(tags.pop("error", "")).lower() == "true" or tags.get("otel.status_code") == "ERROR"
    message = str(tags.pop("otel.status_description", ""))
    return ForeignSpan(
        bytes.fromhex(str(told["traceID"]).zfill(32)),
        bytes.fromhex(str(told["spanID"]).zfill(16)),
        _parent(told),
        service,
        str(told.get("operationName", "")),
        start,
        start + int(told.get("duration", 0)) * MICROSECOND,
        KINDS.get(str(tags.pop("span.kind", "")), 0),
        tags,
        resource,
        (message or "failed") if failed else "",
    )


def _parent(told: Mapping[str, Any]) -> bytes:
    """The parent among the references: the first of the same trace."""
    for reference in told.get("references") or ():
        if reference.get("refType") == "CHILD_OF" and reference.get("traceID") == told.get("traceID"):
            return bytes.fromhex(str(reference["spanID"]).zfill(16))
    return b""


def _tags(pairs: Iterable[Mapping[str, Any]]) -> Attributes:
    return {str(pair["key"]): _value(pair.get("value", "")) for pair in pairs}


def _value(value: Any) -> AttributeValue:
    return value if isinstance(value, str | bool | int | float) else str(value)
