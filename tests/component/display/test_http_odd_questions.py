"""Whatever is written into an address, the answer is one that the dialect knows, and never our own failure."""

from __future__ import annotations

import random
from typing import Any

import pytest
from yarl import URL

from kubeweft.display.serving.http.application import ROUTES, build_application, everybody
from query_api import TRACE_ID, FixedAnswers, check_shape, displayed, query_api
from story_answers import answers_of, story

ODD = [
    "",
    "0",
    "-1",
    "99999999999999999999",
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


@pytest.mark.parametrize("real", [False, True])
async def test_no_question_makes_the_server_fail(*, real: bool) -> None:
    fixed = FixedAnswers({TRACE_ID: lambda: [displayed(0)]})
    answers: Any = answers_of(story()) if real else fixed
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
