"""From an object and a time to the page of its trace."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.display.tree.trees import FOREVER
from query_api import TRACE_ID, FixedAnswers, check_shape, query_api
from span_builders import SECOND, at
from story_answers import answers_of, story

DEMO = "/redirect?resource=deployments.apps&namespace=default&name=demo"
PAGE = f"/trace/{TRACE_ID.hex()}"


async def test_a_browser_is_sent_to_the_page() -> None:
    answers = FixedAnswers()
    async with query_api(answers) as client:
        reply = await client.get(f"{DEMO}&cluster=prod&view=timeline&select=ancestors", Accept="text/html")
        assert (reply.status, reply.headers["Location"]) == (302, PAGE)
    assert answers.asked == [
        {
            "view": "timeline",
            "selection": "ancestors",
            "cluster": "prod",
            "resource": "deployments.apps",
            "namespace": "default",
            "name": "demo",
            "since": 0,
            "until": FOREVER,
        }
    ]


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("&time=2026-11-21T10:30:00Z", at("10:30:00"), at("10:30:00")),
        ("&time=2026-11-21T11:30:00%2B01:00", at("10:30:00"), at("10:30:00")),
        ("&time=2026-11-21T11:30:00+01:00", at("10:30:00"), at("10:30:00")),
        (f"&time={at('10:30:00') // SECOND}", at("10:30:00"), at("10:30:00")),
        (f"&time={at('10:30:00') // 1_000_000}", at("10:30:00"), at("10:30:00")),
        ("&since=2h&until=30m", at("10:00:00"), at("11:30:00")),
        ("&since=10:30", at("10:30:00"), FOREVER),
        ("&until=10:30", 0, at("10:30:00")),
    ],
)
async def test_times_are_written_as_people_and_dashboards_write_them(
    query: str, since: int, until: int
) -> None:
    answers = FixedAnswers()
    async with query_api(answers) as client:
        reply = await client.get(DEMO + query)
        assert reply.status == 302, reply.text
    assert (answers.asked[0]["since"], answers.asked[0]["until"]) == (since, until)


async def test_a_program_gets_json() -> None:
    async with query_api(FixedAnswers(), trace_page="http://jaeger.example/trace/{trace_id}") as client:
        reply = await client.get(DEMO, Accept="application/json")
        check_shape(reply.json(), "Located")
        assert reply.json() == {
            "traceID": TRACE_ID.hex(),
            "url": f"http://jaeger.example/trace/{TRACE_ID.hex()}",
        }
        missing = await client.get("/redirect?resource=pods&name=gone", Accept="application/json")
        assert missing.status == 404
        check_shape(missing.json(), "PlainError")


async def test_the_page_may_be_elsewhere_or_under_a_path() -> None:
    async with query_api(trace_page="http://jaeger.example/trace/{trace_id}?uiEmbed=v0") as client:
        reply = await client.get(DEMO)
        assert reply.headers["Location"] == f"http://jaeger.example/trace/{TRACE_ID.hex()}?uiEmbed=v0"
    async with query_api(base_path="/kubeweft") as client:
        reply = await client.get(f"/kubeweft{DEMO}")
        assert reply.headers["Location"] == f"/kubeweft{PAGE}"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/redirect", 400, "/redirect?resource=deployments.apps"),
        ("/redirect?name=demo", 400, "parameter 'resource' is required: /redirect?resource="),
        (f"{DEMO}&namspace=x", 400, "it takes resource, name, namespace, cluster, time"),
        (f"{DEMO}&<script>=x", 400, "a parameter that this page does not take"),
        (f"{DEMO}&time=soon", 400, "malformed parameter 'time': 'soon' is no time: write it like 10m"),
        (f"{DEMO}&time=10m&since=1h", 400, "either 'time'"),
        (f"{DEMO}&since=1h&until=2h", 400, "'since' lies after 'until'"),
        ("/redirect?resource=pods&name=gone", 404, "did you mean demo?"),
    ],
)
async def test_what_does_not_work_says_what_would(path: str, status: int, message: str) -> None:
    async with query_api() as client:
        reply = await client.get(path)
        assert reply.status == status
        assert reply.headers["Content-Type"].startswith("text/plain")
        assert message in reply.text


async def test_a_stored_object_is_found_and_its_trace_opens() -> None:
    async with query_api(answers_of(story())) as client:
        reply = await client.get("/redirect?resource=deploy&name=demo&time=2026-11-21T10:10:00Z")
        assert reply.status == 302, reply.text
        opened: Any = (await client.get("/api" + reply.headers["Location"].replace("trace", "traces"))).json()
        assert "default/demo" in opened["data"][0]["spans"][0]["operationName"]
        missing = await client.get("/redirect?resource=deploy&name=dem")
        assert missing.status == 404
        elsewhere = await client.get("/redirect?resource=deploy&name=demo&namespace=none")
        assert "there is one with namespace=default cluster=demo" in elsewhere.text
