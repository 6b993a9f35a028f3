"""Answers are made in threads, a piece at a time: never ahead of the client, never longer than somebody waits."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from kubeweft.display.serving.stopping import CURRENT, Stop

Answer = TypeVar("Answer")


async def answered(executor: Executor, work: Callable[[], Answer], *, seconds: float) -> Answer:
    """What ``work`` gives, made in a thread; raises ``Stopped`` after ``seconds``."""
    stop = Stop(seconds=seconds)
    try:
        return await _run(executor, stop, work)
    except asyncio.CancelledError:
        stop.ask()
        raise


async def streamed(
    executor: Executor, work: Callable[[], Iterator[Answer]], *, seconds: float
) -> AsyncGenerator[Answer, None]:
    """What ``work`` yields, each made when the one before has been taken; raises ``Stopped`` after ``seconds``."""
    stop = Stop(seconds=seconds)
    try:
        answers = await _run(executor, stop, work)
        while True:
            answer = await _run(executor, stop, lambda: next(answers, None))
            if answer is None:
                return
            yield answer
    finally:
        stop.ask()


async def _run(executor: Executor, stop: Stop, work: Callable[[], Answer]) -> Answer:
    context = contextvars.copy_context()
    context.run(CURRENT.set, stop)
    return await asyncio.get_running_loop().run_in_executor(executor, context.run, work)
