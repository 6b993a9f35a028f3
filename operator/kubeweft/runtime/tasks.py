"""Supervision: a task that fails is reported, counted and started again; it never takes others with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import Counter
from tenacity import RetryCallState, wait_random_exponential

logger = logging.getLogger(__name__)

RESTARTS = Counter("kubeweft_task_restarts_total", "Tasks that failed and were started again.", ["task"])
HEALTHY_AFTER = 60.0


async def supervise(name: str, run: Callable[[], Awaitable[None]], *, longest_wait: float = 30.0) -> None:
    """Run ``run`` until it returns or is cancelled; after a failure wait (seconds, growing with jitter), run again."""
    wait = wait_random_exponential(multiplier=1, max=longest_wait)
    failures = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]  # counts only
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await run()
            return
        except asyncio.CancelledError:
            raise
        except Exception:  # the one place that may: whatever went wrong in a task is reported and tried again
            if asyncio.get_running_loop().time() - started > HEALTHY_AFTER:
                failures.attempt_number = 1
            delay = wait(failures)
            failures.attempt_number += 1
            RESTARTS.labels(task=name).inc()
            logger.exception("task failed, starting it again: task=%s delay=%.1fs", name, delay)
            await asyncio.sleep(delay)
