"""The v3 dialect over a real connection, asked as newer UIs of Jaeger and Grafana ask."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from kubeweft.display.answering.contract import TraceQuestion
from kubeweft.display.tree.trees import FOREVER
from query_api import OTHER_ID, TRACE_ID, Client, FixedAnswers, check_shape, displayed, query_api
from span_builders import SECOND, at
from story_answers import answers_of, story

SINCE, UNTIL = "2026-11-21T10:00:00.000Z", "2026-11-21T11:00:00.000Z"
QUESTION = TraceQuestion(
    service="tree",
    operation="demo",
    tags={"name": "demo"},
    since=at("10:00:00"),
    until=at("11:00:00"),
    shortest=100_000_000,
    longest=3_600_000_000_000,
    limit=20,
)


@pytest.fixture
def answers() -> FixedAnswers:
    """Two traces of three spans."""
    spans = lambda: [displayed(0), displayed(1), displayed(2)]  # noqa: E731
    return FixedAnswers({TRACE_ID: spans, OTHER_ID: spans})


@pytest.fixture
async def client(answers: FixedAnswers) -> AsyncIterator[Client]:
    async with query_api(answers) as client:
        yield client


async def given(client: Client, path: str, shape: str) -> Any:
    reply = await client.get(path)
    assert reply.status == 200, reply.text
    check_shape(reply.json(), shape)
    return reply.json()


async def refused(client: Client, path: str, status: int) -> str:
    reply = await client.get(path)
    assert reply.status == status, reply.text
    check_shape(reply.json(), "GatewayError")
    assert reply.json()["error"]["httpCode"] == status
    return str(reply.json()["error"]["message"])


def spans_of(traces: Any) -> list[Any]:
    return [
        span
        for resource in traces["result"]["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


async def test_the_ui_fills_its_search_form(client: Client, answers: FixedAnswers) -> None:
    services = await given(client, "/api/v3/services", "V3Services")
    assert services == {"services": ["tree", "tree ancestors", "stored"]}
    operations = await given(client, "/api/v3/operations?service=tree%20ancestors", "V3Operations")
    assert operations["operations"][0] == {"name": "demo", "spanKind": "internal"}
    assert answers.asked[-1] == ("operations", "tree ancestors")
    capabilities = await given(client, "/api/v3/capabilities", "Capabilities")
    assert capabilities == {"search": {"withoutServiceName": True}}


@pytest.mark.parametrize(
    "names",
    [
        {  # Jaeger's UI from 2.20 on
            "service": "query.serviceName",
            "operation": "query.operationName",
            "since": "query.startTimeMin",
            "until": "query.startTimeMax",
            "limit": "query.searchDepth",
            "least": "query.durationMin",
            "most": "query.durationMax",
        },
        {  # its first one with summaries
            "service": "query.service_name",
            "operation": "query.span_name",
            "since": "query.start_time_min",
            "until": "query.start_time_max",
            "limit": "query.num_traces",
            "least": "query.duration_min",
            "most": "query.duration_max",
        },
        {  # Grafana, and the gateway of Jaeger 2.13
            "service": "query.service_name",
            "operation": "query.operation_name",
            "since": "query.start_time_min",
            "until": "query.start_time_max",
            "limit": "query.search_depth",
            "least": "query.duration_min",
            "most": "query.duration_max",
        },
    ],
)
async def test_a_search_in_the_names_of_every_client(
    client: Client, answers: FixedAnswers, names: dict[str, str]
) -> None:
    values = {
        "service": "tree",
        "operation": "demo",
        "since": SINCE,
        "until": UNTIL,
        "limit": "20",
        "least": "100ms",
        "most": "1h",
    }
    query = urlencode({names[name]: value for name, value in values.items()})
    query += "&query.attributes=" + quote(json.dumps({"name": "demo"}))
    found = await given(client, f"/api/v3/trace-summaries?{query}", "Summaries")
    assert [summary["traceId"] for summary in found["summaries"]] == [TRACE_ID.hex(), OTHER_ID.hex()]
    traces = await given(client, f"/api/v3/traces?{query}", "TracesData")
    assert len(spans_of(traces)) == 6
    assert answers.asked == [QUESTION, QUESTION]


async def test_grafana_sends_times_as_they_are(client: Client, answers: FixedAnswers) -> None:
    raw = "start_time=2026-11-21T11:00:00+01:00&end_time=2026-11-21T12:00:00.5+01:00"
    await given(client, f"/api/v3/traces/{TRACE_ID.hex()}?{raw}", "TracesData")
    assert answers.asked == [("open", TRACE_ID, at("10:00:00"), at("11:00:00.5"))]


async def test_a_trace_is_otlp(client: Client, answers: FixedAnswers) -> None:
    traces = await given(client, f"/api/v3/traces/{TRACE_ID.hex()}", "TracesData")
    assert {span["traceId"] for span in spans_of(traces)} == {TRACE_ID.hex()}
    assert answers.asked == [("open", TRACE_ID, 0, FOREVER)]


async def test_a_search_without_times_looks_two_days_back(client: Client, answers: FixedAnswers) -> None:
    await given(client, "/api/v3/trace-summaries", "Summaries")
    (question,) = answers.asked
    assert (question.since, question.until) == (at("12:00:00") - 48 * 3600 * SECOND, at("12:00:00"))


async def test_many_summaries_come_in_pieces_and_none_is_none() -> None:
    many = {TRACE_ID[:-2] + number.to_bytes(2, "big"): list for number in range(123)}
    async with query_api(FixedAnswers(many)) as client:
        assert len((await given(client, "/api/v3/trace-summaries", "Summaries"))["summaries"]) == 123
    async with query_api(FixedAnswers()) as client:
        assert await given(client, "/api/v3/trace-summaries", "Summaries") == {"summaries": []}


async def test_the_links_between_types(client: Client, answers: FixedAnswers) -> None:
    path = f"/api/v3/dependencies?startTime={SINCE}&endTime={UNTIL}"
    links = await given(client, path, "V3Dependencies")
    assert links == {"dependencies": [{"parent": "Deployment", "child": "ReplicaSet", "callCount": "2"}]}
    assert answers.asked == [("dependencies", at("10:00:00"), at("11:00:00"))]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/v3/traces?query.startTimeMin=now", "malformed parameter 'query.startTimeMin'"),
        ("/api/v3/traces?query.start_time_min=now", "malformed parameter 'query.start_time_min'"),
        ("/api/v3/traces?query.attributes=x", "malformed parameter 'query.attributes'"),
        ("/api/v3/traces?query.filter=%7B%7D", "malformed parameter 'query.filter': this server does not"),
        ("/api/v3/trace-summaries?query.durationMin=2s&query.durationMax=1s", "greater"),
        ("/api/v3/traces/xyz", "malformed parameter 'trace_id'"),
    ],
)
async def test_what_cannot_be_read_is_named(client: Client, path: str, message: str) -> None:
    assert message in await refused(client, path, 400)


async def test_nothing_found_is_404_as_jaeger_says_it(client: Client) -> None:
    assert await refused(client, "/api/v3/traces/ff", 404) == "No traces found"
    async with query_api(FixedAnswers()) as empty:
        assert await refused(empty, "/api/v3/traces?query.serviceName=tree", 404) == "No traces found"
    assert "/api/v3/spans" in await refused(client, "/api/v3/spans", 404)


async def test_a_trace_without_spans_is_none_and_harms_no_other() -> None:
    mixed = FixedAnswers({OTHER_ID: list, TRACE_ID: lambda: [displayed(0)]})
    async with query_api(mixed) as client:
        traces = await given(client, "/api/v3/traces", "TracesData")
        assert {span["traceId"] for span in spans_of(traces)} == {TRACE_ID.hex()}
        assert await refused(client, f"/api/v3/traces/{OTHER_ID.hex()}", 404) == "No traces found"


async def test_a_story_is_summarised_and_opened() -> None:
    async with query_api(answers_of(story())) as client:
        attributes = quote('{"resource":"deployments"}')
        path = f"/api/v3/trace-summaries?query.serviceName=tree&query.attributes={attributes}"
        (summary,) = (await given(client, path, "Summaries"))["summaries"]
        traces = await given(client, f"/api/v3/traces/{summary['traceId']}", "TracesData")
        spans = spans_of(traces)
        assert len(spans) == summary["spanCount"]
        assert min(int(span["startTimeUnixNano"]) for span in spans) == int(summary["minStartTimeUnixNano"])
        failed = [span for span in spans if span["status"].get("code") == 2]
        assert len(failed) == summary["errorSpanCount"] > 0
