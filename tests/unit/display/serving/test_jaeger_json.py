"""Jaeger's own JSON of displayed traces: its shape, its order, and what viewers would stumble over."""

from __future__ import annotations

import time
from typing import Any

import orjson

from kubeweft.display.serving.http.jaeger_json import NO_SPAN, trace_pieces
from kubeweft.display.serving.http.pieces import FIRST_SPANS, SPANS
from kubeweft.display.tree.trees import Truncation
from kubeweft.display.words.left_out_wording import IN_TIME, hint_in_viewers
from kubeweft.model.spans import SpanLink
from query_api import OTHER_ID, ROOT_ID, TRACE_ID, check_shape, displayed, trace_of
from span_builders import at


def read(*spans: Any, pretty: bool = False, **shape: Any) -> Any:
    """The trace as a viewer reads it."""
    trace = orjson.loads(b"".join(trace_pieces(trace_of(spans, **shape), pretty=pretty)))
    check_shape(trace, "Trace")
    return trace


def test_a_trace_has_processes_parents_and_microseconds() -> None:
    trace = read(displayed(0), displayed(1))
    assert trace["traceID"] == TRACE_ID.hex()
    assert trace["processes"] == {
        "p1": {"serviceName": "Deployment", "tags": []},
        "p2": {"serviceName": "request", "tags": []},
    }
    assert trace["spans"][1] == {
        "traceID": TRACE_ID.hex(),
        "spanID": "00000000000000a2",
        "flags": 1,
        "operationName": "update 1",
        "references": [{"refType": "CHILD_OF", "traceID": TRACE_ID.hex(), "spanID": ROOT_ID.hex()}],
        "startTime": at("10:00:01") // 1000,
        "duration": 2500,
        "tags": [{"key": "kubeweft.request.verb", "type": "string", "value": "update"}],
        "logs": [],
        "processID": "p2",
        "warnings": None,
    }
    assert trace["spans"][0]["references"] == []


def test_a_span_never_ends_after_its_parent_because_of_rounding() -> None:
    start = at("10:00:00")
    root = displayed(0, start=start, end=start + 2_001)
    child = displayed(1, start=start + 1_999, end=start + 2_001)
    root_json, child_json = read(root, child)["spans"]
    ends = [span["startTime"] + span["duration"] for span in (root_json, child_json)]
    assert ends[0] == ends[1]


def test_a_root_lasts_a_microsecond_at_least_because_the_ui_divides_by_it() -> None:
    start = at("10:00:00")
    spans = read(displayed(0, start=start, end=start), displayed(1, start=start, end=start))["spans"]
    assert [span["duration"] for span in spans] == [1, 0]


def test_values_keep_their_types_and_large_integers_become_text() -> None:
    attributes = {
        "text": "x",
        "truth": True,
        "whole": 7,
        "large": 2**53,
        "least": -(2**53),
        "safe": 2**53 - 1,
        "real": 0.5,
        "none": float("nan"),
        "endless": float("inf"),
    }
    tags = read(displayed(0, attributes=attributes))["spans"][0]["tags"]
    assert [(tag["type"], tag["value"]) for tag in tags] == [
        ("string", "x"),
        ("bool", True),
        ("int64", 7),
        ("int64", str(2**53)),
        ("int64", str(-(2**53))),
        ("int64", 2**53 - 1),
        ("float64", 0.5),
        ("float64", "nan"),
        ("float64", "inf"),
    ]


def test_a_failure_has_the_tags_that_jaeger_gives_it() -> None:
    tags = read(displayed(0, attributes={}, error="conflict"))["spans"][0]["tags"]
    assert {tag["key"]: tag["value"] for tag in tags} == {
        "error": True,
        "otel.status_code": "ERROR",
        "otel.status_description": "conflict",
    }


def test_a_link_comes_after_the_parent_as_follows_from() -> None:
    link = SpanLink(OTHER_ID, b"12345678", {})
    references = read(displayed(0), displayed(1, links=(link,)))["spans"][1]["references"]
    assert [reference["refType"] for reference in references] == ["CHILD_OF", "FOLLOWS_FROM"]
    assert references[1]["traceID"] == OTHER_ID.hex()
    assert references[1]["spanID"] == b"12345678".hex()


def test_a_link_to_an_object_known_by_the_same_span_id_here_does_not_lead_the_ui_into_a_circle() -> None:
    own_trace = SpanLink(OTHER_ID, ROOT_ID, {})
    root, child = read(displayed(0, links=(own_trace,)), displayed(1, links=(own_trace,)))["spans"]
    assert root["references"] == [{"refType": "FOLLOWS_FROM", "traceID": OTHER_ID.hex(), "spanID": NO_SPAN}]
    assert child["references"][1]["spanID"] == NO_SPAN


def test_a_link_within_the_trace_keeps_its_span() -> None:
    link = SpanLink(TRACE_ID, ROOT_ID, {})
    references = read(displayed(0), displayed(1, parent=ROOT_ID, links=(link,)))["spans"][1]["references"]
    assert references[1]["spanID"] == ROOT_ID.hex()


def test_what_was_left_out_is_a_warning() -> None:
    cut = Truncation(what="objects", of="deployments.apps/default/demo", shown=500, more=312, hint=IN_TIME)
    assert read(displayed(0), truncated=(cut,))["warnings"] == [
        f"312 more objects owned by deployments.apps/default/demo: {hint_in_viewers(IN_TIME)}"
    ]


def test_text_that_utf_8_cannot_hold_is_mended() -> None:
    odd = {"key": "a\ud800b"}
    trace = read(displayed(0, operation="\udfff", attributes=odd, error="\ud83d"))
    assert trace["spans"][0]["operationName"] == "\ufffd"
    assert trace["spans"][0]["tags"][0]["value"] == "a\ufffdb"


def test_a_large_trace_comes_in_pieces_and_the_first_is_small() -> None:
    spans = [displayed(number) for number in range(FIRST_SPANS + SPANS + 1)]
    pieces = list(trace_pieces(trace_of(spans)))
    assert len(pieces) == 4  # three of spans, and the tail
    assert pieces[0].count(b'"processID"') == FIRST_SPANS
    trace = orjson.loads(b"".join(pieces))
    assert [span["operationName"] for span in trace["spans"]] == [span.operation for span in spans]


def test_pieces_are_made_only_when_they_are_asked_for() -> None:
    taken: list[int] = []

    def spans() -> Any:
        for number in range(10 * SPANS):
            taken.append(number)
            yield displayed(number)

    pieces = trace_pieces(trace_of(spans()))
    assert taken == []
    next(pieces)
    assert len(taken) == FIRST_SPANS


def test_even_a_trace_without_spans_is_json() -> None:
    assert orjson.loads(b"".join(trace_pieces(trace_of([]))))["spans"] == []


def test_json_for_people_has_lines_and_the_same_content() -> None:
    spans = [displayed(number) for number in range(FIRST_SPANS + 1)]
    plain, pretty = read(*spans), read(*spans, pretty=True)
    assert pretty == plain
    assert b"\n" in b"".join(trace_pieces(trace_of(spans), pretty=True))


def test_a_trace_of_20_000_spans_is_written_in_well_under_a_second_of_cpu() -> None:
    attributes = {f"kubeweft.attribute.{number}": "value" for number in range(12)}
    spans = [displayed(number, attributes=attributes) for number in range(20_000)]
    times = []
    for _ in range(3):
        begin = time.process_time()
        assert sum(len(piece) for piece in trace_pieces(trace_of(spans))) > 10_000_000
        times.append(time.process_time() - begin)
    assert min(times) < 1.5  # measured: 0.35; far above it, since machines differ
