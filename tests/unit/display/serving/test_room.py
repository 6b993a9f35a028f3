"""Room that is shared: first come, first served, and never lost, whoever goes away."""

from __future__ import annotations

import asyncio

import pytest

from kubeweft.display.serving.room import Room
from kubeweft.model.errors import NotNow


def room(size: int, *, waiting: int = 10, admission: float = 5) -> Room:
    return Room(size, waiting=waiting, admission=admission)


async def turns() -> None:
    """Let all tasks come as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def is_free(of: Room, amount: int) -> bool:
    try:
        async with asyncio.timeout(0):
            share = await of.take(amount)
    except TimeoutError:
        return False
    share.keep(0)
    return True


async def test_who_comes_first_is_served_first_though_there_were_room_for_others() -> None:
    shared = room(10)
    first = await shared.take(6)
    async with asyncio.TaskGroup() as group:
        large, small = group.create_task(shared.take(8)), group.create_task(shared.take(1))
        await turns()
        assert not large.done()
        assert not small.done()
        first.keep(3)
        await turns()
        assert not large.done()
        first.keep(0)
    shares = large.result(), small.result()
    assert not await is_free(shared, 2)
    for share in shares:
        share.keep(0)
    assert await is_free(shared, 10)


async def test_what_is_kept_is_never_more_than_was_taken() -> None:
    shared = room(10)
    share = await shared.take(5)
    for kept, free in ((7, 5), (2, 8), (4, 8), (0, 10), (0, 10)):
        share.keep(kept)
        assert await is_free(shared, free)
        assert free == 10 or not await is_free(shared, free + 1)


async def test_who_wants_more_than_there_is_gets_all_of_it() -> None:
    shared = room(10)
    share = await shared.take(50)
    assert not await is_free(shared, 1)
    share.keep(0)
    assert await is_free(shared, 10)


async def test_who_has_waited_too_long_is_told_and_holds_up_nobody() -> None:
    shared = room(10, admission=0.05)
    share = await shared.take(10)
    with pytest.raises(NotNow) as told:
        await shared.take(5)
    assert told.value.delay == 5
    share.keep(0)
    assert await is_free(shared, 10)


async def test_when_too_many_wait_the_next_is_told_at_once() -> None:
    shared = room(1, waiting=2)
    share = await shared.take(1)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(shared.take(1)) for _ in range(2)]
        await turns()
        with pytest.raises(NotNow) as told:
            await shared.take(1)
        assert told.value.delay == 2
        share.keep(0)
        for task in waiting:
            (await task).keep(0)
    assert await is_free(shared, 1)


async def test_who_goes_while_waiting_leaves_the_line() -> None:
    shared = room(4)
    share = await shared.take(3)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(shared.take(4)) for _ in range(3)]
        await turns()
        waiting[0].cancel()
        waiting[1].cancel()
        await turns()
        share.keep(0)
        (await waiting[2]).keep(0)
    assert await is_free(shared, 4)
    assert shared.waiting == 0
