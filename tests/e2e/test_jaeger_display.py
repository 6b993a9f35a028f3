"""A real Jaeger v2 with ``kubeweft serve`` as its storage: everything that its query service asks, over its own API."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from jaeger_process import jaeger_over
from kubeweft.display.answering.flattening import count_spans
from kubeweft.display.serving.trees import Bounds
from kubeweft.display.stories import read_story
from kubeweft.store.sqlite_reader import SqliteReader
from large_stores import crowd, crowd_spans
from serve_process import serving_store, stored_in
from span_builders import at
from story_answers import story

pytestmark = [pytest.mark.jaeger, pytest.mark.timeout(180, func_only=True)]
Json = dict[str, Any]
BUSY = crowd("busy")
DAY = {"start": at("08:00:00") // 1000, "end": at("12:00:00") // 1000}


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Jaeger over a store with a small story and a Deployment of 1,000 Pods; gives the address of its API."""
    folder = tmp_path_factory.mktemp("jaeger-display")
    store = stored_in(folder / "kubeweft.db", [*story(), *crowd_spans(BUSY)])
    with (
        serving_store(folder, f"--store={store}", http="") as served,
        jaeger_over(served.grpc, folder) as url,
    ):
        yield url


@pytest.fixture
async def client(jaeger: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(jaeger) as session:
        yield session


async def ask(client: aiohttp.ClientSession, path: str, **parameters: object) -> Any:
    """What an address of the API answers."""
    given = {name: str(value) for name, value in parameters.items()}
    async with client.get(path, params=given) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json())["data"]


async def search(client: aiohttp.ClientSession, service: str, **tags: str) -> list[Json]:
    """As the search page asks."""
    asked = {"service": service, "tags": json.dumps(tags), "limit": 20, "lookback": "custom", **DAY}
    traces: list[Json] = await ask(client, "/api/traces", **asked)
    return traces


def services_of(trace: Json) -> Counter[str]:
    """How many spans each service has."""
    names = {process: value["serviceName"] for process, value in trace["processes"].items()}
    return Counter(names[span["processID"]] for span in trace["spans"])


def root_of(trace: Json) -> Json:
    """The one span without a parent."""
    (root,) = [span for span in trace["spans"] if not _parents(span)]
    found: Json = root
    return found


def _parents(span: Json) -> list[Json]:
    return [ref for ref in span["references"] if ref["refType"] == "CHILD_OF"]


def by_id(trace: Json) -> dict[str, Json]:
    """The spans of a trace, which Jaeger gives in any order; processes are numbered anew each time."""
    return {span["spanID"]: {**span, "processID": ""} for span in trace["spans"]}


def tags_of(span: Json) -> Json:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


async def test_services_are_views_and_operations_clusters(client: aiohttp.ClientSession) -> None:
    services = await ask(client, "/api/services")
    assert {"tree", "tree ancestors", "tree full", "tree object", "stored"} <= set(services)
    assert sorted(await ask(client, "/api/services/tree/operations")) == ["demo", "prod"]
    found = await ask(client, "/api/operations", service="tree ancestors")
    assert {one["name"] for one in found} == {"demo", "prod"}


async def test_a_search_by_tags_gives_whole_trees(client: aiohttp.ClientSession) -> None:
    (trace,) = await search(client, "tree", resource="deployments", namespace="default", name="demo")
    assert services_of(trace) >= Counter(Deployment=1, ReplicaSet=1, Pod=1, request=2, event=1, link=1)
    root = root_of(trace)
    assert root["operationName"] == "default/demo"
    assert tags_of(root)["kubeweft.object.resource"] == "deployments"
    ids = {span["spanID"] for span in trace["spans"]}
    assert all(parent["spanID"] in ids for span in trace["spans"] for parent in _parents(span))
    assert [span["warnings"] for span in trace["spans"] if span["warnings"]] == []
    (refused,) = [span for span in trace["spans"] if tags_of(span).get("http.response.status_code") == 409]
    assert tags_of(refused)["error"] is True
    assert (refused["startTime"], refused["duration"]) == (at("10:00:01") // 1000, 12_000)


@pytest.mark.parametrize(
    ("service", "tags", "roots"),
    [
        ("tree", {"kind": "Pod", "cluster": "demo"}, ["default/demo-1-a"]),
        ("tree", {"user.name": "jane", "http.response.status_code": "409"}, ["default/demo"]),
        ("tree", {"error": "true", "cluster": "demo"}, ["default/demo"]),
        ("tree", {"name": "nobody"}, []),
        ("tree full", {"name": "demo*"}, ["default/demo"]),
        ("tree ancestors", {"resource": "replicasets", "name": "demo-1"}, ["default/demo"]),
        ("tree object", {"resource": "replicasets", "name": "demo-1"}, ["default/demo-1"]),
    ],
)
async def test_searches(
    client: aiohttp.ClientSession, service: str, tags: dict[str, str], roots: list[str]
) -> None:
    traces = await search(client, service, **tags)
    assert [root_of(trace)["operationName"] for trace in traces] == roots


async def test_the_operation_chooses_the_cluster(client: aiohttp.ClientSession) -> None:
    asked = {"service": "tree", "operation": "demo", "limit": 20, **DAY}
    traces = await ask(client, "/api/traces", **asked)
    assert len(traces) == 4
    assert {tags_of(root_of(trace))["k8s.cluster.name"] for trace in traces} == {"demo"}


async def test_a_trace_is_opened_by_its_id_alone(client: aiohttp.ClientSession) -> None:
    (found,) = await search(client, "tree", resource="pods", name="demo-1-a")
    (opened,) = await ask(client, f"/api/traces/{found['traceID']}")
    assert by_id(opened) == by_id(found)
    async with client.get(f"/api/traces/{'4b' * 16}") as unknown:
        assert unknown.status == 404


async def test_a_span_link_leads_to_the_trace_of_the_other_object(client: aiohttp.ClientSession) -> None:
    (found,) = await search(client, "tree", resource="pods", name="demo-1-a")
    (link,) = [span for span in found["spans"] if "RunsOn" in span["operationName"]]
    (leads,) = [ref for ref in link["references"] if ref["refType"] == "FOLLOWS_FROM"]
    (opened,) = await ask(client, f"/api/traces/{leads['traceID']}")
    assert root_of(opened)["operationName"] == "n1"
    assert root_of(opened)["spanID"] == leads["spanID"]


async def test_twenty_thousand_spans(client: aiohttp.ClientSession, jaeger: str) -> None:
    asked = {"resource": "deployments", "name": BUSY.deployment.name}
    (found,) = await search(client, "tree", **asked)
    assert any("more spans: open this trace" in span["operationName"] for span in found["spans"])
    assert len(found["spans"]) <= Bounds().search_spans // 20 + 1
    began = time.monotonic()
    (opened,) = await ask(client, f"/api/traces/{found['traceID']}")
    took = time.monotonic() - began
    services = services_of(opened)
    assert (services["Pod"], services["ReplicaSet"], services["Deployment"]) == (1000, 1, 1)
    assert len(opened["spans"]) > 20_000
    assert len({span["spanID"] for span in opened["spans"]}) == len(opened["spans"])
    assert took < 60, f"{took:.1f} s"


async def test_a_wrong_question_is_answered_in_words(client: aiohttp.ClientSession) -> None:
    (trace,) = await search(client, "no such view", name="demo")
    (span,) = trace["spans"]
    assert "there is no service 'no such view': choose one of tree" in span["operationName"]
    (again,) = await ask(client, f"/api/traces/{trace['traceID']}")
    assert "search again" in again["spans"][0]["operationName"]


async def test_the_architecture_is_made_of_types(client: aiohttp.ClientSession) -> None:
    end = DAY["end"] // 1000
    links = await ask(client, "/api/dependencies", endTs=end, lookback=4 * 3600 * 1000)
    pairs = {(one["parent"], one["child"]) for one in links}
    assert ("ReplicaSet", "Pod") in pairs


async def test_the_newer_dialect_of_jaeger_works_too(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v3/services") as answer:
        assert "tree" in (await answer.json(content_type=None))["services"]
    asked = {
        "query.service_name": "tree ancestors",
        "query.operation_name": "demo",
        "query.start_time_min": "2026-11-21T08:00:00Z",
        "query.start_time_max": "2026-11-21T12:00:00Z",
        "query.num_traces": "20",
    }
    async with client.get("/api/v3/traces", params=asked) as answer:
        assert answer.status == 200, await answer.text()
        told = await answer.json(content_type=None)
    assert told["result"]["resourceSpans"]


def test_what_jaeger_shows_is_what_is_stored(tmp_path: Any) -> None:
    """The number that the large trace has above is that of the tree, not of some limit."""
    store = stored_in(tmp_path / "kubeweft.db", crowd_spans(BUSY))
    with SqliteReader(store) as reader:
        tree = read_story(reader, BUSY.deployment, limits=Bounds().opened)
    assert count_spans(tree) > 20_000
