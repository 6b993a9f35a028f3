"""Supervision starts failed tasks again and passes cancellation on."""

import asyncio
import logging

import pytest

from kubeweft.runtime.tasks import RESTARTS, supervise


async def test_a_failed_task_is_counted_told_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("broken")

    before = RESTARTS.labels(task="flaky")._value.get()
    with caplog.at_level(logging.ERROR):
        await supervise("flaky", run, longest_wait=0.01)
    assert runs == 3
    assert RESTARTS.labels(task="flaky")._value.get() - before == 2
    assert caplog.text.count("task failed") == 2


async def test_cancellation_ends_it() -> None:
    started = asyncio.Event()

    async def run() -> None:
        started.set()
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await supervise("patient", run)
    assert started.is_set()
