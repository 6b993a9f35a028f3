"""An audit log as a kube-apiserver or another program writes and rotates it, and a tail that can be stopped at will."""

from __future__ import annotations

import gzip
import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import orjson

from audit_events import audit_event, audit_parser
from kubeweft.model.errors import NotNow
from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.audit.tailing import LogTail


class LogWriter:
    """Writes lines with numbers as audit IDs; the names of rotated files are those of lumberjack."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit.log"
        self.written: list[str] = []
        self._numbers = itertools.count()
        self._times = itertools.count()
        self.file = self.path.open("ab", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def line(self) -> bytes:
        """One more event as a line, remembered as written."""
        number = f"{next(self._numbers):05}"
        self.written.append(number)
        return orjson.dumps(audit_event(auditID=number)) + b"\n"

    def append(self, count: int = 1) -> None:
        """Write whole lines."""
        self.file.write(b"".join(self.line() for _ in range(count)))

    def rotate(self) -> Path:
        """As lumberjack does it: rename, and begin a new file."""
        aside = self.path.with_name(f"audit-2026-11-21T09-00-00.{next(self._times):03}.log")
        self.file.close()
        self.path.rename(aside)
        self.file = self.path.open("ab", buffering=0)
        return aside

    def compress(self) -> None:
        """Compress all that has been put aside."""
        for aside in sorted(self.path.parent.glob("audit-*.log")):
            aside.with_name(f"{aside.name}.gz").write_bytes(gzip.compress(aside.read_bytes()))
            aside.unlink()

    def rename_under_the_writer(self) -> None:
        """As logrotate does it with ``create``: the API server goes on writing to the old file until it starts again."""
        self._make_room()
        self.path.rename(self.path.with_name("audit.log.1"))
        self.path.touch()

    def copy_and_truncate(self) -> None:
        """As logrotate does it with ``copytruncate``."""
        self._make_room()
        shutil.copyfile(self.path, self.path.with_name("audit.log.1"))
        self.file.truncate(0)

    def restart(self) -> None:
        """The API server starts again, and opens its file by its name."""
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def _make_room(self) -> None:
        numbered = sorted(self.path.parent.glob("audit.log.*"), key=lambda file: -int(file.suffix[1:]))
        for file in numbered:
            file.rename(self.path.with_name(f"audit.log.{int(file.suffix[1:]) + 1}"))


class Follower:
    """A tail of a log; what it delivers and remembers outlives it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parser = audit_parser()
        self.unready: list[NotNow] = []
        self.position: bytes | None = None
        self.delivered: list[str] = []
        self.refuse: list[NotNow] = []
        self.before_delivery: list[Callable[[], None]] = []
        self.tail = self._new()

    def _new(self, *, longest: int = 1_000_000) -> LogTail:
        return LogTail(
            self.path,
            parser=self._parser,
            deliver=self._deliver,
            load_position=lambda: self.position,
            save_position=self._save,
            every=0.001,
            longest=longest,
        )

    async def catch_up(self) -> list[str]:
        """Read on; what has come that had not come before."""
        before = set(self.delivered)
        await self.tail.catch_up()
        return sorted(set(self.delivered) - before)

    async def restart(self, *, longest: int = 1_000_000) -> None:
        """As after a crash: only the saved position is known."""
        self.tail.close()
        self.tail = self._new(longest=longest)
        await self.tail.begin()

    def _parser(self) -> AuditParser:
        if self.unready:
            raise self.unready.pop()
        return self.parser

    async def _deliver(self, observations: Sequence[Request | EventSeen]) -> None:
        if self.before_delivery:
            self.before_delivery.pop()()
        if self.refuse:
            raise self.refuse.pop()
        self.delivered += [one.audit_id for one in observations if isinstance(one, Request)]

    async def _save(self, position: bytes) -> None:
        self.position = position
