"""Where answers are worked out: in threads, so many at a time, and a tree only as fast as its reader takes it.

Answers are synchronous, and each stream holds a whole tree. So both have a number and every wait has a limit; whoever
comes when all is taken is told to come again, instead of waiting for ever or filling the memory.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kubeweft.display.serving.http.failing import TooSlow
from kubeweft.display.serving.stopping import CURRENT, Stop
from kubeweft.model.errors import NotNow

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLimits:
    """Streams at a time (each holds a tree), short questions at a time, threads for both; times in seconds.

    ``admission`` is how long a request may wait for its turn, ``waiting`` how many may; ``answer`` is how long one
    piece of an answer may take, ``reader`` how long a client may take nothing of what is written to it, ``whole`` how
    long it may take for all of it.
    """

    streams: int = 8
    calls: int = 16
    threads: int = 4
    waiting: int = 64
    admission: float = 10.0
    answer: float = 60.0
    reader: float = 60.0
    whole: float = 300.0


class Workshop:
    """The threads of one server. Close it when the server has stopped."""

    def __init__(self, limits: WorkLimits) -> None:
        """No thread is started before there is work."""
        self.limits = limits
        self.waiting = 0
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="answering")
        self._streams = asyncio.Semaphore(limits.streams)
        self._calls = asyncio.Semaphore(limits.calls)

    async def call(self, work: Callable[[], Result]) -> Result:
        """Something short, in a thread."""
        async with self._turn(self._calls) as turn:
            return await turn.run(work)

    @asynccontextmanager
    async def pieces(self, begin: Callable[[], Iterator[bytes]]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Something long, piece by piece: each is worked out only when it is asked for."""
        async with self._turn(self._streams) as turn:
            stream = _Stream(begin)
            try:
                yield _each(stream, turn)
            finally:
                turn.finish(stream.close)

    def close(self) -> None:
        """Take no more work; what is under way ends by itself, since nobody waits for it."""
        self._pool.shutdown(wait=False)

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore) -> AsyncIterator[_Turn]:
        await self._admit(turns)
        turn = _Turn(self._pool, self.limits.answer)
        try:
            yield turn
        finally:
            turn.when_done(turns.release)

    async def _admit(self, turns: asyncio.Semaphore) -> None:
        busy = "too many questions at a time: try again"
        if turns.locked() and self.waiting >= self.limits.waiting:
            raise NotNow(busy, delay=2)
        self.waiting += 1
        try:
            async with asyncio.timeout(self.limits.admission):
                await turns.acquire()
        except TimeoutError:
            raise NotNow(busy, delay=5) from None
        finally:
            self.waiting -= 1


class _Turn:
    """The right to have work done. It lasts until the last work is done, even if the client has long gone."""

    def __init__(self, pool: ThreadPoolExecutor, limit: float) -> None:
        self._pool, self._limit = pool, limit
        self._last: Future[Any] | None = None

    def start(self, work: Callable[[], Result]) -> Future[Result]:
        future = self._pool.submit(work)
        self._last = future
        return future

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of work in a thread. Where nobody waits for it any more, it ends at its next read."""
        stop = Stop(seconds=self._limit)
        context = contextvars.copy_context()
        context.run(CURRENT.set, stop)
        try:
            async with asyncio.timeout(self._limit):
                return await asyncio.wrap_future(self.start(functools.partial(context.run, work)))
        except TimeoutError:
            raise TooSlow(
                f"the answer was not ready within {self._limit:g} seconds: ask for a shorter time, or for less"
            ) from None
        finally:
            stop.ask()

    def finish(self, work: Callable[[], None]) -> None:
        """The last work, for which nobody waits."""
        try:
            self.start(work)
        except RuntimeError:  # the server is closed: there are no threads any more
            work()

    def when_done(self, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if self._last is None or self._last.done():
            call()
        else:
            self._last.add_done_callback(lambda _: _later(loop, call))


class _Stream:
    """An iterator that is used by one thread at a time, and closed when nobody uses it."""

    def __init__(self, begin: Callable[[], Iterator[bytes]]) -> None:
        self._begin = begin
        self._pieces: Iterator[bytes] | None = None
        self._lock = threading.Lock()

    def next(self) -> bytes | None:
        """The next piece; None after the last."""
        with self._lock:
            if self._pieces is None:
                self._pieces = self._begin()
            return next(self._pieces, None)

    def close(self) -> None:
        """End it where it stands, so that what it holds (a read transaction, a tree) is let go now."""
        with self._lock:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()


async def _each(stream: _Stream, turn: _Turn) -> AsyncIterator[bytes]:
    while (piece := await turn.run(stream.next)) is not None:
        yield piece


def _later(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
