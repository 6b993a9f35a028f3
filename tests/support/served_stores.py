"""``kubeweft serve`` inside the test process, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from kubeweft.app.serving import ServeOptions, Serving, serving

START_SECONDS = 20


@contextlib.contextmanager
def served(options: ServeOptions) -> Iterator[Serving]:
    """Serve within the block; gives where. What keeps it from starting is raised here."""
    started: queue.Queue[Serving | BaseException] = queue.Queue()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        try:
            async with serving(options) as where:
                started.put(where)
                await stop.wait()
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=_run, args=(loop, serve()))
    thread.start()
    try:
        where = started.get(timeout=START_SECONDS)
        if isinstance(where, BaseException):
            raise where
        yield where
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=START_SECONDS)
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, serve: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(Exception):  # told to the thread that waits
        loop.run_until_complete(serve)
