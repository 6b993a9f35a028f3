"""Displayed traces in Jaeger's own JSON, piece by piece: the old dialect, which Jaeger's UI and Grafana read.

Processes stand after the spans, since a service is known when its first span is there. Times are microseconds.
Shapes are structs that the garbage collector does not look at: beside a large tree, that halves the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace
from kubeweft.display.serving.http.pieces import batches, dump, warnings_of
from kubeweft.model.spans import Attributes, AttributeValue

LARGEST_SAFE_INTEGER: Final = 2**53 - 1  # beyond, JavaScript rounds
NO_SPAN: Final = "0" * 16


class Tag(msgspec.Struct, frozen=True, gc=False, rename={"kind": "type"}):
    """One attribute."""

    key: str
    kind: str
    value: AttributeValue


class Reference(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"kind": "refType", "trace_id": "traceID", "span_id": "spanID"},
):
    """What a span has to do with another."""

    kind: str
    trace_id: str
    span_id: str


class JaegerSpan(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "trace_id": "traceID",
        "span_id": "spanID",
        "operation": "operationName",
        "start": "startTime",
        "process": "processID",
    },
):
    """One span; times are microseconds."""

    trace_id: str
    span_id: str
    operation: str
    references: list[Reference]
    start: int
    duration: int
    tags: list[Tag]
    process: str
    flags: int = 1
    logs: tuple[()] = ()
    warnings: None = None


def trace_pieces(trace: DisplayedTrace, *, pretty: bool = False) -> Iterator[bytes]:
    """The JSON object of one trace; ``pretty`` is for people.

    The first piece comes soon, but with spans in it: what fails while they are made is known before anything is sent.
    """
    writing = _Writing(trace)
    before = b'{"traceID":"%s","spans":[' % trace.trace_id.hex().encode()
    for spans in batches(trace.spans):
        written = dump([writing.span(span) for span in spans], pretty=pretty)
        yield before + written[1:-1]
        before = b","
    if not writing.processes:
        yield before
    processes = {name: {"serviceName": service, "tags": []} for service, name in writing.processes.items()}
    yield b'],"processes":%s,"warnings":%s}' % (
        dump(processes, pretty=pretty),
        dump(warnings_of(trace.tree), pretty=pretty),
    )


class _Writing:
    """One trace while it is written."""

    def __init__(self, trace: DisplayedTrace) -> None:
        self.trace_id = trace.trace_id.hex()
        self.processes: dict[str, str] = {}
        self.written: set[bytes] = set()

    def span(self, span: DisplayedSpan) -> JaegerSpan:
        process = self.processes.get(span.service)
        if process is None:
            process = self.processes[span.service] = f"p{len(self.processes) + 1}"
        self.written.add(span.span_id)
        start = span.start // 1000
        length = span.end // 1000 - start
        return JaegerSpan(
            self.trace_id,
            span.span_id.hex(),
            span.operation,
            self._references(span),
            start,
            # The UI divides by the length of the whole trace, which is that of its root.
            length if span.parent_span_id else max(length, 1),
            _tags(span.attributes, span.error),
            process,
        )

    def _references(self, span: DisplayedSpan) -> list[Reference]:
        """The parent comes first: the UI takes the first reference for the place of a span, whatever its type."""
        links = [self._link(link.trace_id.hex(), link.span_id) for link in span.links]
        if not span.parent_span_id:
            return links
        return [Reference("CHILD_OF", self.trace_id, span.parent_span_id.hex()), *links]

    def _link(self, trace_id: str, span_id: bytes) -> Reference:
        """A link into another trace, which may know its object by the same span ID as this one.

        The UI finds the spans of references by their ID alone. One that leads back to the span itself, or to one above
        it, would make it lose the tree, or walk in a circle for ever; then the trace alone has to do.
        """
        is_ambiguous = trace_id != self.trace_id and span_id in self.written
        return Reference("FOLLOWS_FROM", trace_id, NO_SPAN if is_ambiguous else span_id.hex())


def _tags(attributes: Attributes, error: str) -> list[Tag]:
    tags = [
        Tag(key, "string", value) if value.__class__ is str else _tag(key, value)
        for key, value in attributes.items()  # nearly all are text
    ]
    if error:
        tags += [_ERROR, _STATUS, Tag("otel.status_description", "string", error)]
    return tags


def _tag(key: str, value: AttributeValue) -> Tag:
    if isinstance(value, str):
        return Tag(key, "string", value)
    if isinstance(value, bool):
        return Tag(key, "bool", value)
    if isinstance(value, int):
        fits = -LARGEST_SAFE_INTEGER <= value <= LARGEST_SAFE_INTEGER
        return Tag(key, "int64", value if fits else str(value))
    return Tag(key, "float64", value if math.isfinite(value) else str(value))


_ERROR: Final = Tag("error", "bool", True)
_STATUS: Final = Tag("otel.status_code", "string", "ERROR")
