"""``/readyz`` says whether the store can be read, and asks it no more often than it has to."""

from __future__ import annotations

import asyncio

import pytest

from kubeweft.model.errors import NotNow, UserError
from query_api import check_shape, query_api


class Store:
    """Counts how often it was tried, and fails as it is told to."""

    def __init__(self) -> None:
        self.tried = 0
        self.failure: Exception | None = None

    def __call__(self) -> None:
        self.tried += 1
        if self.failure is not None:
            raise self.failure


@pytest.mark.parametrize("failure", [NotNow("secret.example is away", delay=1), UserError("secret.example")])
async def test_who_sends_traffic_is_told_that_the_store_cannot_be_read_but_not_why(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    store.failure = failure
    async with query_api(try_store=store) as client:
        reply = await client.get("/readyz", Accept="application/json")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
        check_shape(reply.json(), "PlainError")
        assert "secret.example" not in reply.text
        assert "secret.example" in caplog.text
        assert (await client.get("/healthz")).status == 200


async def test_many_probes_are_one_look_at_the_store() -> None:
    store = Store()
    async with query_api(try_store=store) as client:
        replies = await asyncio.gather(*[client.get("/readyz") for _ in range(20)])
        assert {reply.status for reply in replies} == {200}
    assert store.tried == 1


async def test_a_failure_of_our_own_is_not_taken_for_one_of_the_store() -> None:
    store = Store()
    store.failure = RuntimeError("a mistake")
    async with query_api(try_store=store) as client:
        assert (await client.get("/readyz")).status == 500
