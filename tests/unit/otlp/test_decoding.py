"""Spans that come back from a trace store are those that left, also where the store has changed their form."""

from __future__ import annotations

import base64
import math

import msgspec
import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, AttributeValue, Span, SpanLink
from kubeweft.otlp import decoding
from kubeweft.otlp.attributes import LARGEST_SNAPSHOT, clean_text, clean_value, times
from kubeweft.otlp.decoding import decode_spans
from kubeweft.otlp.decoding_json import decode_json
from kubeweft.otlp.encoding import encode_batch
from otlp_spans import any_spans, change_span, object_span, pod
from span_builders import change, event, gap, key, request, uid, weave

Message = ExportTraceServiceRequest


def sent(*spans: Span) -> ExportTraceServiceRequest:
    message: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(encode_batch(spans))
    return message


def back(*spans: Span) -> list[Span]:
    return list(decode_spans(sent(*spans).resource_spans))


def json_back(*spans: Span, encode: str = "hex") -> list[Span]:
    document = MessageToDict(sent(*spans))  # protobuf's own JSON: IDs are base64
    if encode == "hex":
        _hexadecimal(document)
    return list(decode_json(orjson.loads(orjson.dumps(document)).get("resourceSpans", [])))


def _hexadecimal(part: object) -> None:
    if isinstance(part, list):
        for one in part:
            _hexadecimal(one)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name in ("traceId", "spanId", "parentSpanId"):
                part[name] = base64.b64decode(value).hex()
            else:
                _hexadecimal(value)


def expected(span: Span) -> Span:
    """What is known of a span after the way out: what OTLP cannot hold is changed there, by clear rules."""
    start, end = times(span)
    key = ObjectKey(*map(clean_text, span.key))
    attributes: Attributes = {clean_text(n): clean_value(x) for n, x in span.attributes.items()}
    return Span(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.source,
        key,
        clean_text(span.name),
        start,
        start if end == start + 1 else end,
        attributes,
        tuple(
            SpanLink(
                link.trace_id,
                link.span_id,
                {clean_text(n): clean_value(x) for n, x in link.attributes.items()},
            )
            for link in span.links
        ),
        clean_text(span.error),
        span.body.decode("utf-8", "replace").encode(),
    )


def with_own_names(span: Span) -> Span:
    """Attributes of any name, except those that have a meaning: their types have a test of their own."""
    known = decoding.WHOLE_NUMBERS | decoding.TRUTHS | decoding.TEXTS
    added = (*decoding.ADDED, *decoding.ADDED_PREFIXES)
    own = {n: x for n, x in span.attributes.items() if n not in known and not n.startswith(added)}
    return msgspec.structs.replace(span, attributes=own)


plain_spans = any_spans.map(with_own_names)


def as_text(spans: list[Span]) -> list[str]:
    """For comparing: NaN is like NaN, and 1, 1.0 and True differ."""
    return sorted(map(repr, spans))


@given(st.lists(plain_spans, max_size=6))
def test_any_span_comes_back_as_it_left(spans: list[Span]) -> None:
    assert as_text(back(*spans)) == as_text([expected(span) for span in spans])


@given(st.lists(plain_spans, max_size=4), st.sampled_from(["hex", "base64"]))
def test_any_span_comes_back_out_of_json(spans: list[Span], encode: str) -> None:
    assert as_text(json_back(*spans, encode=encode)) == as_text([expected(span) for span in spans])


def woven() -> list[Span]:
    web, one = key("deployments", "web"), uid(1)
    return weave(
        change(
            web, "Added", "10:00:00", uid=one, version="1", body={"kind": "Deployment"}, manager="kubectl"
        ),
        request(web, "update", "10:00:01.5", uid=one, version="2", dry_run=True, code=409, reason="Conflict"),
        event(web, "ScalingReplicaSet", "10:00:02", count=3, skew=2, message="Scaled up"),
        gap(web, "Expired", "10:00:03", "10:00:09", count=7),
    )


def test_what_is_woven_comes_back_the_same_in_order() -> None:
    spans = woven()
    assert {span.source for span in spans} == {"object", "change", "request", "event", "gap"}
    for form in (back, json_back):
        returned = {span.span_id: span for span in form(*spans)}
        assert [returned[span.span_id] for span in spans] == spans
        for span in spans:
            assert list(returned[span.span_id].attributes.items()) == list(span.attributes.items())


def changed(message: ExportTraceServiceRequest, how: str) -> ExportTraceServiceRequest:
    """What stores do to spans."""
    for group in message.resource_spans:
        holders = [group.resource, *(span for scope in group.scope_spans for span in scope.spans)]
        for holder in holders:
            pairs = list(holder.attributes)
            del holder.attributes[:]
            holder.attributes.extend(_changed(pairs, how, of_span=holder is not group.resource))
    return message


def _changed(pairs: list[KeyValue], how: str, *, of_span: bool) -> list[KeyValue]:
    if how == "texts":
        return [_told(pair.key, _text(pair.value)) for pair in pairs]
    if how == "reordered":
        return pairs[::-1]
    if how == "empty values dropped":
        return [pair for pair in pairs if pair.value != AnyValue(string_value="")]
    if how == "added to" and of_span:
        added = {
            "span.kind": "internal",
            "otel.scope.name": "kubeweft",
            "@jaeger@warnings": "x",
            "error": "false",
        }
        return [*pairs, *(_told(name, value) for name, value in added.items())]
    return pairs


def _told(name: str, text: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=text))


def _text(value: AnyValue) -> str:
    told = getattr(value, value.WhichOneof("value") or "string_value")
    return str(told).lower() if isinstance(told, bool) else str(told)


@pytest.mark.parametrize("how", ["texts", "reordered", "empty values dropped", "added to"])
def test_what_stores_do_to_attributes_is_undone(how: str) -> None:
    spans = woven()
    returned = {span.span_id: span for span in decode_spans(changed(sent(*spans), how).resource_spans)}
    for span in spans:
        attributes = (
            {n: x for n, x in span.attributes.items() if x != ""} if "empty" in how else span.attributes
        )
        assert returned[span.span_id] == msgspec.structs.replace(span, attributes=attributes)
        types = {name: type(value) for name, value in attributes.items()}
        assert {name: type(x) for name, x in returned[span.span_id].attributes.items()} == types


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        (v.CODE, "409", 409),
        (v.CODE, 409.0, 409),
        (v.CODE, "many", "many"),
        (v.CLOCK_SKEW_SECONDS, "-2", -2),
        (v.GAP_COUNT, "1" * 30, "1" * 30),
        (v.DRY_RUN, "True", True),
        (v.DRY_RUN, "perhaps", "perhaps"),
        (v.RESOURCE_VERSION, 17, "17"),
        (v.EVENT_MESSAGE, True, "true"),
        ("own.number", "5", "5"),
        ("own.number", 5, 5),
    ],
)
def test_the_vocabulary_tells_the_type_of_a_value(
    name: str, value: AttributeValue, meant: AttributeValue
) -> None:
    (span,) = back(change_span(1, attributes={name: value}))
    assert span.attributes == {name: meant}
    assert type(span.attributes[name]) is type(meant)


def test_every_name_of_the_vocabulary_has_one_type() -> None:
    names = {name for constant, name in vars(v).items() if constant.isupper() and isinstance(name, str)}
    assert names == decoding.WHOLE_NUMBERS | decoding.TRUTHS | decoding.TEXTS
    for span in woven():
        for name, value in span.attributes.items():
            assert (name in decoding.WHOLE_NUMBERS) == (type(value) is int), name
            assert (name in decoding.TRUTHS) == (type(value) is bool), name


def test_spans_of_others_are_skipped() -> None:
    message = sent(change_span(1), object_span())
    strange = message.resource_spans.add()
    strange.resource.attributes.append(_told("service.name", "apiserver"))
    strange.scope_spans.add().spans.add(name="GET", trace_id=b"t" * 16, span_id=b"s" * 8)
    half = message.resource_spans.add()  # of the right name, but of no object
    half.resource.attributes.append(_told("service.name", "kubeweft-object"))
    half.scope_spans.add().spans.add(name="x", trace_id=b"t" * 16, span_id=b"s" * 8)
    assert list(decode_spans(message.resource_spans)) == back(change_span(1), object_span())


def test_the_service_name_tells_the_source_where_the_attribute_is_missing() -> None:
    message = sent(change_span(1))
    resource = message.resource_spans[0].resource
    kept = [pair for pair in resource.attributes if pair.key != v.SOURCE]
    del resource.attributes[:]
    resource.attributes.extend(kept)
    assert list(decode_spans(message.resource_spans)) == [change_span(1)]


@pytest.mark.parametrize(
    ("status", "tags", "meant"),
    [
        ((2, "409 Conflict"), {}, "409 Conflict"),
        ((2, ""), {}, "failed"),
        ((0, ""), {"error": "true", "otel.status_description": "409 Conflict"}, "409 Conflict"),
        ((0, ""), {"error": "false", "otel.status_description": "fine"}, ""),
        ((1, "fine"), {}, ""),
    ],
)
def test_a_failure_is_known_by_its_status_or_by_what_older_stores_write(
    status: tuple[int, str], tags: dict[str, str], meant: str
) -> None:
    message = sent(change_span(1))
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.status.code, span.status.message = status
    span.attributes.extend(_told(*tag) for tag in tags.items())
    (got,) = decode_spans(message.resource_spans)
    assert got.error == meant
    assert got.attributes == change_span(1).attributes


def test_a_body_that_was_too_large_is_known_by_its_size() -> None:
    (got,) = back(object_span(pod(1), body=b"x" * (LARGEST_SNAPSHOT + 1)))
    assert (got.body, got.attributes[v.SNAPSHOT_BYTES]) == (b"", LARGEST_SNAPSHOT + 1)


def test_values_that_kubeweft_never_writes_are_text() -> None:
    message = sent(change_span(1))
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.append(KeyValue(key="none", value=AnyValue()))
    span.attributes.append(KeyValue(key="list", value=AnyValue(array_value=ArrayValue())))
    (got,) = decode_spans(message.resource_spans)
    assert got.attributes["none"] == ""
    assert isinstance(got.attributes["list"], str)


def test_json_of_a_float_that_is_no_number() -> None:
    (got,) = json_back(change_span(1, attributes={"x": math.inf}))
    assert got.attributes["x"] == math.inf


def test_the_reference_type_that_older_stores_write_into_links_is_left_out() -> None:
    message = sent(object_span())
    (link,) = message.resource_spans[0].scope_spans[0].spans[0].links
    del link.attributes[:]
    link.attributes.append(_told("opentracing.ref_type", "follows_from"))
    (got,) = decode_spans(message.resource_spans)
    assert [one.attributes for one in got.links] == [{}]
