"""The old dialect over a real connection, asked as Jaeger's UI 1.68 and Grafana's Jaeger data source ask."""

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

HOUR = 3600 * SECOND
NOW = at("12:00:00")


@pytest.fixture
def answers() -> FixedAnswers:
    """Two traces of three spans."""
    spans = lambda: [displayed(0), displayed(1), displayed(2)]  # noqa: E731
    return FixedAnswers({TRACE_ID: spans, OTHER_ID: spans})


@pytest.fixture
async def client(answers: FixedAnswers) -> AsyncIterator[Client]:
    async with query_api(answers) as client:
        yield client


async def listed(client: Client, path: str, shape: str) -> Any:
    """The data of an answer, whose shape is the described one."""
    reply = await client.get(path)
    assert reply.status == 200, reply.text
    assert reply.headers["Content-Type"].startswith("application/json")
    check_shape(reply.json(), shape)
    return reply.json()["data"]


async def refused(client: Client, path: str, status: int) -> str:
    """The message of an error, which has the form that the UI shows."""
    reply = await client.get(path)
    assert reply.status == status, reply.text
    check_shape(reply.json(), "StructuredError")
    (error,) = reply.json()["errors"]
    assert error["code"] == status
    return str(error["msg"])


async def test_the_ui_fills_its_search_form(client: Client, answers: FixedAnswers) -> None:
    assert await listed(client, "/api/services", "Names") == ["tree", "tree ancestors", "stored"]
    assert await listed(client, "/api/services/tree%20ancestors/operations", "Names") == ["demo", "prod"]
    assert answers.asked[-1] == ("operations", "tree ancestors")
    operations = await listed(client, "/api/operations?service=tree&spanKind=server", "Operations")
    assert operations == [{"name": "demo", "spanKind": "internal"}, {"name": "prod", "spanKind": "internal"}]


async def test_the_ui_searches(client: Client, answers: FixedAnswers) -> None:
    query = urlencode(
        {
            "end": at("11:00:00") // 1000,
            "limit": 20,
            "lookback": "1h",
            "maxDuration": "",
            "minDuration": "1.5s",
            "operation": "demo",
            "service": "tree",
            "start": at("10:00:00") // 1000,
            "tags": json.dumps({"resource": "deployments", "name": "demo"}),
        }
    )
    traces = await listed(client, f"/api/traces?{query}", "Traces")
    assert [trace["traceID"] for trace in traces] == [TRACE_ID.hex(), OTHER_ID.hex()]
    assert answers.asked == [
        TraceQuestion(
            service="tree",
            operation="demo",
            tags={"resource": "deployments", "name": "demo"},
            since=at("10:00:00"),
            until=at("11:00:00"),
            shortest=1_500_000_000,
            longest=FOREVER,
            limit=20,
        )
    ]


async def test_grafana_searches_without_times(client: Client, answers: FixedAnswers) -> None:
    query = urlencode({"limit": 5, "service": "tree", "tags": '{"error":"true"}'})
    await listed(client, f"/api/traces?{query}", "Traces")
    (question,) = answers.asked
    assert (question.since, question.until) == (NOW - 48 * HOUR, NOW)
    assert question.limit == 5


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("service=tree&lookback=2h", "since", NOW - 2 * HOUR),
        (f"service=tree&lookback=1h&end={at('11:00:00') // 1000}", "since", at("10:00:00")),
        ("service=tree&lookback=custom", "since", NOW - 48 * HOUR),
        ("service=tree&tag=name:demo&tag=user.name:a:b", "tags", {"name": "demo", "user.name": "a:b"}),
        ("service=tree&tags=%7B%22code%22%3A409%7D&tag=a:b", "tags", {"a": "b", "code": "409"}),
        ("service=tree&limit=0", "limit", 100),
        ("service=tree&limit=99999999", "limit", 99999999),
        ("service=tree", "limit", 100),
        ("", "service", ""),
    ],
)
async def test_a_search_means(
    client: Client, answers: FixedAnswers, query: str, field: str, value: Any
) -> None:
    await listed(client, f"/api/traces?{query}", "Traces")
    assert getattr(answers.asked[0], field) == value


async def test_too_many_traces_at_once_are_refused(client: Client, answers: FixedAnswers) -> None:
    ids = [number.to_bytes(16).hex() for number in range(21)]
    reply = await client.get("/api/traces?" + urlencode([("traceID", one) for one in ids]))
    assert reply.status == 400
    assert "at most 20 traces" in reply.text
    assert answers.asked == []
    again = await client.get("/api/traces?" + urlencode([("traceID", one) for one in ids[:20] * 2]))
    assert again.status == 200


async def test_nothing_found_is_no_error() -> None:
    async with query_api(FixedAnswers()) as client:
        assert await listed(client, "/api/traces?service=tree", "Traces") == []


async def test_grafana_opens_a_trace_with_times_in_milliseconds(
    client: Client, answers: FixedAnswers
) -> None:
    since, until = at("10:00:00"), at("11:00:00")
    path = f"/api/traces/{TRACE_ID.hex()}?start={since // 1_000_000}&end={until // 1_000_000}"
    (trace,) = await listed(client, path, "Traces")
    assert len(trace["spans"]) == 3
    assert answers.asked == [("open", TRACE_ID, since, until)]


async def test_the_ui_opens_a_trace_by_its_id_alone(client: Client, answers: FixedAnswers) -> None:
    (trace,) = await listed(client, f"/api/traces/{TRACE_ID.hex()}", "Traces")
    assert trace["traceID"] == TRACE_ID.hex()
    assert answers.asked == [("open", TRACE_ID, 0, FOREVER)]
    pretty = await client.get(f"/api/traces/{TRACE_ID.hex()}?prettyPrint=true&raw=true")
    assert pretty.json()["data"] == [trace]
    assert pretty.body.count(b"\n") > 50


async def test_the_ui_compares_traces_of_which_one_is_gone(client: Client) -> None:
    ids = [TRACE_ID.hex(), "ff", OTHER_ID.hex(), TRACE_ID.hex()]
    reply = await client.get("/api/traces?" + urlencode([("traceID", one) for one in ids]))
    check_shape(reply.json(), "Traces")
    assert [trace["traceID"] for trace in reply.json()["data"]] == [TRACE_ID.hex(), OTHER_ID.hex()]
    assert reply.json()["errors"] == [{"code": 404, "msg": "trace not found", "traceID": "ff".rjust(32, "0")}]


async def test_types_and_their_links_are_the_architecture(client: Client, answers: FixedAnswers) -> None:
    until = at("11:00:00")
    path = f"/api/dependencies?endTs={until // 1_000_000}&lookback=604800000"
    links = await listed(client, path, "Dependencies")
    assert links == [{"parent": "Deployment", "child": "ReplicaSet", "callCount": 2}]
    assert answers.asked == [("dependencies", until - 7 * 24 * HOUR, until)]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/operations", "parameter 'service' is required"),
        ("/api/traces?service=tree&start=1790000000000000&end=1780000000000000", "'start' lies after 'end'"),
        ("/api/traces?start=now", "malformed parameter 'start': this is no whole number"),
        ("/api/traces?limit=many", "malformed parameter 'limit'"),
        ("/api/traces?tags=name", "malformed parameter 'tags'"),
        ("/api/traces?tag=name", "malformed parameter 'tag': a tag is written key:value"),
        ("/api/traces?minDuration=1", "malformed parameter 'minDuration'"),
        ("/api/traces?minDuration=2s&maxDuration=1s", "'maxDuration' should be greater than 'minDuration'"),
        ("/api/traces?traceID=xyz", "malformed parameter 'traceID'"),
        ("/api/traces/xyz", "malformed parameter 'trace_id': this is no trace ID"),
        ("/api/traces/" + "0" * 33, "malformed parameter 'trace_id'"),
        ("/api/dependencies?endTs=x", "malformed parameter 'endTs'"),
    ],
)
async def test_what_cannot_be_read_is_named(client: Client, path: str, message: str) -> None:
    assert message in await refused(client, path, 400)


async def test_what_is_not_there_is_404(client: Client) -> None:
    assert await refused(client, "/api/traces/ff", 404) == "trace not found"
    assert "/api/nothing" in await refused(client, "/api/nothing", 404)


async def test_only_reading_is_offered(client: Client) -> None:
    reply = await client.get("/api/archive/ff", method="POST")
    check_shape(reply.json(), "StructuredError")
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_answers_are_worked_out_in_threads_of_their_own(client: Client, answers: FixedAnswers) -> None:
    await client.get("/api/services")
    await client.get(f"/api/traces/{TRACE_ID.hex()}")
    assert answers.threads
    assert all(name.startswith("answering") for name in answers.threads)


async def test_a_story_is_found_and_opened_again() -> None:
    async with query_api(answers_of(story())) as client:
        tags = quote('{"resource":"deployments","name":"demo"}')
        (found,) = await listed(client, f"/api/traces?service=tree&tags={tags}", "Traces")
        services = {process["serviceName"] for process in found["processes"].values()}
        assert {"Deployment", "ReplicaSet", "Pod"} <= services
        roots = [span for span in found["spans"] if not span["references"]]
        assert [found["processes"][root["processID"]]["serviceName"] for root in roots] == ["Deployment"]
        known = {span["spanID"] for span in found["spans"]}
        for span in found["spans"]:
            for reference in span["references"]:
                if reference["refType"] == "CHILD_OF":
                    assert reference["spanID"] in known
                else:
                    assert reference["traceID"] != found["traceID"]
                    assert reference["spanID"] not in known  # the UI would walk in a circle
        (opened,) = await listed(client, f"/api/traces/{found['traceID']}", "Traces")
        assert {span["operationName"] for span in opened["spans"]} == {
            span["operationName"] for span in found["spans"]
        }


async def test_a_wrong_question_says_what_would_be_right() -> None:
    async with query_api(answers_of(story())) as client:
        assert "choose one of tree" in await refused(client, "/api/traces?service=trees", 400)
