"""Where answers are worked out, for all protocols of a process: in threads, and a tree only as fast as its reader takes it.

Answers are synchronous, and each stream holds a tree. So spans in memory and short questions at a time have a limit each,
and so has every wait; whoever comes when all is taken is told to come again, instead of waiting for ever or filling the
memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kubeweft.display.serving.room import Room, Share
from kubeweft.display.serving.trees import FOUND, OPENED
from kubeweft.runtime.stopping import Stop, stoppable, took_longer_than

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLimits:
    """How much at a time; times are in seconds.

    ``spans`` in memory for all streams (about 1.6 kB each), of which one reserves as many as its tree may have at most:
    ``opened`` or ``found``. Once the tree of a single trace has been read, it keeps what it needs, and ``least``.
    ``calls`` are short questions at a time, ``threads`` work on both, ``waiting`` requests may wait for their turn, for
    ``admission`` each. A search is given ``search``; of every other answer a piece may take ``answer``, and all
    of it ``whole``. A client has ``reader`` to take a part of it, as large as its protocol says.
    """

    spans: int = 400_000
    opened: int = OPENED.spans
    found: int = FOUND.spans
    least: int = 5_000
    calls: int = 16
    threads: int = 4
    waiting: int = 64
    admission: float = 10.0
    search: float = 8.0  # Jaeger's UI gives up after ten
    answer: float = 60.0
    reader: float = 20.0
    whole: float = 300.0


class Workshop:
    """The threads and the memory of one process. Close it when its servers have stopped."""

    def __init__(self, limits: WorkLimits | None = None) -> None:
        """No thread is started before there is work."""
        self.limits = limits = limits or WorkLimits()
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="answering")
        self._spans = Room(limits.spans, waiting=limits.waiting, admission=limits.admission)
        self._calls = Room(limits.calls, waiting=limits.waiting, admission=limits.admission)

    async def call(self, work: Callable[[], Result]) -> Result:
        """Something short, in a thread; raises ``Stopped`` where it takes too long."""
        turn = _Turn(self._pool, await self._calls.take(1), Stop(seconds=self.limits.answer))
        try:
            return await turn.run(work, seconds=self.limits.answer)
        finally:
            turn.end()

    def opening(
        self, begin: Callable[[], Iterator[Result]], *, several: bool = False, within: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """Traces (``several`` one after the other), piece by piece: each is worked out only when it is asked for.

        A client that waits for no more than ``within`` seconds says so.
        """
        limits = self.limits
        return self._pieces(
            begin, spans=limits.opened, seconds=_least(limits.whole, within), shrinks=not several
        )

    def searching(
        self, begin: Callable[[], Iterator[Result]], *, within: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """What a search finds, piece by piece: its work is stopped when its time is over."""
        limits = self.limits
        return self._pieces(begin, spans=limits.found, seconds=_least(limits.search, within), shrinks=False)

    def close(self) -> None:
        """Take no more work; what is under way ends by itself, since nobody waits for it."""
        self._pool.shutdown(wait=False)

    @asynccontextmanager
    async def _pieces(
        self, begin: Callable[[], Iterator[Result]], *, spans: int, seconds: float, shrinks: bool
    ) -> AsyncIterator[AsyncIterator[Result]]:
        share = await self._spans.take(spans)
        stop, stream = Stop(seconds=seconds), _Stream(begin)
        turn = _Turn(self._pool, share, stop)

        async def each() -> AsyncIterator[Result]:
            while (piece := await turn.run(stream.next, seconds=self.limits.answer)) is not None:
                if shrinks:
                    share.keep(max(stop.spans_read, self.limits.least))
                yield piece

        try:
            yield each()
        finally:
            stop.ask()
            turn.start(stream.close)
            turn.end()


class _Turn:
    """The right to have work done. It lasts until the last work is done, even if the client has long gone."""

    def __init__(self, pool: ThreadPoolExecutor, share: Share, stop: Stop) -> None:
        self._pool, self._share, self._stop = pool, share, stop
        self._last: Future[Any] | None = None

    async def run(self, work: Callable[[], Result], *, seconds: float) -> Result:
        """The result of work in a thread. Where nobody waits for it any more, it ends at its next read."""
        self._last = future = self._pool.submit(stoppable(work, self._stop))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            self._stop.ask()
            raise took_longer_than(seconds) from None
        except asyncio.CancelledError:
            self._stop.ask()
            raise

    def start(self, work: Callable[[], None]) -> None:
        """The last work, for which nobody waits: after what is under way, in the same thread."""
        if self._last is not None and not self._last.done():
            self._last.add_done_callback(lambda _: work())
            return
        try:
            self._last = self._pool.submit(work)
        except RuntimeError:  # the server is closed: there are no threads any more
            work()

    def end(self) -> None:
        """Give the share back as soon as the work is done."""
        loop = asyncio.get_running_loop()
        if self._last is None or self._last.done():
            self._share.keep(0)
        else:
            self._last.add_done_callback(lambda _: _later(loop, self._share))


class _Stream(Generic[Result]):
    """An iterator that is used by one thread at a time, and closed when nobody uses it."""

    def __init__(self, begin: Callable[[], Iterator[Result]]) -> None:
        self._begin = begin
        self._pieces: Iterator[Result] | None = None
        self._lock = threading.Lock()

    def next(self) -> Result | None:
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


def _least(ours: float, theirs: float | None) -> float:
    return ours if theirs is None else min(ours, theirs)


def _later(loop: asyncio.AbstractEventLoop, share: Share) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(share.keep, 0)
