"""Writing to the store from asyncio: one thread writes, and what waits meanwhile is written together.

A disk makes one transaction durable in about the time it takes for a hundred, so the batches that arrive during one
transaction share the next (group commit). Every waiter learns the fate of its own batch: if a group fails, its batches
are tried one by one. The queue is bounded; who finds it full waits, and is told ``NotNow`` if that takes too long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from kubeweft.model.errors import NotNow
from kubeweft.store.embedded.failures import StoreBusy
from kubeweft.store.interfaces import Batch, Written

Outcome = int | Exception


class GroupStore(Protocol):
    """What the writer needs of a store; :class:`kubeweft.store.sqlite.SqliteStore` is one."""

    def write_group(self, batches: Sequence[Batch]) -> Written:
        """Write several batches in one transaction."""

    def newest_position(self) -> int:
        """The position of the newest span."""


class Waiting(NamedTuple):
    """One batch in the queue and who waits for it."""

    batch: Batch
    size: int
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStatistics:
    """The queue now, and what has been done since the start. ``refused`` found no room in time."""

    waiting_batches: int
    waiting_spans: int
    groups: int
    batches: int
    spans: int
    failed: int
    refused: int
    position: int


class Writer:
    """The asyncio front of a store. Use it as an async context manager, or call ``aclose``."""

    def __init__(
        self,
        store: GroupStore,
        *,
        max_batches: int = 1_000,
        max_spans: int = 50_000,
        group_spans: int = 4_000,
        patience: float = 10.0,
    ) -> None:
        """The queue holds ``max_batches`` and ``max_spans``; ``patience`` is how long to wait for room, in seconds.

        ``group_spans`` bounds one transaction, and so how long its first batch waits. One batch may exceed each
        bound on spans, alone.
        """
        self._store = store
        self._max_batches = max_batches
        self._max_spans = max_spans
        self._group_spans = group_spans
        self._patience = patience
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._queue: deque[Waiting] = deque()
        self._queued_spans = 0
        self._turnstile = asyncio.Lock()  # first come, first served, also when there is no room
        self._room: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[list[Outcome]] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._beyond: dict[asyncio.Future[int], int] = {}
        self._closing = False
        self._position = store.newest_position()
        self._groups = self._batches = self._spans = self._failed = self._refused = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def write(self, batch: Batch) -> int:
        """Write a batch; it is durable when this returns. Gives the newest position in the store.

        Raises NotNow where the store or the queue is full. If the waiter is cancelled, the batch may or may not be
        written; writing it again does no harm.
        """
        waiting = Waiting(batch, _size(batch), asyncio.get_running_loop().create_future())
        if not self._turnstile.locked() and self._has_room(waiting.size):
            self._enqueue(waiting)
        else:
            await self._wait_for_room(waiting)
        return await waiting.done

    async def save_export_position(self, exporter: str, position: int) -> None:
        """Remember how far an exporter has come, together with what else is being written."""
        await self.write(Batch(export_positions=((exporter, position),)))

    async def save_bookmark(self, name: str, value: bytes) -> None:
        """Remember how far a source has read, together with what else is being written."""
        await self.write(Batch(bookmarks=((name, value),)))

    async def wait_beyond(self, position: int, *, timeout: float) -> int:
        """Wait until spans beyond ``position`` have been written here, at most ``timeout`` seconds.

        Gives the newest position known. Spans that another process writes do not end the wait.
        """
        if self._position <= position:
            news: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._beyond[news] = position
            try:
                await asyncio.wait((news,), timeout=timeout)
            finally:
                del self._beyond[news]
        return self._position

    async def aclose(self) -> None:
        """Take no more, write what is queued, and end the thread."""
        self._closing = True
        while self._writing is not None:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)
        self._thread.shutdown(wait=True)

    def statistics(self) -> WriterStatistics:
        """The queue now and the counts since the start."""
        return WriterStatistics(
            waiting_batches=len(self._queue),
            waiting_spans=self._queued_spans,
            groups=self._groups,
            batches=self._batches,
            spans=self._spans,
            failed=self._failed,
            refused=self._refused,
            position=self._position,
        )

    async def _wait_for_room(self, waiting: Waiting) -> None:
        try:
            async with asyncio.timeout(self._patience), self._turnstile:
                while not self._has_room(waiting.size):
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
                self._enqueue(waiting)
        except TimeoutError:
            self._refused += 1
            raise NotNow("the store's queue is full", delay=1.0) from None

    def _has_room(self, size: int) -> bool:
        if not self._queue:
            return True
        return len(self._queue) < self._max_batches and self._queued_spans + size <= self._max_spans

    def _enqueue(self, waiting: Waiting) -> None:
        if self._closing:
            raise NotNow("the store is being closed", delay=1.0)
        self._queue.append(waiting)
        self._queued_spans += waiting.size
        if self._writing is None:
            self._begin_group()

    def _begin_group(self) -> None:
        group = self._take_group()
        if not group:
            return
        writing = asyncio.get_running_loop().run_in_executor(
            self._thread, self._write, [waiting.batch for waiting in group]
        )
        self._writing = writing
        writing.add_done_callback(lambda done: self._finish(group, done.result()))

    def _take_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        size = 0
        while self._queue and (not group or size + self._queue[0].size <= self._group_spans):
            waiting = self._queue.popleft()
            self._queued_spans -= waiting.size
            if not waiting.done.done():  # else its waiter was cancelled
                group.append(waiting)
                size += waiting.size
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return group

    def _write(self, batches: list[Batch]) -> list[Outcome]:
        """In the thread: the outcome of each batch. One poisoned batch must not fail its neighbours."""
        try:
            position = self._store.write_group(batches).position
        except StoreBusy as error:  # it would be as busy for each of them
            return [error] * len(batches)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is raised where the batch is awaited)
            if len(batches) == 1:
                return [error]
            return [outcome for batch in batches for outcome in self._write([batch])]
        return [position] * len(batches)

    def _finish(self, group: list[Waiting], outcomes: list[Outcome]) -> None:
        self._writing = None
        self._groups += 1
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._failed += 1
                if not waiting.done.done():
                    waiting.done.set_exception(outcome)
                continue
            self._batches += 1
            self._spans += waiting.size
            self._position = max(self._position, outcome)
            if not waiting.done.done():
                waiting.done.set_result(outcome)
        self._begin_group()
        self._wake()

    def _wake(self) -> None:
        for news, position in self._beyond.items():
            if self._position > position and not news.done():
                news.set_result(self._position)
        if self._writing is None and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
            self._idle = None


def _size(batch: Batch) -> int:
    """How much a batch weighs: versions count as spans, for they take as long."""
    versions = sum(len(checkpoint.versions) for checkpoint in batch.checkpoints)
    foreign = sum(len(part.spans) for part in batch.foreign)
    return len(batch.spans) + versions + len(batch.audit_versions) + foreign
