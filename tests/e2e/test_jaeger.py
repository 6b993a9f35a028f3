"""Our spans in a real Jaeger v2: what its search and its trace page are made of finds them, over gRPC and over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from kubeweft.export.exporter import SpoolExporter
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Exporter
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from memory_spool import MemorySpool
from otlp_spans import START, change_span, object_span
from trace_stores import running_jaeger

pytestmark = pytest.mark.jaeger


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger: where it receives, and where it answers."""

    endpoints: dict[str, str]
    query: str


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """Jaeger v2 with its memory store, fresh for this file."""
    with running_jaeger(tmp_path_factory.mktemp("jaeger")) as store:
        endpoints = {"GRPC": store.receiver, "HTTPProtobuf": store.http_receiver}
        yield Jaeger(endpoints, query=store.address.removeprefix("jaeger-query+"))


@pytest.fixture
async def client(jaeger: Jaeger) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(jaeger.query) as session:
        yield session


async def export(jaeger: Jaeger, protocol: str, spans: list[Span]) -> None:
    """Send spans as the operator does, until the receiver has accepted all."""
    spool = MemorySpool()
    spool.add(spans)
    target = Exporter("jaeger", jaeger.endpoints[protocol], protocol=protocol)
    exporter = SpoolExporter(spool, target, wait_beyond=spool.wait_beyond, newest=spool.newest)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(exporter.run())
        async with asyncio.timeout(60):
            while exporter.state.position < spool.newest():
                await asyncio.sleep(0.02)
        task.cancel()
    assert (exporter.state.sent, exporter.state.rejected) == (len(spans), 0)


async def ask(client: aiohttp.ClientSession, path: str, **parameters: str) -> list[dict[str, Any]]:
    async with client.get(path, params=parameters) as answer:
        assert answer.status == 200, await answer.text()
        data: list[dict[str, Any]] = (await answer.json())["data"]
        return data


async def search(client: aiohttp.ClientSession, service: str, **tags: str) -> list[dict[str, Any]]:
    """Traces found by service and tags, as the search page of the UI asks for them."""
    end = str((START + DEFAULT_WINDOW) // 1000 + 1)
    return await ask(
        client,
        "/api/traces",
        service=service,
        tags=json.dumps(tags),
        start=str(START // 1000 - 1),
        end=end,
        limit="50",
    )


def story(name: str) -> list[Span]:
    """A Deployment in one window: its object span with a link, two requests (one refused) and a snapshot."""
    key = ObjectKey("local", "apps", "deployments", "default", name)
    root = object_span(key)
    request = Span(
        root.trace_id,
        bytes.fromhex("a1a2a3a4a5a6a7a8"),
        root.span_id,
        "request",
        key,
        "update",
        START + 1_000_000,
        START + 3_000_000,
        {v.VERB: "update", v.CODE: 200, v.USER: "jane"},
    )
    refused = Span(
        root.trace_id,
        bytes.fromhex("b1b2b3b4b5b6b7b8"),
        root.span_id,
        "request",
        key,
        "update",
        START + 4_000_000,
        START + 5_000_000,
        {v.VERB: "update", v.CODE: 409, v.USER: "joe"},
        error="Conflict: the object has been modified",
    )
    change = Span(
        root.trace_id,
        bytes.fromhex("c1c2c3c4c5c6c7c8"),
        request.span_id,
        "change",
        key,
        "modified",
        START + 2_000_000,
        START + 2_000_000,
        {v.WORDS: "spec.replicas 2 → 4"},
        body=b'{"kind":"Deployment"}',
    )
    return [root, request, refused, change]


@pytest.mark.parametrize("protocol", ["GRPC", "HTTPProtobuf"])
async def test_an_object_is_found_by_its_name(
    jaeger: Jaeger, client: aiohttp.ClientSession, protocol: str
) -> None:
    name = f"demo-{protocol.lower()}"
    spans = story(name)
    await export(jaeger, protocol, [*spans, *story("another")])
    tags = {
        v.CLUSTER: "local",
        v.GROUP: "apps",
        v.RESOURCE: "deployments",
        v.NAMESPACE: "default",
        v.NAME: name,
    }
    (found,) = await search(client, "kubeweft-object", **tags)
    assert found["traceID"] == spans[0].trace_id.hex()
    assert {span["spanID"] for span in found["spans"]} == {span.span_id.hex() for span in spans}
    assert [
        t["traceID"] for t in await search(client, "kubeweft-object", **{"k8s.deployment.name": name})
    ] == [found["traceID"]]
    assert not await search(client, "kubeweft-object", **{**tags, v.NAMESPACE: "elsewhere"})
    services = set(await _services(client))
    assert {"kubeweft-object", "kubeweft-request", "kubeweft-change"} <= services


async def _services(client: aiohttp.ClientSession) -> list[str]:
    async with client.get("/api/services") as answer:
        services: list[str] = (await answer.json())["data"]
        return services


async def test_a_trace_by_its_id_tells_everything(jaeger: Jaeger, client: aiohttp.ClientSession) -> None:
    spans = story("whole")
    await export(jaeger, "GRPC", spans)
    (trace,) = await ask(client, f"/api/traces/{spans[0].trace_id.hex()}")
    shown = {span["spanID"]: span for span in trace["spans"]}
    root, request, refused, change = (shown[span.span_id.hex()] for span in spans)
    assert trace["processes"][root["processID"]]["serviceName"] == "kubeweft-object"
    assert (root["startTime"], root["duration"]) == (START // 1000, DEFAULT_WINDOW // 1000)
    link = spans[0].links[0]
    assert {"refType": "FOLLOWS_FROM", "traceID": link.trace_id.hex(), "spanID": link.span_id.hex()} in root[
        "references"
    ]
    assert [r["spanID"] for r in change["references"] if r["refType"] == "CHILD_OF"] == [request["spanID"]]
    tags = {tag["key"]: tag["value"] for tag in change["tags"]}
    assert tags[v.WORDS] == "spec.replicas 2 → 4"
    assert tags[v.SNAPSHOT] == '{"kind":"Deployment"}'
    told = {tag["key"]: tag["value"] for tag in refused["tags"]}
    assert told["error"] is True
    assert told["otel.status_description"] == "Conflict: the object has been modified"
    assert told[v.CODE] == 409
    assert (told["otel.scope.name"], told["otel.scope.version"]) == ("kubeweft", "1.0.0")
    assert not any(span["warnings"] for span in trace["spans"])


async def test_what_is_sent_twice_is_shown_once(jaeger: Jaeger, client: aiohttp.ClientSession) -> None:
    """Delivery is at least once: Jaeger tells repeats by their bytes."""
    spans = story("twice")
    await export(jaeger, "GRPC", spans)
    await export(jaeger, "HTTPProtobuf", list(reversed(spans)))
    (trace,) = await ask(client, f"/api/traces/{spans[0].trace_id.hex()}")
    assert sorted(span["spanID"] for span in trace["spans"]) == sorted(span.span_id.hex() for span in spans)
    assert not any(span["warnings"] for span in trace["spans"])


async def test_thousands_of_spans_arrive(jaeger: Jaeger, client: aiohttp.ClientSession) -> None:
    key = ObjectKey("local", "", "pods", "default", "busy")
    spans = [object_span(key), *(change_span(number, key=key) for number in range(3000))]
    await export(jaeger, "GRPC", spans)
    (trace,) = await ask(client, f"/api/traces/{spans[0].trace_id.hex()}")
    assert {span["spanID"] for span in trace["spans"]} == {span.span_id.hex() for span in spans}
