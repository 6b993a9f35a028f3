"""The bytes of a span: what protobuf itself would write, the same always, whatever the span holds."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, AttributeValue, Span, SpanLink
from kubeweft.otlp.attributes import (
    LARGEST_SNAPSHOT,
    clean_text,
    clean_value,
    resource_attributes,
    span_attributes,
    times,
)
from kubeweft.otlp.encoding import encode_batch, encode_span, join_spans
from otlp_recording import ReceivedSpan, split
from otlp_spans import any_spans, change_span, change_spans, object_span, pod


def whole_message(span: Span) -> bytes:
    """The span written by protobuf in one go, straight from the OTLP definition."""
    start, end = times(span)
    message = otlp.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=clean_text(span.name),
        kind=otlp.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=key_values(span_attributes(span)),
        links=[
            otlp.Span.Link(
                trace_id=link.trace_id, span_id=link.span_id, attributes=key_values(link.attributes), flags=1
            )
            for link in span.links
        ],
        flags=0x101,
    )
    if span.error:
        message.status.code = otlp.Status.STATUS_CODE_ERROR
        message.status.message = clean_text(span.error)
    return bytes(message.SerializeToString())


def key_values(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=clean_text(k), value=any_value(clean_value(x))) for k, x in attributes.items()]


def any_value(value: AttributeValue) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case _:
            return AnyValue(double_value=value)


def received(*spans: Span) -> list[ReceivedSpan]:
    return list(split(encode_batch(spans)))


@given(any_spans)
def test_a_span_is_the_bytes_that_protobuf_writes_in_one_go(span: Span) -> None:
    assert encode_span(span).span == whole_message(span)


@given(st.lists(any_spans, max_size=12), st.randoms(use_true_random=False))
def test_the_bytes_of_a_span_depend_on_no_neighbour(spans: list[Span], order: random.Random) -> None:
    alone = sorted((r.raw_resource, r.raw) for span in spans for r in received(span))
    order.shuffle(spans)
    assert sorted((r.raw_resource, r.raw) for r in received(*spans)) == alone


@given(st.lists(any_spans, max_size=12))
def test_a_batch_is_the_bytes_that_protobuf_writes(spans: list[Span]) -> None:
    payload = encode_batch(spans)
    request = ExportTraceServiceRequest.FromString(payload)
    assert request.SerializeToString() == payload
    assert sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans) == len(spans)


def test_the_bytes_are_pinned() -> None:
    """A change here changes every span at every receiver: raise SCOPE_VERSION with it."""
    link = SpanLink(b"\x4b" * 16, b"\x07" * 8, {v.LINK_ROLE: "Parent"})
    root = Span(b"\x01" * 16, b"\x02" * 8, b"", "object", pod(1), "a pod", 1, 2, {v.KIND: "Pod"}, (link,))
    child = Span(
        b"\x01" * 16,
        b"\x03" * 8,
        b"\x02" * 8,
        "request",
        pod(1),
        "update",
        1,
        2,
        {v.CODE: 409, "x": 0.5, "y": True},
        error="conflict",
        body=b"{}",
    )
    assert hashlib.sha256(encode_batch([root, child])).hexdigest() == PINNED


PINNED = "9524818381068e8775e16d66ff3b362aa64590abd9b4eb34cba79cc94d3386b3"


@pytest.mark.parametrize(("first", "second"), [(0.0, -0.0), (1, True), (1, 1.0), (0, False), ("", 0)])
def test_equal_values_of_different_form_stay_apart(first: AttributeValue, second: AttributeValue) -> None:
    """They hash alike, so a cache could hand out one for the other."""
    spans = [change_span(1, attributes={"x": value}) for value in (first, second, first)]
    encoded = [encode_span(span).span for span in spans]
    assert encoded == [whole_message(span) for span in spans]
    assert encoded[0] == encoded[2] != encoded[1]


def test_spans_are_grouped_by_resource_in_the_order_of_first_appearance() -> None:
    spans = [change_span(n, key=pod(k)) for n, k in enumerate([2, 1, 2, 3, 1])]
    request = ExportTraceServiceRequest.FromString(encode_batch(spans))
    names = [
        [attribute.value.string_value for attribute in r.resource.attributes if attribute.key == v.NAME]
        for r in request.resource_spans
    ]
    assert names == [["demo-2"], ["demo-1"], ["demo-3"]]
    ids = [[s.span_id for s in r.scope_spans[0].spans] for r in request.resource_spans]
    assert ids == [
        [spans[0].span_id, spans[2].span_id],
        [spans[1].span_id, spans[4].span_id],
        [spans[3].span_id],
    ]


def test_the_scope_names_us_and_the_conventions() -> None:
    (resource_spans,) = ExportTraceServiceRequest.FromString(encode_batch([change_span(1)])).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    assert (scope_spans.scope.name, scope_spans.scope.version) == ("kubeweft", "1.0.0")
    assert resource_spans.schema_url == scope_spans.schema_url == "https://opentelemetry.io/schemas/1.44.0"


def test_the_resource_is_the_object_and_nothing_else() -> None:
    (span,) = received(change_span(1))
    assert span.resource == {
        "service.name": "kubeweft-change",
        "service.namespace": "kubeweft",
        "k8s.cluster.name": "local",
        "kubeweft.object.group": "",
        "kubeweft.object.resource": "pods",
        "k8s.namespace.name": "default",
        "kubeweft.object.name": "demo-0",
        "kubeweft.source": "change",
        "k8s.pod.name": "demo-0",
    }


@pytest.mark.parametrize("environment", ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "HOSTNAME"])
def test_our_own_process_has_no_say(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = encode_batch([change_span(91)])
    monkeypatch.setenv(environment, "k8s.pod.name=operator-0")
    assert encode_batch([change_span(91)]) == before


def test_cluster_scoped_objects_have_no_namespace_and_a_namespace_is_not_in_itself() -> None:
    namespace = resource_attributes(ObjectKey("c", "", "namespaces", "", "prod"), "object")
    assert v.NAMESPACE not in namespace
    assert namespace[v.NAME] == "prod"
    node = resource_attributes(ObjectKey("c", "", "nodes", "", "n1"), "object")
    assert v.NAMESPACE not in node
    assert node["k8s.node.name"] == "n1"
    other = resource_attributes(ObjectKey("c", "example.com", "pods", "x", "p"), "object")
    assert "k8s.pod.name" not in other  # pods of another group


def test_only_the_root_repeats_whose_it_is() -> None:
    root, child = received(object_span(), change_span(1))
    assert list(root.attributes.items())[:5] == [
        ("k8s.cluster.name", "local"),
        ("kubeweft.object.group", "apps"),
        ("kubeweft.object.resource", "deployments"),
        ("k8s.namespace.name", "default"),
        ("kubeweft.object.name", "demo"),
    ]
    assert v.NAME not in child.attributes


def test_an_attribute_of_the_span_itself_wins_and_stands_once() -> None:
    (root,) = received(Span(b"t" * 16, b"s" * 8, b"", "object", pod(1), "x", 1, 2, {v.NAME: "own"}))
    assert root.attributes[v.NAME] == "own"


def test_a_body_becomes_the_snapshot_up_to_its_largest_size() -> None:
    fits, too_large, none = received(
        object_span(pod(1), body=b"x" * LARGEST_SNAPSHOT),
        object_span(pod(2), body=b"x" * (LARGEST_SNAPSHOT + 1)),
        object_span(pod(3)),
    )
    assert fits.attributes[v.SNAPSHOT] == "x" * LARGEST_SNAPSHOT
    assert v.SNAPSHOT not in too_large.attributes
    assert too_large.attributes[v.SNAPSHOT_BYTES] == LARGEST_SNAPSHOT + 1
    assert not {v.SNAPSHOT, v.SNAPSHOT_BYTES} & none.attributes.keys()


def test_what_utf8_cannot_hold_is_replaced() -> None:
    span = Span(
        b"t" * 16,
        b"s" * 8,
        b"p" * 8,
        "change",
        ObjectKey("c", "", "pods", "n\udfff", "p\ud800"),
        "name \udc80",
        1,
        2,
        {"k\ud800": "v\ud83d\ude00", "big": 2**63, "small": -(2**63) - 1, "fits": 2**63 - 1},
        error="bad \ud800",
        body=b"\xff{}",
    )
    (got,) = received(span)
    assert got.resource[v.NAME] == "p\ufffd"
    assert got.resource[v.NAMESPACE] == "n\ufffd"
    assert got.message.name == "name \ufffd"
    assert got.message.status.message == "bad \ufffd"
    assert got.attributes == {
        "k\ufffd": "v😀",
        "big": str(2**63),
        "small": str(-(2**63) - 1),
        "fits": 2**63 - 1,
        v.SNAPSHOT: "\ufffd{}",
    }


@pytest.mark.parametrize(
    ("start", "end", "sent"),
    [
        (5, 9, (5, 9)),
        (5, 5, (5, 6)),  # what has no length is negative to Jaeger
        (5, 3, (5, 6)),
        (-5, 2**64, (0, 2**63 - 1)),
        (2**64, 2**64, (2**63 - 2, 2**63 - 1)),
    ],
)
def test_times_are_such_that_receivers_take_them(start: int, end: int, sent: tuple[int, int]) -> None:
    (got,) = received(Span(b"t" * 16, b"s" * 8, b"p" * 8, "gap", pod(1), "x", start, end, {}))
    assert (got.message.start_time_unix_nano, got.message.end_time_unix_nano) == sent


def test_status_and_links() -> None:
    plain, failed = received(change_span(1), object_span())
    assert not plain.message.HasField("status")
    (link,) = failed.message.links
    assert link.trace_id == object_span().links[0].trace_id
    assert link.span_id == object_span().links[0].span_id


def test_no_spans_are_no_bytes() -> None:
    assert join_spans([]) == b""


def test_a_large_batch_reads_back_in_order() -> None:
    spans = change_spans(3000)  # frames of one, two and three bytes of length
    assert [r.span_id for r in received(*spans)] == [span.span_id for span in spans]
