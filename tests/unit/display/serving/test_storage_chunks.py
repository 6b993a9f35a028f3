"""Displayed spans as Jaeger gets them: nothing lost, nothing mixed up, whatever is in them; messages of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.display.answering.contract import DisplayedSpan, TraceQuestion
from kubeweft.display.serving.storage_v2.chunks import MOST_BYTES, MOST_SPANS, chunks_of, trace_chunks
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import AttributeValue, SpanLink
from kubeweft.otlp.attributes import clean_text, clean_value
from story_answers import answers_of, story

TRACE = b"\x4b" + bytes(15)
TEXTS = st.text(st.characters(), max_size=120) | st.sampled_from([v.AUDIT_ID, "a", "error", "\ud800"])
VALUES = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.sampled_from([1, True, 1.0, 0.0, -0.0])
)
SPANS = st.builds(
    DisplayedSpan,
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.binary(min_size=8, max_size=8) | st.just(b""),
    service=st.sampled_from(["Pod", "request", "gap"]),
    operation=TEXTS,
    start=st.integers(0, 2**62),
    end=st.integers(2**62, 2**63 - 2),
    attributes=st.dictionaries(TEXTS.map(clean_text), VALUES, max_size=6),
    links=st.lists(
        st.builds(
            SpanLink, st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.just({})
        ),
        max_size=2,
    ).map(tuple),
    error=TEXTS,
)


def read(message: bytes) -> Iterator[tuple[str, otlp.Span]]:
    """The spans of a message, each with its service."""
    for resource in otlp.TracesData.FromString(message).resource_spans:
        (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == v.SERVICE_NAME]
        for scope in resource.scope_spans:
            yield from ((service, span) for span in scope.spans)


def told(span: otlp.Span) -> dict[str, tuple[str, AttributeValue]]:
    """The attributes with their types."""
    kinds = {a.key: a.value.WhichOneof("value") for a in span.attributes}
    return {a.key: (kinds[a.key], getattr(a.value, kinds[a.key])) for a in span.attributes}


def expected(value: AttributeValue) -> tuple[str, AttributeValue]:
    cleaned = clean_value(value)
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    return kinds[cleaned.__class__], cleaned


@settings(max_examples=60)
@given(st.lists(SPANS, max_size=6))
def test_everything_that_a_span_says_arrives(spans: list[DisplayedSpan]) -> None:
    written = [pair for message in trace_chunks(TRACE, spans) for pair in read(message)]
    assert len(written) == len(spans)
    for service in {span.service for span in spans}:
        here = [span for name, span in written if name == service]
        for wire, span in zip(here, [one for one in spans if one.service == service], strict=True):
            assert (wire.trace_id, wire.span_id, wire.parent_span_id) == (TRACE, *span[:2])
            assert wire.name == clean_text(span.operation)
            assert (wire.start_time_unix_nano, wire.end_time_unix_nano) == (span.start, span.end + 1)
            assert told(wire) == {
                clean_text(name): expected(value) for name, value in span.attributes.items()
            }
            assert [(link.trace_id, link.span_id) for link in wire.links] == [
                (link.trace_id, link.span_id) for link in span.links
            ]
            assert (wire.status.code == 2) == bool(span.error)
            assert wire.status.message == clean_text(span.error)


def test_zeros_keep_their_signs_and_truths_stay_truths() -> None:
    values: list[AttributeValue] = [1, True, 1.0, 0.0, -0.0, "1"] * 2
    spans = [
        DisplayedSpan(bytes([n]) * 8, b"", "s", "o", 1, 2, {"x": value}) for n, value in enumerate(values)
    ]
    found = [told(span)["x"] for message in trace_chunks(TRACE, spans) for _, span in read(message)]
    assert [repr(value) for _, value in found] == [repr(value) for value in values]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 400_000), max_size=8), st.integers(0, 1200))
def test_messages_are_never_empty_and_never_too_large(sizes: list[int], small: int) -> None:
    texts = ["x" * size for size in sizes] + ["y"] * small
    spans = [DisplayedSpan(n.to_bytes(8), b"", f"s{n % 40}", text, 1, 2, {}) for n, text in enumerate(texts)]
    messages = list(trace_chunks(TRACE, spans))
    assert sum(len(list(read(message))) for message in messages) == len(spans)
    for message in messages:
        assert 0 < len(list(read(message))) <= MOST_SPANS
        assert len(message) < MOST_BYTES + 64 * 1024 < 1024**2


def test_nothing_to_say_is_no_message() -> None:
    assert list(trace_chunks(TRACE, [])) == []
    assert list(chunks_of([])) == []


def test_traces_are_not_mixed() -> None:
    answers = answers_of(story())
    traces = list(answers.find(TraceQuestion()))
    assert len(traces) == 4
    messages = list(chunks_of(traces))
    ids = [{span.trace_id for _, span in read(message)} for message in messages]
    assert all(len(one) == 1 for one in ids)
    assert [one for (one,) in ids] == [trace.trace_id for trace in traces]
