"""Whatever is written into an address, the answer is one that the dialect knows, and never our own failure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from kubeweft.display.serving.http.application import ROUTES, build_application, everybody
from kubeweft.store.sqlite_reader import SqliteReader
from query_api import TRACE_ID, FixedAnswers, check_shape, displayed, query_api
from serve_process import stored_in
from story_answers import answers_of, story

ODD = [
    "",
    "0",
    "-1",
    "99999999999999999999",
    "9999999999999999999",
    "-9999999999999999999",
    "99999999999999d",
    "9" * 5000 + "s",
    "." + "9" * 5000 + "h",
    "0001-01-01",
    "9999-01-01",
    "2026-11-21T10:00:00.-5Z",
    "1970-01-01T00:00:00Z",
    "9223372036854775807",
    "null",
    "true",
    "demo",
    "tree",
    "stored",
    "deployments",
    "{}",
    "[]",
    '{"name":"demo"}',
    '{"error":"maybe"}',
    '{"name":1}',
    '{"group":"apps"}',
    '{"kind":"Nothing"}',
    '{"text":"%"}',
    "a:b",
    ":",
    "1h",
    "custom",
    "2026-11-21T10:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z",
    TRACE_ID.hex(),
    "ff",
    "\u0000",
    "\ud7ff\U0001f600",
    "%",
    "..",
    "<script>",
    "x" * 2000,
]
SHAPES = {"/api/v3/": "GatewayError", "/api/": "StructuredError"}


def addresses(count: int, seed: int) -> list[URL]:
    """Every route with random parameters of its own, and some that it does not know."""
    chance = random.Random(seed)
    routes = build_application(everybody(FixedAnswers()))[ROUTES]
    found = []
    for _ in range(count):
        route = chance.choice(routes)
        path = route.path.replace("{trace_id}", TRACE_ID.hex()).replace("{service}", "tree")
        names = [name for one in route.parameters for name in (one.name, *one.aliases)] + ["unknown"]
        chosen = [(chance.choice(names), chance.choice(ODD)) for _ in range(chance.randrange(5))]
        found.append(URL.build(path=path, query=chosen))
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(stored_in(tmp_path / "store.db", story()))
    yield reader
    reader.close()


TIMES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999999999999999999", "-9999999999999999999")
TIMED = (
    "/api/traces?service=tree&start={}",
    "/api/traces?service=tree&end={}",
    "/api/traces/{id}?start={}",
    "/api/traces/{id}?end={}",
    "/api/dependencies?endTs={}",
    "/api/dependencies?lookback={}",
    "/api/v3/traces?query.startTimeMin={}",
    "/api/v3/traces?query.startTimeMax={}",
    "/api/v3/traces/{id}?startTime={}",
    "/api/v3/dependencies?endTime={}",
    "/redirect?resource=deploy&name=demo&since={}",
    "/redirect?resource=deploy&name=demo&until={}",
    "/redirect?resource=deploy&name=demo&time={}",
)


async def test_no_time_is_too_early_or_too_late_for_a_store(stored: SqliteReader) -> None:
    answers = answers_of(stored)
    trace_id = answers.locate(resource="deploy", name="demo").hex()
    async with query_api(answers) as client:
        for path in TIMED:
            for time in (*TIMES, "99999999999999d", "9" * 5000 + "s"):
                reply = await client.get(path.replace("{id}", trace_id).replace("{}", time))
                assert reply.status in (200, 302, 400, 404), (
                    f"{reply.status} {path} {time[:30]}: {reply.text}"
                )


async def test_the_year_1_is_no_time_at_all() -> None:
    answers = FixedAnswers({TRACE_ID: lambda: [displayed(0)]})
    async with query_api(answers) as client:
        unset = "0001-01-01T00:00:00Z"
        await client.get(f"/api/v3/traces?query.startTimeMin={unset}&query.startTimeMax={unset}")
        await client.get("/api/v3/traces")
    assert answers.asked[0] == answers.asked[1]


@pytest.mark.parametrize("real", [False, True])
async def test_no_question_makes_the_server_fail(stored: SqliteReader, *, real: bool) -> None:
    fixed = FixedAnswers({TRACE_ID: lambda: [displayed(0)]})
    answers: Any = answers_of(stored) if real else fixed
    async with query_api(answers) as client:
        for address in addresses(150 if real else 300, seed=7):
            reply = await client.get(str(address))
            assert reply.status in (200, 302, 400, 404), f"{reply.status} {address}: {reply.text}"
            if reply.status >= 400:
                shape = next((name for start, name in SHAPES.items() if address.path.startswith(start)), "")
                if shape:
                    check_shape(reply.json(), shape)
                else:
                    assert reply.text.endswith("\n")
            elif reply.headers.get("Content-Type", "").startswith("application/json"):
                assert reply.json() is not None
