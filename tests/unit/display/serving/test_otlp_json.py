"""OTLP JSON of displayed traces and summaries: its shape, and what strict readers refuse."""

from __future__ import annotations

from typing import Any

import orjson

from kubeweft.display.answering.contract import TraceSummary
from kubeweft.display.serving.http.otlp_json import resource_pieces, summary_json
from kubeweft.display.tree.trees import Truncation
from kubeweft.model.spans import SpanLink
from query_api import OTHER_ID, ROOT_ID, TRACE_ID, check_shape, displayed, trace_of
from span_builders import at


def read(*spans: Any, **shape: Any) -> list[Any]:
    """The resources as a viewer reads them."""
    resources = orjson.loads(b"[" + b"".join(resource_pieces(trace_of(spans, **shape))) + b"]")
    check_shape({"result": {"resourceSpans": resources}}, "TracesData")
    return list(resources)


def spans_of(resources: list[Any]) -> dict[str, Any]:
    return {
        span["name"]: span
        for resource in resources
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    }


def test_spans_of_a_service_share_a_resource() -> None:
    resources = read(displayed(0), displayed(1), displayed(2))
    assert [resource["resource"]["attributes"] for resource in resources] == [
        [{"key": "service.name", "value": {"stringValue": "Deployment"}}],
        [{"key": "service.name", "value": {"stringValue": "request"}}],
    ]
    assert len(resources[1]["scopeSpans"][0]["spans"]) == 2


def test_a_span_has_hexadecimal_ids_and_nanoseconds_as_text() -> None:
    link = SpanLink(OTHER_ID, b"12345678", {"k": 1})
    span = spans_of(read(displayed(0), displayed(1, links=(link,), error="conflict")))["update 1"]
    assert span == {
        "traceId": TRACE_ID.hex(),
        "spanId": "00000000000000a2",
        "parentSpanId": ROOT_ID.hex(),
        "name": "update 1",
        "kind": 1,
        "startTimeUnixNano": str(at("10:00:01")),
        "endTimeUnixNano": str(at("10:00:01.0025")),
        "attributes": [{"key": "kubeweft.request.verb", "value": {"stringValue": "update"}}],
        "links": [
            {
                "traceId": OTHER_ID.hex(),
                "spanId": b"12345678".hex(),
                "attributes": [{"key": "k", "value": {"intValue": "1"}}],
            }
        ],
        "status": {"code": 2, "message": "conflict"},
    }


def test_a_root_has_no_parent_and_no_error_is_no_status() -> None:
    root = spans_of(read(displayed(0)))["update 0"]
    assert "parentSpanId" not in root
    assert root["status"] == {}


def test_values_are_written_as_protobuf_writes_them() -> None:
    attributes = {
        "text": "",
        "truth": False,
        "whole": 0,
        "huge": 2**70,
        "real": 1.5,
        "none": float("nan"),
        "least": float("-inf"),
    }
    written = spans_of(read(displayed(0, attributes=attributes)))["update 0"]["attributes"]
    assert [attribute["value"] for attribute in written] == [
        {"stringValue": ""},
        {"boolValue": False},
        {"intValue": "0"},
        {"stringValue": str(2**70)},
        {"doubleValue": 1.5},
        {"doubleValue": "NaN"},
        {"doubleValue": "-Infinity"},
    ]


def test_what_was_left_out_is_a_warning_at_the_root() -> None:
    cut = Truncation(what="depth", of="pods/default/a", shown=8, more=2, hint="show it alone")
    spans = spans_of(read(displayed(0), displayed(1), truncated=(cut,)))
    warnings = spans["update 0"]["attributes"][-1]
    assert warnings["key"] == "@jaeger@warnings"
    assert "2 more" in warnings["value"]["arrayValue"]["values"][0]["stringValue"]
    assert all(attribute["key"] != "@jaeger@warnings" for attribute in spans["update 1"]["attributes"])


def test_no_resource_is_empty_however_many_pieces_there_are() -> None:
    resources = read(*[displayed(number) for number in range(2000)])
    assert all(resource["scopeSpans"][0]["spans"] for resource in resources)
    assert len(spans_of(resources)) == 2000


def test_a_summary_has_both_names_of_its_id_and_every_count() -> None:
    services = {"request": (3, 1), "Deployment": (1, 0)}
    summary = summary_json(
        TraceSummary(TRACE_ID, "Deployment", "demo", at("10:00:00"), at("10:30:00"), 4, services)
    )
    check_shape({"summaries": [summary]}, "Summaries")
    assert summary["traceId"] == summary["traceID"] == TRACE_ID.hex()
    assert summary["minStartTimeUnixNano"] == str(at("10:00:00"))
    assert (summary["spanCount"], summary["errorSpanCount"], summary["orphanSpanCount"]) == (4, 1, 0)
    assert [service["name"] for service in summary["services"]] == ["Deployment", "request"]
