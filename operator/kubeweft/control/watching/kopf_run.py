"""One life of Kopf, in a thread and event loop of its own.

Kopf cancels every task of its loop when it stops, and ends as a whole when one of its watches fails for good: neither
may reach the rest of the process.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import kopf

from kubeweft.control.login import Login, connect

logger = logging.getLogger(__name__)

PATIENCE = 2.0  # Kopf waits for its tasks for five seconds when it is ending by itself
CLOSING = 0.1  # aiohttp closes TLS connections in the turns of the loop after their session is closed
STOPPED = "it stopped by itself"


class KopfRun:
    """Starts at once, and ends by itself or when stopped."""

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        settings: kopf.OperatorSettings,
        login: Login,
        *,
        on_end: Callable[[], object],
    ) -> None:
        """``on_end`` is called in the thread, as its last act."""
        self._registry = registry
        self._settings = settings
        self._login = login
        self._on_end = on_end
        self._lock = threading.Lock()
        self._stop: Callable[[], object] | None = None
        self._stopping = False
        self._reason = ""
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()

    def why_ended(self) -> str:
        """Why it has ended; empty while it runs."""
        return self._reason

    async def stop(self, *, limit: float) -> bool:
        """Ask it to stop and wait for that, at most ``limit`` seconds; whether it has stopped."""
        with self._lock:
            self._stopping = True
            if self._stop is not None:
                self._stop()
        await asyncio.to_thread(self._thread.join, limit)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._operate())
        except asyncio.CancelledError:
            self._reason = "it was cancelled"
        # The root of this thread: whatever ends Kopf is told, and Kopf starts again.
        except Exception as error:
            self._reason = f"{type(error).__name__}: {error}"
            logger.debug("Kopf has ended", exc_info=True)
        else:
            self._reason = STOPPED
        self._on_end()

    async def _operate(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()  # a threading.Event would hold a thread of the loop until it is set
        with self._lock:
            if self._stopping:
                return
            self._stop = functools.partial(
                loop.call_soon_threadsafe, _stop_soon, stop, asyncio.current_task()
            )
        try:
            await connect(self._login)  # Kopf does not end when it cannot log in at its start, it hangs
            await kopf.operator(
                registry=self._registry,
                settings=self._settings,
                standalone=True,
                clusterwide=True,
                stop_flag=stop,
            )
        finally:
            with self._lock:
                self._stop = None
            await asyncio.sleep(CLOSING)


def _stop_soon(stop: asyncio.Event, operator: asyncio.Task[Any] | None) -> None:
    """In order, and if that takes too long by cancelling."""
    stop.set()
    if operator is not None:
        asyncio.get_running_loop().call_later(PATIENCE, operator.cancel)
