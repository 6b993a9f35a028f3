"""Spans of others out of OTLP: the same from both forms, bounded, and without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from kubeweft.otlp.foreign import (
    LONGEST_VALUE,
    MOST_ATTRIBUTES,
    Received,
    foreign_spans,
    foreign_spans_of_json,
)

HIDING = Redactor(Redaction(), b"")
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


def export(
    attributes: dict[str, Any] | None = None, *, resource: dict[str, str] | None = None, **fields: Any
) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for name, value in {"service.name": "apiserver", **(resource or {})}.items():
        group.resource.attributes.add(key=name).value.string_value = value
    span = group.scope_spans.add().spans.add(
        **{
            "trace_id": bytes(range(16)),
            "span_id": bytes(range(8)),
            "name": "POST /api/v1/pods",
            "kind": 2,
            "start_time_unix_nano": 1_000,
            "end_time_unix_nano": 2_000,
            **fields,
        }
    )
    for name, value in (attributes or {}).items():
        told = span.attributes.add(key=name).value
        if isinstance(value, bool):
            told.bool_value = value
        elif isinstance(value, int):
            told.int_value = value
        elif isinstance(value, float):
            told.double_value = value
        elif isinstance(value, list):
            for one in value:
                told.array_value.values.add(string_value=one)
        else:
            told.string_value = value
    return request


def both(request: ExportTraceServiceRequest) -> Received:
    """Decoded from protobuf; from JSON it has to be the same."""
    received = foreign_spans(request.resource_spans, hiding=HIDING)
    document = json.loads(json_format.MessageToJson(request))  # IDs in base64, as protobuf itself writes them
    assert foreign_spans_of_json(document.get("resourceSpans") or (), hiding=HIDING) == received
    return received


def test_everything_that_is_shown_of_a_span() -> None:
    request = export(
        {"audit-id": "a", "http.status_code": 201, "ok": True, "ratio": 0.5, "list": ["a", "b"]},
        resource={"host": "node-1"},
        parent_span_id=b"12345678",
        status={"code": 2, "message": "conflict"},
    )
    (span,) = both(request).spans
    assert (span.service, span.name, span.kind, span.start, span.end) == (
        "apiserver",
        "POST /api/v1/pods",
        2,
        1_000,
        2_000,
    )
    assert span.attributes == {
        "audit-id": "a",
        "http.status_code": 201,
        "ok": True,
        "ratio": 0.5,
        "list": "[a,b]",
    }
    assert (span.resource, span.error, span.parent_span_id) == ({"host": "node-1"}, "conflict", b"12345678")


def test_hexadecimal_ids_as_otlp_writes_them() -> None:
    document = {
        "scopeSpans": [
            {"spans": [{"traceId": "0a" * 16, "spanId": "0b" * 8, "startTimeUnixNano": "5", "kind": 2}]}
        ]
    }
    (span,) = foreign_spans_of_json([document], hiding=HIDING).spans
    assert (span.trace_id, span.span_id, span.start, span.end, span.kind) == (
        b"\x0a" * 16,
        b"\x0b" * 8,
        5,
        5,
        2,
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "trace_id"),
        ({"trace_id": bytes(16)}, "trace_id"),
        ({"span_id": b"short"}, "span_id"),
        ({"parent_span_id": b"short"}, "parent_span_id"),
        ({"start_time_unix_nano": 0}, "start"),
        ({"start_time_unix_nano": 2**64 - 1}, "start"),
    ],
)
def test_what_is_no_span_is_refused_and_counted(fields: dict[str, Any], reason: str) -> None:
    received = foreign_spans(export(**fields).resource_spans, hiding=HIDING)
    assert (received.spans, dict(received.refused)) == ([], {reason: 1})


@pytest.mark.parametrize("own", [{"kubeweft.source": "request"}, {"service.namespace": "kubeweft"}])
def test_our_own_spans_are_no_foreign_ones(own: dict[str, str]) -> None:
    assert dict(both(export(resource=own)).refused) == {"ours": 1}


def test_secrets_do_not_come_in() -> None:
    attributes = {
        "http.request.header.authorization": "Basic c2VjcmV0",
        "db.password": "hunter2",
        "note": f"token {TOKEN} there",
        "http.target": "/api/v1/namespaces/a/pods/b/exec?command=cat&command=%2Fetc%2Fshadow&container=c",
        "url.full": "https://user:hunter2@host/",
        "url.query": "token=hunter2",
        "kubeweft.source": "object",
        "x" * 300: "y",
    }
    (span,) = both(export(attributes, status={"code": 2, "message": TOKEN}, name=TOKEN)).spans
    told = f"{span}"
    assert "hunter2" not in told
    assert TOKEN not in told
    assert "c2VjcmV0" not in told
    assert "shadow" not in told
    assert "container=c" in str(span.attributes["http.target"])
    assert not {"kubeweft.source", "x" * 300} & span.attributes.keys()


def test_a_secret_that_is_cut_does_not_get_through() -> None:
    text = "x" * (LONGEST_VALUE - 20) + " " + TOKEN
    (span,) = both(export({"note": text})).spans
    assert TOKEN[:10] not in str(span.attributes["note"])


def test_attributes_are_bounded() -> None:
    many = {f"name-{number:03d}": "v" for number in range(MOST_ATTRIBUTES + 5)}
    (span,) = both(export({**many, "name-000": "x" * 10_000})).spans
    assert len(span.attributes) == MOST_ATTRIBUTES
    assert len(str(span.attributes["name-000"])) == LONGEST_VALUE


@pytest.mark.parametrize(
    "document", [[1], [{"scopeSpans": 5}], [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]]
)
def test_what_is_no_otlp_raises(document: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        foreign_spans_of_json(document, hiding=HIDING)
