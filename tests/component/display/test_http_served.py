"""The query API of ``kubeweft serve`` as a process, out of a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from large_stores import crowd, crowd_spans
from query_api import check_shape
from serve_process import serving_store, stored_in

CROWD = crowd(pods=120)
DEPLOYMENT = f"resource=deployments&namespace={CROWD.deployment.namespace}&name={CROWD.deployment.name}"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a store with a Deployment of 120 Pods is served; the process has to end well although clients still read."""
    folder = tmp_path_factory.mktemp("served")
    store = stored_in(folder / "kubeweft.db", crowd_spans(CROWD))
    with serving_store(folder, f"--store={store}") as served:
        yield served.http


async def test_an_object_is_found_and_opened_in_both_dialects(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        async with session.get(f"/redirect?{DEPLOYMENT}", headers={"Accept": "application/json"}) as response:
            located = await response.json()
            check_shape(located, "Located")
        async with session.get(f"/api/traces/{located['traceID']}") as response:
            old = await response.json()
        async with session.get(f"/api/v3/traces/{located['traceID']}") as response:
            new = await response.json()
    (trace,) = old["data"]
    check_shape({**trace, "spans": trace["spans"][:100]}, "Trace")
    spans = [
        span
        for resource in new["result"]["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert {span["spanId"] for span in spans} == {span["spanID"] for span in trace["spans"]}
    assert len(spans) > 120 * 14
    for span in spans[:100]:
        check_shape(span, "OtlpSpan")
    places = {span["spanId"]: span.get("parentSpanId") for span in spans}
    assert {span["spanID"]: parent_of(span["references"]) for span in trace["spans"]} == places
    assert [span for span, parent in places.items() if parent is None] == [spans[0]["spanId"]]


def parent_of(references: list[dict[str, str]]) -> str | None:
    return next((one["spanID"] for one in references if one["refType"] == "CHILD_OF"), None)


async def test_a_reader_that_stops_reading_keeps_nobody_else_waiting(url: str) -> None:
    path = f"/redirect?{DEPLOYMENT}"
    async with aiohttp.ClientSession(url) as session, session.get(path, allow_redirects=False) as response:
        trace = response.headers["Location"].rsplit("/", 1)[-1]
    host, port = url.removeprefix("http://").split(":")
    stuck = [await asyncio.open_connection(host, int(port), limit=1024) for _ in range(4)]
    try:
        for _, writer in stuck:
            writer.write(f"GET /api/traces/{trace} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            await writer.drain()
        async with aiohttp.ClientSession(url) as session, session.get("/api/services") as response:
            assert "tree" in (await response.json())["data"]
        async with aiohttp.ClientSession(url) as session, session.get(f"/api/traces/{trace}") as response:
            assert len((await response.json())["data"][0]["spans"]) > 120 * 14
    finally:
        for _, writer in stuck:
            writer.transport.abort()
