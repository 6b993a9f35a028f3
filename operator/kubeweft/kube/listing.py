"""Hands a complete state of one resource type to a receiver: streamed where the API server can, else in pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from kubeweft.kube.collection import Collection, Silent, WatchStream
from kubeweft.kube.failures import ApiFailure, Gone, Refused, Unavailable, from_error_line
from kubeweft.kube.lines import Batch, in_batches
from kubeweft.kube.pacing import Limits, larger_page
from kubeweft.kube.progress import Progress
from kubeweft.kube.receiving import Receiver
from kubeweft.model.errors import BadInput, NotNow

STREAM_ATTEMPTS = 2


class HandOver:
    """Calls a receiver, again if it asks for time, and keeps its errors apart from those of the connection."""

    def __init__(self, receiver: Receiver, progress: Progress) -> None:
        """``progress`` is told why it does not go on."""
        self.receiver = receiver
        self._progress = progress

    async def __call__(self, call: Callable[[], Awaitable[None]]) -> None:
        """Returns when the call has succeeded; everything but ``NotNow`` ends the reflector."""
        waited = False
        while True:
            try:
                await call()
                break
            except NotNow as refusal:
                waited = True
                self._progress.explain(f"waiting to hand over: {refusal}")
                await asyncio.sleep(refusal.delay)
            except (ApiFailure, BadInput) as error:
                raise RuntimeError(f"the receiver failed: {error}") from error
        if waited:
            self._progress.explain("")


class Listing:
    """Makes complete lists, and remembers whether the API server can stream them."""

    def __init__(
        self, collection: Collection, hand_over: HandOver, progress: Progress, *, limits: Limits
    ) -> None:
        """One for each reflector."""
        self._collection = collection
        self._hand_over = hand_over
        self._receiver = hand_over.receiver
        self._progress = progress
        self._limits = limits
        self._streams = True
        self._failed_streams = 0

    async def run(self, held: contextlib.AsyncExitStack) -> WatchStream | None:
        """Hand over everything. A streamed list goes on as the watch: it is then held open in ``held`` and returned."""
        if self._streams and self._failed_streams < STREAM_ATTEMPTS:
            stream = await self._streamed(held)
            if stream is not None:
                self._failed_streams = 0
                return stream
        await self._in_pages()
        self._failed_streams = 0
        return None

    async def _streamed(self, held: contextlib.AsyncExitStack) -> WatchStream | None:
        async with contextlib.AsyncExitStack() as own:
            try:
                stream = await own.enter_async_context(self._collection.watch_list())
                await self._hand_over(self._receiver.list_started)
                while not await self._take(await stream.next()):
                    pass
            except Refused:
                self._streams = False
                return None
            except Silent:  # it may know the parameter as little, and ignore it
                self._failed_streams = STREAM_ATTEMPTS
                return None
            except BadInput as error:
                self._progress.undecodable += 1
                self._failed_streams = STREAM_ATTEMPTS
                raise Unavailable(f"the streamed list cannot be read: {error}") from error
            except Unavailable:
                self._failed_streams += 1
                raise
            held.push_async_callback(own.pop_all().aclose)
            return stream

    async def _take(self, batch: Batch | None) -> bool:
        """Hand over one batch; whether it was the last of the list."""
        if batch is None:
            raise Unavailable("the streamed list ended before it was complete")
        await self._hand_some(batch)
        if batch.error is not None:
            raise from_error_line(batch.error)
        if batch.initial_end:
            await self._finish(batch.version)
        elif batch.bookmarked:
            raise Refused("the API server watches without an initial list")
        return batch.initial_end

    async def _hand_some(self, batch: Batch) -> None:
        if batch.lines:
            await self._hand_over(lambda: self._receiver.listed(batch.lines))
            self._progress.listed_some(len(batch.lines))

    async def _in_pages(self) -> None:
        limit = self._limits.page
        while True:
            await self._hand_over(self._receiver.list_started)
            try:
                version = await self._pages(limit)
                break
            except Gone as failure:
                if not limit:
                    raise Unavailable(str(failure)) from failure
                limit = larger_page(limit)
        await self._finish(version)

    async def _pages(self, limit: int) -> str:
        token = ""
        while True:
            try:
                page = await self._collection.page(limit=limit, continue_token=token)
            except BadInput as error:
                self._progress.undecodable += 1
                raise Unavailable(str(error)) from error
            for batch in in_batches(page.lines):
                await self._hand_some(batch)
            token = page.continue_token
            if not token:
                return page.version

    async def _finish(self, version: str) -> None:
        missed = self._progress.missed()
        await self._hand_over(lambda: self._receiver.list_finished(version, missed))
        self._progress.listed_all(version)
