"""The audit log that a kube-apiserver writes into a file, followed while it grows and is rotated.

A position is saved after everything before it has been delivered durably, so a crash loses nothing: what comes again
makes the same spans. A file is left for the next one only when that has content, because an API server whose log was
renamed by another program (logrotate) goes on writing to the old file. Files are looked at now and then, for
notifications do not come from every file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge

from kubeweft.model.errors import BadInput, NotNow
from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit import metrics
from kubeweft.sources.audit.files import LONGEST_LINE, Line
from kubeweft.sources.audit.importing import Imported, parse_lines
from kubeweft.sources.audit.log_files import (
    COMPRESSED,
    LogPosition,
    OpenLog,
    has_lasting_name,
    rotated_files,
)
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.events.pending import Pending

logger = logging.getLogger(__name__)

EVERY: Final = 0.5  # seconds between two looks at a file that has not grown
SAVE_EVERY: Final = 1.0  # seconds, while there is much to read
TELL_EVERY: Final = 60.0  # seconds between two lines about unreadable lines

FILES = Counter("kubeweft_audit_log_files_total", "Files of the audit log that were read to their end.")
TRUNCATIONS = Counter(
    "kubeweft_audit_log_truncations_total",
    "Times that the audit log was emptied in place: lines may be lost.",
)
BEHIND = Gauge("kubeweft_audit_log_behind_bytes", "Bytes of the current audit log file not read yet.")

NOWHERE: Final = LogPosition(0, "", 0)  # nothing has been read

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
        self._path = path
        self._parser = parser
        self._deliver = deliver
        self._load_position = load_position
        self._save_position = save_position
        self._pending = pending if pending is not None else Pending()
        self._every = every
        self._longest = longest
        self._log: OpenLog | None = None
        self._lock = threading.Lock()  # a thread that reads outlives the task that was cancelled
        self._older: frozenset[str] = frozenset()  # names of files before the one being read
        self._is_taken_up = False
        self._saved: LogPosition | None = None
        self._saved_at = self._told_at = float("-inf")
        self._trouble = ""
        self._lines = self._bad = self._files = self._truncations = self._waits = 0

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
        self._is_taken_up = False
        await asyncio.to_thread(self._guarded, self._take_up)
        await self._save()

    async def catch_up(self) -> None:
        """Read, deliver and remember everything that is there by now."""
        loop = asyncio.get_running_loop()
        while True:
            parser = await self._ask_parser()  # before anything is read: a position is saved beyond it
            lines, more = await asyncio.to_thread(self._guarded, self._next)
            if lines:
                await self._take(lines, parser)
            if not more or loop.time() - self._saved_at >= SAVE_EVERY:
                await self._save()
            if not more:
                return

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._log is not None:
                self._log.close()
                self._log = None

    def statistics(self) -> TailStatistics:
        """What has been read since the start."""
        log = self._log
        return TailStatistics(
            file=str(log.path) if log is not None else "",
            behind=log.behind if log is not None else 0,
            lines=self._lines,
            bad=self._bad,
            files=self._files,
            truncations=self._truncations,
            waits=self._waits,
        )

    # ------------------------------------------------------------------------------------------ reading, in a thread

    def _guarded(self, work: Callable[[], tuple[list[Line], bool]]) -> tuple[list[Line], bool]:
        with self._lock:
            try:
                answer = work()
            except OSError as error:
                self._tell_trouble(f"cannot be read: {error.strerror or error}")
                return [], False
            if self._log is not None:
                self._tell_trouble("")
                BEHIND.set(self._log.behind)
            return answer

    def _take_up(self) -> tuple[list[Line], bool]:
        if self._log is not None:
            self._log.close()
            self._log = None
        self._is_taken_up, self._older, self._saved = False, frozenset(), None
        stored = self._load_position()
        if stored is None:
            if self._path.exists():
                self._switch(self._opened(self._path))
            else:
                self._older = _names(rotated_files(self._path))
        else:
            self._take_up_at(stored)
        self._is_taken_up = True
        return [], False

    def _take_up_at(self, stored: bytes) -> None:
        try:
            position = LogPosition.decoded(stored)
        except BadInput as error:
            logger.warning("audit log: reading all files there are: reason=%s", error)
            return
        self._saved = position
        file = self._find(position)
        if file is not None:
            self._switch(self._opened(file, offset=position.offset))
        elif position.first:
            logger.info("the audit log file that was read last is gone: reading all files there are")

    def _next(self) -> tuple[list[Line], bool]:
        """The next lines, and whether there may be more."""
        if not self._is_taken_up:
            self._take_up()
        if self._log is None:
            file = _first_with_content(self._newer(self._all_files()))
            if file is None:
                self._tell_trouble("does not exist, or is empty: waiting for it")
                return [], False
            self._switch(self._opened(file))
        log = self._log
        assert log is not None
        if log.was_truncated():
            log = self._start_over(log)
        lines = log.lines()
        if lines:
            return lines, True
        successor = self._successor(log)
        if successor is None:
            return [], False
        lines = log.lines()  # what was written between our look and the rotation
        if lines:
            return lines, True
        opened = self._opened(successor)
        rest = log.rest()
        self._files += 1
        FILES.inc()
        self._switch(opened)
        return rest, True

    def _opened(self, file: Path, *, offset: int = 0) -> OpenLog:
        return OpenLog(file, offset=offset, longest=self._longest)

    def _switch(self, log: OpenLog) -> None:
        files = self._all_files()
        if self._log is not None:
            self._log.close()
        self._log = log
        if log.path in files:
            self._older = _names(files[: files.index(log.path)])

    def _start_over(self, log: OpenLog) -> OpenLog:
        """The file was emptied in place. If a copy was made before, what we had not read is there."""
        self._truncations += 1
        TRUNCATIONS.inc()
        logger.warning(
            "the audit log %s was emptied in place (copytruncate?): lines may be lost; "
            "leave its rotation to kube-apiserver (--audit-log-maxsize)",
            self._path,
        )
        position = log.position
        copy = self._find(position) if position.first else None
        opened = self._opened(log.path) if copy is None else self._opened(copy, offset=position.offset)
        self._switch(opened)
        return opened

    def _successor(self, log: OpenLog) -> Path | None:
        """The file to read after this one, once it has content."""
        if self._inode_of(self._path) == log.inode:
            return None
        files = self._all_files()
        held = (file for file in files if self._inode_of(file) == log.inode)
        own = next(held, None) or self._find(log.position, among=files)
        if own is not None:
            return _first_with_content(files[files.index(own) + 1 :])
        return _first_with_content(self._newer(files))  # it was deleted

    def _newer(self, files: Sequence[Path]) -> list[Path]:
        """Those that are not known to be older than what has been read last."""
        return [file for file in files if not _names([file]) <= self._older or not has_lasting_name(file)]

    def _find(self, position: LogPosition, *, among: Sequence[Path] | None = None) -> Path | None:
        """The file that a position is in, whatever it is called by now: inodes are used again, so the first line tells."""
        if not position.first:
            return None
        files = self._all_files() if among is None else among
        same = [file for file in files if self._inode_of(file) == position.inode]
        return next((file for file in (*same, *files) if self._first_of(file) == position.first), None)

    def _first_of(self, file: Path) -> str:
        try:
            log = OpenLog(file)
        except FileNotFoundError:  # compressed meanwhile: it will be found the next time
            return ""
        try:
            return log.first
        finally:
            log.close()

    def _inode_of(self, file: Path) -> int:
        try:
            return file.stat().st_ino
        except FileNotFoundError:
            return -1

    def _all_files(self) -> list[Path]:
        """Oldest first; the one that is written comes last."""
        return [*rotated_files(self._path), *([self._path] if self._path.exists() else [])]

    def _tell_trouble(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.warning("the audit log %s %s", self._path, trouble)
        self._trouble = trouble

    # --------------------------------------------------------------------------------------------------- delivering

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
        """Save where the next line begins, once the first line of the file is whole; before anything, that it is nowhere."""
        position = self._log.position if self._log is not None else NOWHERE
        if not position.first:
            position = self._saved or NOWHERE
        if position == self._saved or not self._is_taken_up:
            return
        try:
            await self._save_position(position.encoded())
        except NotNow as not_now:
            logger.info("the position in the audit log is saved later: reason=%s", not_now)
            return
        self._saved = position
        self._saved_at = asyncio.get_running_loop().time()


def _names(files: Iterable[Path]) -> frozenset[str]:
    return frozenset(file.name.removesuffix(COMPRESSED) for file in files)


def _first_with_content(files: Iterable[Path]) -> Path | None:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_size:
                return file
    return None
