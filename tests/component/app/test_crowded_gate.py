"""Many at the gate at once: made-up tokens shut out nobody who is known, and who waits hears that, not that Kubernetes is down."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from fake_apiserver import FakeApiServer
from fake_reviews import ACCESS, TOKENS, FakeReviews
from kubeweft.app.access import Gate
from kubeweft.app.access_bounds import Allowance, Bounds
from kubeweft.display.serving.http.failing import Refused
from kubeweft.model.errors import NotNow
from kubeweft.model.references import ObjectKey

POD = ObjectKey("local", "", "pods", "shop", "a")


class Crowd:
    """A gate with a clock, before an API server that can be held up: then it answers nothing until it is let go on."""

    def __init__(self, server: FakeApiServer, bounds: Bounds, tasks: asyncio.TaskGroup) -> None:
        self.now = 0.0
        self.server = server
        self.bounds = bounds
        self.tasks = tasks
        self.reviews = FakeReviews(server)
        self.reviews.tokens = {"alices-token": "alice", "bobs-token": "bob"}
        self.reviews.allow("alice")
        self.goes_on = asyncio.Event()
        self.gate: Gate

    def hold(self, *paths: str) -> None:
        async def held(request: web.Request) -> web.StreamResponse:
            await self.goes_on.wait()
            answers = {TOKENS: self.reviews._token, ACCESS: self.reviews._access}
            return await answers[request.path](request)

        for path in paths:
            self.reviews.before(path, held, times=500)

    def asked(self, path: str) -> int:
        return len([one for one in self.server.asked if one.path == path])

    async def comes(self, token: str) -> str:
        """What somebody hears who comes with a token."""
        try:
            await self.gate.viewer_for(token)
        except (Refused, NotNow) as error:
            return str(error)
        return "come in"

    def coming(self, tokens: list[str]) -> list[asyncio.Task[str]]:
        return [self.tasks.create_task(self.comes(token)) for token in tokens]


@contextlib.asynccontextmanager
async def crowd(**bounds: float) -> AsyncIterator[Crowd]:
    async with FakeApiServer([]) as server, server.client() as client, asyncio.TaskGroup() as tasks:
        here = Crowd(server, Bounds(**bounds), tasks)  # type: ignore[arg-type]
        here.gate = Gate(client, cluster="local", bounds=here.bounds, clock=lambda: here.now)
        try:
            yield here
        finally:
            here.goes_on.set()


async def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        await asyncio.sleep(0.01)


async def test_made_up_tokens_do_not_keep_those_waiting_who_are_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crowd() as here:
        alice = await here.gate.viewer_for("alices-token")
        here.now += 60  # what was said of her is forgotten, and she is known of late
        here.hold(TOKENS)
        flood = here.coming([f"made-up-{n}" for n in range(300)])
        await until(lambda: here.asked(TOKENS) == 1 + here.bounds.tokens_at_once)
        here.reviews._server._scripts[:] = [one for one in here.reviews._server._scripts if one[0] != TOKENS]
        here.reviews.before(TOKENS, here.reviews._token, times=1)
        assert await asyncio.to_thread(alice.allowed, {POD}) == {POD}
        assert alice.undecided == 0
        here.server.script(TOKENS, here.reviews._token, times=500)
        here.goes_on.set()
        heard = await asyncio.gather(*flood)
        assert sum("too many ask" in one for one in heard) >= 300 - here.bounds.waiting_strangers
        assert set(heard) == {
            "the cluster local does not accept this token",
            "too many ask who they are at a time: try again",
        }
        assert here.asked(TOKENS) <= 2 + here.bounds.wrong_tokens
    assert not caplog.records


async def test_who_waits_too_long_for_a_turn_is_not_told_that_kubernetes_is_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crowd(tokens_at_once=1, deadline=0.1) as here:
        await here.gate._persons._strangers.acquire()
        assert "too many ask" in await here.comes("bobs-token")
        here.gate._persons._strangers.release()
        assert await here.comes("bobs-token") == "come in"  # nothing was remembered against him
    assert not caplog.records


async def test_those_who_come_with_one_token_ask_once() -> None:
    async with crowd() as here:
        assert set(await asyncio.gather(*here.coming(["bobs-token"] * 50))) == {"come in"}
        assert set(await asyncio.gather(*here.coming(["made-up"] * 50))) == {
            "the cluster local does not accept this token"
        }
        assert here.asked(TOKENS) == 2


async def test_one_token_may_wait_so_many_times_only() -> None:
    async with crowd(waiting_each=5) as here:
        here.hold(TOKENS)
        coming = here.coming(["bobs-token"] * 20)
        await until(lambda: here.asked(TOKENS) == 1)
        here.goes_on.set()
        heard = await asyncio.gather(*coming)
        assert heard.count("come in") == 5
        assert here.gate._persons._waiting_strangers == 0


async def test_wrong_tokens_are_asked_about_at_a_rate_and_right_ones_are_not_counted() -> None:
    async with crowd(wrong_tokens=3, wrong_tokens_per_second=1.0) as here:
        for n in range(10):
            here.reviews.tokens[f"right-{n}"] = f"user-{n}"
            assert await here.comes(f"right-{n}") == "come in"
        before = here.asked(TOKENS)
        heard = [await here.comes(f"made-up-{n}") for n in range(10)]
        assert ["too many" in one for one in heard] == [False] * 3 + [True] * 7
        assert here.asked(TOKENS) == before + 3
        here.now += 1
        assert await here.comes("bobs-token") == "come in"


async def test_one_person_with_many_questions_leaves_room_for_others() -> None:
    async with crowd(at_once=4, at_once_each=2) as here:
        here.reviews.rules.clear()
        here.reviews.allow("bob")
        alice, bob = [await here.gate.viewer_for(f"{name}s-token") for name in ("alice", "bob")]
        keys = {POD._replace(resource=f"kind{n}") for n in range(50)}
        await asyncio.to_thread(alice.allowed, {POD})  # that she may not see everything is known
        here.hold(ACCESS)
        asked = here.asked(ACCESS)
        hers = here.tasks.create_task(asyncio.to_thread(alice.allowed, keys))
        await until(lambda: here.asked(ACCESS) == asked + 2)
        his = here.tasks.create_task(asyncio.to_thread(bob.allowed, {POD}))
        await until(lambda: here.asked(ACCESS) == asked + 3)
        here.goes_on.set()
        assert (await hers, await his) == (frozenset(), {POD})


async def test_a_decision_about_thousands_lets_others_at_the_loop_between() -> None:
    async with crowd() as here:
        alice = await here.gate.viewer_for("alices-token")
        here.reviews.rules.clear()
        here.reviews.allow("alice", namespace="shop", resource="pods")
        keys = {POD._replace(name=f"pod-{n}") for n in range(5000)}
        assert await asyncio.to_thread(alice.allowed, keys) == keys  # now all of it is remembered
        turns, going = 0, True

        async def others() -> None:
            nonlocal turns
            while going:
                turns += 1
                await asyncio.sleep(0)

        here.tasks.create_task(others())
        assert await here.gate.decide(alice, {"local": set(keys)}, by_name=True) == [keys]
        going = False
        assert turns >= 3 * 5000 // 500  # three widths, 500 objects at a stretch


def test_an_allowance_fills_again_and_no_further() -> None:
    now = [0.0]
    allowance = Allowance(most=2, per_second=4, clock=lambda: now[0])
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    allowance.give_back()
    assert [allowance.take(), allowance.take()] == [True, False]
    now[0] += 0.25
    assert [allowance.take(), allowance.take()] == [True, False]
    now[0] += 1000
    assert [allowance.take() for _ in range(3)] == [True, True, False]
