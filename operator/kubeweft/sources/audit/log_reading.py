"""One audit log read as if it were a single endless file, while it grows and is rotated.

A file is left for the next one only when that has content, because an API server whose log was renamed by another
program (logrotate) goes on writing to the old file. Everything here may block, and may be called from any thread.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge

from kubeweft.model.errors import BadInput
from kubeweft.sources.audit.files import LONGEST_LINE, Line
from kubeweft.sources.audit.log_files import (
    COMPRESSED,
    LogPosition,
    OpenLog,
    has_lasting_name,
    rotated_files,
)

logger = logging.getLogger(__name__)

FILES = Counter("kubeweft_audit_log_files_total", "Files of the audit log that were read to their end.")
TRUNCATIONS = Counter(
    "kubeweft_audit_log_truncations_total",
    "Times that the audit log was emptied in place: lines may be lost.",
)
BEHIND = Gauge("kubeweft_audit_log_behind_bytes", "Bytes of the current audit log file not read yet.")

NOWHERE: Final = LogPosition(0, "", 0)  # nothing has been read


class LogReader:
    """Gives line after line of one log. What keeps it from reading is told once, and tried again.

    ``files`` and ``truncations`` count since the start.
    """

    def __init__(
        self, path: Path, *, load_position: Callable[[], bytes | None], longest: int = LONGEST_LINE
    ) -> None:
        """The first run ever, of which no position can be loaded, begins with what the file holds then."""
        self.files = self.truncations = 0
        self._path = path
        self._load_position = load_position
        self._longest = longest
        self._log: OpenLog | None = None
        self._lock = threading.Lock()  # a thread that reads outlives the task that was cancelled
        self._older: frozenset[str] = frozenset()  # names of files before the one being read
        self._is_taken_up = False
        self._stored: LogPosition | None = None
        self._trouble = ""

    def begin(self) -> None:
        """Take up the stored position; whatever was read beyond it is read again."""
        self._is_taken_up = False
        self._guarded(self._take_up)

    def read(self) -> tuple[list[Line], bool]:
        """The next lines, and whether there may be more."""
        return self._guarded(self._read)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._leave()

    @property
    def file(self) -> str:
        """The one being read, empty while there is none."""
        return str(self._log.path) if self._log is not None else ""

    @property
    def behind(self) -> int:
        """How many bytes of that file have not been read."""
        return self._log.behind if self._log is not None else 0

    @property
    def unstored(self) -> LogPosition | None:
        """Where the next line begins, once the first line of the file is whole; None where that is stored already.

        Before anything has been read, that it is nowhere has to be stored, too.
        """
        if not self._is_taken_up:
            return None
        position = self._log.position if self._log is not None else NOWHERE
        if not position.first:
            position = self._stored or NOWHERE
        return position if position != self._stored else None

    def know_stored(self, position: LogPosition) -> None:
        """This position can be loaded from now on."""
        self._stored = position

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
        self._leave()
        self._is_taken_up, self._older, self._stored = False, frozenset(), None
        stored = self._load_position()
        if stored is not None:
            self._take_up_at(stored)
        elif self._path.exists():
            self._switch(self._opened(self._path))
        else:
            self._older = _names(rotated_files(self._path))
        self._is_taken_up = True
        return [], False

    def _take_up_at(self, stored: bytes) -> None:
        try:
            position = LogPosition.decoded(stored)
        except BadInput as error:
            logger.warning("audit log: reading all files there are: reason=%s", error)
            return
        self._stored = position
        file = self._find(position)
        if file is not None:
            self._switch(self._opened(file, offset=position.offset))
        elif position.first:
            logger.info("the audit log file that was read last is gone: reading all files there are")

    def _read(self) -> tuple[list[Line], bool]:
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
        self.files += 1
        FILES.inc()
        self._switch(opened)
        return rest, True

    def _opened(self, file: Path, *, offset: int = 0) -> OpenLog:
        return OpenLog(file, offset=offset, longest=self._longest)

    def _switch(self, log: OpenLog) -> None:
        files = self._all_files()
        self._leave()
        self._log = log
        if log.path in files:
            self._older = _names(files[: files.index(log.path)])

    def _leave(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _start_over(self, log: OpenLog) -> OpenLog:
        """The file was emptied in place. If a copy was made before, what we had not read is there."""
        self.truncations += 1
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


def _names(files: Iterable[Path]) -> frozenset[str]:
    return frozenset(file.name.removesuffix(COMPRESSED) for file in files)


def _first_with_content(files: Iterable[Path]) -> Path | None:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_size:
                return file
    return None
