"""Our own OTLP endpoint on loopback: both protocols, into a real store."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import aio
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from kubeweft.model.errors import NotNow
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from kubeweft.sources.audit.credentials import BearerToken
from kubeweft.sources.otlp.grpc_server import SERVICE, grpc_endpoint
from kubeweft.sources.otlp.http_server import http_endpoint
from kubeweft.sources.otlp.intake import Intake, Limits
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer

FOR_EVER = 2**63 - 1
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@dataclass
class Endpoint:
    intake: Intake
    grpc: int
    http: int
    store: SqliteStore
    is_open: bool = True
    full: bool = False

    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}/v1/traces"

    def stored(self, audit_id: str) -> list[ForeignSpan]:
        return self.store.foreign_of(
            [("audit-id", audit_id)], since=0, until=FOR_EVER, most_traces=10, most_spans=1000
        ).spans

    async def export(self, request: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
        async with aio.insecure_channel(f"127.0.0.1:{self.grpc}") as channel:
            call = channel.unary_unary(
                f"/{SERVICE}/Export",
                request_serializer=ExportTraceServiceRequest.SerializeToString,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            answer: ExportTraceServiceResponse = await call(request, timeout=10)
            return answer

    async def post(self, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url(), data=body, headers=told) as answer,
        ):
            return answer.status, await answer.read(), dict(answer.headers)


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    store = SqliteStore(tmp_path / "store.db")
    async with Writer(store) as writer:
        made = Endpoint(None, 0, 0, store)  # type: ignore[arg-type]  # filled in below

        async def write(batch: Batch) -> None:
            if made.full:
                raise NotNow("the store is full", delay=3)
            await writer.write(batch)

        made.intake = Intake(
            write,
            hiding=lambda: Redactor(Redaction(), b""),
            joins=("audit-id", "k8s.pod.uid"),
            now=lambda: 1_000,
            is_open=lambda: made.is_open,
            limits=Limits(body_bytes=100_000, unpacked_bytes=200_000),
        )
        async with (
            grpc_endpoint(made.intake, "127.0.0.1:0") as made.grpc,
            http_endpoint(made.intake, "127.0.0.1", 0) as made.http,
        ):
            yield made
    store.close()


def request_of(*audit_ids: str, bad: int = 0) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "apiserver"
    spans = group.scope_spans.add().spans
    for number, audit_id in enumerate(audit_ids, 1):
        span = spans.add(
            trace_id=b"t" * 15 + bytes([number]),
            span_id=bytes([number] * 8),
            name="create",
            start_time_unix_nano=5,
        )
        span.attributes.add(key="audit-id").value.string_value = audit_id
    for _ in range(bad):
        spans.add(name="no ID")
    return request


async def test_grpc_is_answered_when_spans_are_durable(endpoint: Endpoint) -> None:
    answer = await endpoint.export(request_of("a", "b"))
    assert not answer.HasField("partial_success")
    assert [span.name for span in endpoint.stored("a")] == ["create"]
    assert endpoint.stored("a")[0].service == "apiserver"
    await endpoint.export(request_of("a", "b"))  # a sender that has had no answer
    assert len(endpoint.stored("a")) == 1
    assert endpoint.stored("c") == []


async def test_what_is_refused_is_told_as_a_partial_success(endpoint: Endpoint) -> None:
    answer = await endpoint.export(request_of("a", bad=3))
    assert answer.partial_success.rejected_spans == 3
    assert "trace_id" in answer.partial_success.error_message
    assert len(endpoint.stored("a")) == 1
    status, body, _ = await endpoint.post(request_of("b", bad=2).SerializeToString(), **PROTOBUF)
    assert status == 200
    assert ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans == 2


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("form", ["protobuf", "json"])
async def test_http_in_both_forms(endpoint: Endpoint, form: str, compressed: bool) -> None:
    request = request_of("a")
    body = request.SerializeToString() if form == "protobuf" else json_format.MessageToJson(request).encode()
    headers = {
        "Content-Type": "application/x-protobuf" if form == "protobuf" else "application/json; charset=utf-8"
    }
    if compressed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    status, answer, told = await endpoint.post(body, **headers)
    assert (status, told["Content-Type"].partition(";")[0]) == (
        200,
        headers["Content-Type"].partition(";")[0],
    )
    assert answer == b"" if form == "protobuf" else json.loads(answer) == {}
    assert len(endpoint.stored("a")) == 1


async def test_a_store_without_room_lets_senders_come_again(endpoint: Endpoint) -> None:
    endpoint.full = True
    with pytest.raises(aio.AioRpcError) as failed:
        await endpoint.export(request_of("a"))
    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(failed.value.trailing_metadata())["grpc-status-details-bin"]
    retry = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 3
    status, body, headers = await endpoint.post(request_of("a").SerializeToString(), **PROTOBUF)
    assert (status, headers["Retry-After"]) == (429, "3")
    assert "full" in status_pb2.Status.FromString(body).message


async def test_nothing_is_taken_before_it_is_known_what_has_to_be_hidden(endpoint: Endpoint) -> None:
    endpoint.is_open = False
    status, *_ = await endpoint.post(request_of("a").SerializeToString(), **PROTOBUF)
    assert status == 429
    assert endpoint.stored("a") == []


async def test_what_is_too_much_or_nothing_is_refused_for_good(endpoint: Endpoint) -> None:
    assert (await endpoint.post(b"x" * 100_001, **PROTOBUF))[0] == 413
    bomb = gzip.compress(bytes(10_000_000))
    assert (await endpoint.post(bomb, Content_Encoding="gzip", **PROTOBUF))[0] == 400
    assert (await endpoint.post(bomb[:-5], Content_Encoding="gzip", **PROTOBUF))[0] == 400
    assert (await endpoint.post(b"\xff\xff", **PROTOBUF))[0] == 400
    assert (await endpoint.post(b"[1]", Content_Type="application/json"))[0] == 400
    assert (await endpoint.post(b"", Content_Type="text/plain"))[0] == 415
    assert (await endpoint.post(b"", Content_Encoding="zstd", **PROTOBUF))[0] == 415


async def test_more_exports_than_may_be_in_flight_are_put_off(endpoint: Endpoint) -> None:
    with endpoint.intake.admission.body(endpoint.intake.limits.bytes_in_flight):
        status, *_ = await endpoint.post(request_of("a").SerializeToString(), **PROTOBUF)
    assert status == 429
    assert (await endpoint.post(request_of("a").SerializeToString(), **PROTOBUF))[0] == 200


async def test_a_token_is_demanded_where_there_is_one(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    token = BearerToken(file)
    body = request_of("a").SerializeToString()
    async with http_endpoint(endpoint.intake, "127.0.0.1", 0, token=token) as endpoint.http:
        assert (await endpoint.post(body, **PROTOBUF))[0] == 401
        assert (await endpoint.post(body, Authorization="Bearer secret", **PROTOBUF))[0] == 200
    async with grpc_endpoint(endpoint.intake, "127.0.0.1:0", token=token) as endpoint.grpc:
        with pytest.raises(aio.AioRpcError) as failed:
            await endpoint.export(request_of("b"))
    assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert endpoint.stored("b") == []


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_opentelemetrys_own_exporters_are_understood(endpoint: Endpoint, protocol: str) -> None:
    def work() -> None:
        if protocol == "grpc":
            exporter: GrpcExporter | HttpExporter = GrpcExporter(
                f"http://127.0.0.1:{endpoint.grpc}", insecure=True
            )
        else:
            exporter = HttpExporter(endpoint.url())
        provider = TracerProvider(resource=Resource({"service.name": "shop", "k8s.pod.uid": "pod-1"}))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("t").start_as_current_span("outer", attributes={"audit-id": "sdk"}) as outer:
            outer.set_attribute("n", 5)
            with provider.get_tracer("t").start_as_current_span("inner"):
                pass
        provider.shutdown()

    await asyncio.to_thread(work)
    found = {span.name: span for span in endpoint.stored("sdk")}
    assert found["inner"].parent_span_id == found["outer"].span_id
    assert (found["outer"].attributes["n"], found["inner"].resource["k8s.pod.uid"]) == (5, "pod-1")
