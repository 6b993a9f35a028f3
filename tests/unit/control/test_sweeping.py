"""Complete lists: at the start, when Kopf starts, and whatever the API server answers."""

import asyncio
import logging

import pytest

from fake_control_api import FakeControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.sweeping import Sweeper
from kubeweft.kube.failures import Forbidden, Unavailable
from kubeweft.model.plan import Plan


@pytest.fixture
async def plans() -> list[Plan]:
    return []


@pytest.fixture
async def declarations(plans: list[Plan]) -> Declarations:
    return Declarations(Installation(), on_plan=plans.append)


async def test_everything_is_known_after_the_first_sweep(
    api: FakeControlApi, declarations: Declarations, plans: list[Plan]
) -> None:
    api.put(POLICIES, "a")
    api.put(LINK_RULES, "r")
    sweeper = Sweeper(declarations, api)
    assert not sweeper.known.is_set()
    assert await sweeper.sweep()
    assert sweeper.known.is_set()
    assert list(declarations.objects(LINK_RULES)) == ["r"]
    assert [s.policy for s in plans[-1].scopes] == ["a"]


async def test_what_was_deleted_unseen_is_found(
    api: FakeControlApi, declarations: Declarations, plans: list[Plan]
) -> None:
    sweeper = Sweeper(declarations, api)
    declarations.policy_seen("a", api.put(POLICIES, "a"))
    api.bodies.clear()
    await sweeper.sweep()
    assert [s.policy for s in plans[-1].scopes] == [""]


async def test_a_failed_list_changes_nothing_and_is_told_once(
    api: FakeControlApi, declarations: Declarations, caplog: pytest.LogCaptureFixture
) -> None:
    declarations.policy_seen("a", api.put(POLICIES, "a"))
    sweeper = Sweeper(declarations, api)
    api.failure = Unavailable("away")
    with caplog.at_level(logging.WARNING):
        assert not await sweeper.sweep()
        assert not await sweeper.sweep()
    assert not sweeper.known.is_set()
    assert list(declarations.objects(POLICIES)) == ["a"]
    assert len(caplog.records) == 2  # one for each type


async def test_a_forbidden_list_is_an_answer(api: FakeControlApi, declarations: Declarations) -> None:
    sweeper = Sweeper(declarations, api)
    api.failure = Forbidden("no", status=403)
    assert await sweeper.sweep()
    assert sweeper.known.is_set()


async def test_a_sweep_follows_when_it_is_wanted(api: FakeControlApi, declarations: Declarations) -> None:
    sweeper = Sweeper(declarations, api, every=3600)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sweeper.run())
        await sweeper.known.wait()
        swept = api.lists
        declarations.ready()
        while api.lists == swept:
            await asyncio.sleep(0)
        task.cancel()


async def test_failures_are_followed_by_another_try(api: FakeControlApi, declarations: Declarations) -> None:
    api.failure = Unavailable("away")
    sweeper = Sweeper(declarations, api, every=3600, again_after=0.001)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sweeper.run())
        while api.lists < 4:
            await asyncio.sleep(0)
        api.failure = None
        await sweeper.known.wait()
        task.cancel()
