"""The audit log that a kube-apiserver writes into a file, followed: what is read is delivered, and remembered as read.

A position is saved after everything before it has been delivered durably, so a crash loses nothing: what comes again
makes the same spans. Files are looked at now and then, for notifications do not come from every file system; how lines
are got out of files that grow and are rotated is left to :mod:`kubeweft.sources.audit.log_reading`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeweft.model.errors import NotNow
from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit import metrics
from kubeweft.sources.audit.files import LONGEST_LINE, Line
from kubeweft.sources.audit.importing import Imported, parse_lines
from kubeweft.sources.audit.log_reading import LogReader
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.events.pending import Pending

logger = logging.getLogger(__name__)

EVERY: Final = 0.5  # seconds between two looks at a file that has not grown
SAVE_EVERY: Final = 1.0  # seconds, while there is much to read
TELL_EVERY: Final = 60.0  # seconds between two lines about unreadable lines

Deliver = Callable[[Sequence[Request | EventSeen]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TailStatistics:
    """What has been read since the start. ``file`` is the one being read, empty while there is none."""

    file: str
    behind: int
    lines: int
    bad: int
    files: int
    truncations: int
    waits: int


class LogTail:
    """Follows one audit log; ``run`` may be run again after it has failed."""

    def __init__(
        self,
        path: Path,
        *,
        parser: Callable[[], AuditParser],
        deliver: Deliver,
        load_position: Callable[[], bytes | None],
        save_position: Callable[[bytes], Awaitable[None]],
        pending: Pending | None = None,
        every: float = EVERY,
        longest: int = LONGEST_LINE,
    ) -> None:
        """``parser`` gives that for the plan now in force, ``deliver`` returns when all is durable: both may raise ``NotNow``.

        The first run ever begins with what the file holds then. ``load_position`` is called in a thread.
        """
        self._reader = LogReader(path, load_position=load_position, longest=longest)
        self._parser = parser
        self._deliver = deliver
        self._save_position = save_position
        self._pending = pending if pending is not None else Pending()
        self._every = every
        self._saved_at = self._told_at = float("-inf")
        self._lines = self._bad = self._waits = 0

    async def run(self) -> None:
        """Read on from the saved position, until cancelled."""
        try:
            await self.begin()
            while True:
                await self.catch_up()
                await asyncio.sleep(self._every)
        finally:
            self.close()

    async def begin(self) -> None:
        """Take up the saved position; whatever was read beyond it is read again."""
        await asyncio.to_thread(self._reader.begin)
        await self._save()

    async def catch_up(self) -> None:
        """Read, deliver and remember everything that is there by now."""
        loop = asyncio.get_running_loop()
        while True:
            parser = await self._ask_parser()  # before anything is read: a position is saved beyond it
            lines, more = await asyncio.to_thread(self._reader.read)
            if lines:
                await self._take(lines, parser)
            if not more or loop.time() - self._saved_at >= SAVE_EVERY:
                await self._save()
            if not more:
                return

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def statistics(self) -> TailStatistics:
        """What has been read since the start."""
        return TailStatistics(
            file=self._reader.file,
            behind=self._reader.behind,
            lines=self._lines,
            bad=self._bad,
            files=self._reader.files,
            truncations=self._reader.truncations,
            waits=self._waits,
        )

    async def _ask_parser(self) -> AuditParser:
        while True:
            try:
                return self._parser()
            except NotNow as not_now:
                await self._wait(not_now)

    async def _take(self, lines: list[Line], parser: AuditParser) -> None:
        await self._deliver_pending(parser)
        for imported in parse_lines(lines, parser):
            if imported.parsed.observations:
                await self._insist(imported.parsed.observations)
            dropped = self._pending.dropped
            self._pending.keep(imported.parsed.unresolved)
            metrics.UNRESOLVED_DROPPED.inc(self._pending.dropped - dropped)
            metrics.count(imported.parsed)
            self._tell_bad(imported)
            await asyncio.sleep(0)  # between two slices, others get their turn
        self._lines += len(lines)

    async def _deliver_pending(self, parser: AuditParser) -> None:
        ready = parser.ready(self._pending)
        wanted = parser.wanted(ready)
        if wanted:
            await self._insist(wanted)
        self._pending.delivered(ready)

    async def _insist(self, observations: Sequence[Request | EventSeen]) -> None:
        while True:
            try:
                return await self._deliver(observations)
            except NotNow as not_now:
                await self._wait(not_now)

    async def _wait(self, not_now: NotNow) -> None:
        self._waits += 1
        logger.warning("the audit log has to wait: reason=%s", not_now)
        await asyncio.sleep(not_now.delay)

    def _tell_bad(self, imported: Imported) -> None:
        if not imported.problems:
            return
        self._bad += len(imported.problems)
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TELL_EVERY:
            self._told_at = now
            logger.warning(
                "lines of the audit log could not be read: count=%d reason=%s",
                len(imported.problems),
                imported.problems[0].reason,
            )

    async def _save(self) -> None:
        position = self._reader.unstored
        if position is None:
            return
        try:
            await self._save_position(position.encoded())
        except NotNow as not_now:
            logger.info("the position in the audit log is saved later: reason=%s", not_now)
            return
        self._reader.know_stored(position)
        self._saved_at = asyncio.get_running_loop().time()
