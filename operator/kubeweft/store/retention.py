"""Retention, applied while the process runs: now and then, in pieces that take turns with the writes of others.

What goes and what stays is said in :mod:`kubeweft.store.embedded.housekeeping`; this decides when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from kubeweft.model.errors import NotNow
from kubeweft.model.plan import Retention
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.embedded.housekeeping import Housekeeping

logger = logging.getLogger(__name__)

EVERY: Final = 15.0  # seconds between two runs
SHORTEST_PAUSE: Final = 0.005  # after a piece; at least as long as the piece took
TOLD: Final = 10_000  # spans removed at once that are worth a line in the log


class KeptStore(Protocol):
    """What is needed of a store; :class:`kubeweft.store.sqlite.SqliteStore` is one."""

    def housekeeping(self) -> Housekeeping:
        """What removes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionStatistics:
    """What has been removed since the start, for metrics.

    ``held_windows`` are those that the last run would have removed, had an exporter sent them. ``seconds`` is how long
    writers have been kept out altogether.
    """

    windows: int
    spans: int
    held_windows: int
    seconds: float
    runs: int
    refused: int


class Retainer:
    """Keeps a store within the retention of the plan in force."""

    def __init__(
        self,
        store: KeptStore,
        retention: Callable[[], Retention],
        *,
        now: Callable[[], int],
        every: float = EVERY,
    ) -> None:
        """``retention`` is asked before each run; ``now`` gives nanoseconds; ``every`` is in seconds."""
        self._housekeeping = store.housekeeping()
        self._retention = retention
        self._now = now
        self._every = every
        self._runs = self._refused = 0
        self._told_held = False

    async def run(self) -> None:
        """Run now and then, until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(self._every)

    async def run_once(self) -> None:
        """One run, to its end. Where the store cannot be written now, the rest is left to the next run."""
        retention = self._retention()
        spans, windows = self._housekeeping.done.spans, self._housekeeping.done.windows
        pieces = self._housekeeping.pieces(
            now=self._now(), max_age=int(retention.max_age * NANOSECONDS), max_bytes=retention.max_bytes
        )
        # One thread for all pieces of a run. A piece that runs when we are cancelled is waited for: it is short, and the
        # store may be closed next.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-retention") as thread:
            try:
                await self._drive(pieces, thread)
            except NotNow as error:
                self._refused += 1
                logger.info("retention is put off: reason=%s", error)
            finally:
                thread.submit(self._end, pieces).result()
        self._runs += 1
        self._tell(self._housekeeping.done.spans - spans, self._housekeeping.done.windows - windows)

    def statistics(self) -> RetentionStatistics:
        """What has been removed since the start."""
        done = self._housekeeping.done
        return RetentionStatistics(
            windows=done.windows,
            spans=done.spans,
            held_windows=done.held,
            seconds=done.seconds,
            runs=self._runs,
            refused=self._refused,
        )

    async def _drive(self, pieces: Generator[None, None, None], thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            if await loop.run_in_executor(thread, _is_over, pieces):
                return
            await asyncio.sleep(max(SHORTEST_PAUSE, loop.time() - begun))

    def _end(self, pieces: Generator[None, None, None]) -> None:
        pieces.close()
        self._housekeeping.close()

    def _tell(self, spans: int, windows: int) -> None:
        if spans >= TOLD:
            logger.info("retention has removed spans: spans=%d windows=%d", spans, windows)
        held = self._housekeeping.done.held
        if held and not self._told_held:
            logger.warning(
                "retention keeps what an exporter has not sent yet: windows=%d; if it never will, suspend its policy",
                held,
            )
        self._told_held = bool(held)


def _is_over(pieces: Generator[None, None, None]) -> bool:
    """Make one piece; whether there are no more."""
    return next(pieces, pieces) is pieces
