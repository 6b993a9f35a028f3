"""How a process is asked to stop: SIGINT and SIGTERM end the work as if it were cancelled, and are no error."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def until_signal(run: Callable[[], Awaitable[None]]) -> None:
    """Run until a signal asks to stop; errors of ``run`` itself come out as they are."""
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None
    asked = False

    def stop() -> None:
        nonlocal asked
        if not asked:
            asked = True
            logger.info("stopping")
            running.cancel()

    for name in STOP_SIGNALS:
        loop.add_signal_handler(name, stop)
    try:
        await run()
    except asyncio.CancelledError:
        if not asked:
            raise
        running.uncancel()
