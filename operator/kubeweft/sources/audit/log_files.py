"""The files of one audit log: the one that is written, and those that rotation has put aside.

kube-apiserver rotates by renaming to ``audit-<time>.log`` and may compress that to ``….log.gz`` later; logrotate numbers
or dates the names instead. A file is known by its first line, which rotation and compression leave as it is, and by its
inode. Nothing here waits, parses, or changes a file.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import zlib
from pathlib import Path
from typing import Final

import msgspec

from kubeweft.model.errors import BadInput
from kubeweft.sources.audit.files import CHUNK, DAMAGED, LONGEST_LINE, TOO_LONG, Line

BROKEN: Final = (EOFError, gzip.BadGzipFile, zlib.error)
HEAD: Final = 64 * 1024  # of a longer first line, this much tells the file
COMPRESSED: Final = ".gz"
TIME: Final = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"
DATE: Final = r"\d{8}(?:-?\d+)?"


class LogPosition(msgspec.Struct, frozen=True):
    """How far a log has been read: ``offset`` bytes of the plain text of the file that ``inode`` and ``first`` tell.

    ``first`` is the digest of its first line; empty where nothing has been read of any file.
    """

    inode: int
    first: str
    offset: int

    def encoded(self) -> bytes:
        """As it is stored."""
        return msgspec.json.encode(self)

    @staticmethod
    def decoded(stored: bytes) -> LogPosition:
        """What was stored; raises ``BadInput``."""
        try:
            return msgspec.json.decode(stored, type=LogPosition)
        except msgspec.DecodeError as error:
            raise BadInput(f"the stored position in the audit log is none: {error}") from None


def rotated_files(path: Path) -> list[Path]:
    """The files that rotation has put aside, oldest first. Of one that is being compressed, the plain one."""
    named: dict[str, tuple[tuple[int, str, int], Path]] = {}
    forms = _forms(path)
    with os.scandir(path.parent) as entries:
        for name in sorted((entry.name for entry in entries), key=len):  # the plain name before its .gz
            plain = name.removesuffix(COMPRESSED)
            age = _age(plain, forms)
            if age is not None:
                named.setdefault(plain, (age, path.parent / name))
    return [file for _, file in sorted(named.values())]


def has_lasting_name(file: Path) -> bool:
    """Whether rotation does not rename it again: numbered names move on."""
    return not re.search(r"\.\d+$", file.name.removesuffix(COMPRESSED))


def _forms(path: Path) -> tuple[re.Pattern[str], ...]:
    stem, suffix, name = re.escape(path.stem), re.escape(path.suffix), re.escape(path.name)
    return (
        re.compile(rf"{name}\.(?P<number>\d{{1,9}})"),
        re.compile(rf"{name}-(?P<time>{DATE})"),
        re.compile(rf"{stem}-(?P<time>{TIME}){suffix}"),
    )


def _age(name: str, forms: tuple[re.Pattern[str], ...]) -> tuple[int, str, int] | None:
    """What sorts rotated files by age; None for other files."""
    for family, form in enumerate(forms):
        found = form.fullmatch(name)
        if found is not None:
            parts = found.groupdict()
            return family, parts.get("time", ""), -int(parts.get("number", 0))
    return None


class OpenLog:
    """One file of the log, plain or compressed, read line by line; it stays open when it is renamed or deleted."""

    def __init__(self, path: Path, *, offset: int = 0, longest: int = LONGEST_LINE) -> None:
        """``offset`` is where a line begins, in the plain text. Raises ``OSError``."""
        self.path = path
        self.offset = offset
        self._file = path.open("rb", buffering=0)
        self._longest = longest
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._first = ""
        self._broken = self._is_over = False
        self.inode = os.fstat(self._file.fileno()).st_ino
        self._unpacked = self._unpack() if path.name.endswith(COMPRESSED) else None

    def close(self) -> None:
        """Close it."""
        self._file.close()

    @property
    def size(self) -> int:
        """Its bytes on the disk."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def first(self) -> str:
        """The digest of its first line; empty as long as that is not whole."""
        if not self._first and self._unpacked is None:
            self._first = self._first_now()
        return self._first

    @property
    def behind(self) -> int:
        """How many bytes have not been given out yet; 0 for compressed files, where nobody knows."""
        return 0 if self._unpacked else max(0, self.size - self.offset)

    @property
    def position(self) -> LogPosition:
        """Where the next line begins."""
        return LogPosition(self.inode, self.first, self.offset)

    def was_truncated(self) -> bool:
        """Whether what has been read is not there any more: somebody has emptied the file and writes it anew."""
        if self._unpacked is not None:
            return False
        if self.size < self.offset + self._kept_size:
            return True
        return bool(self._first) and self._first_now() != self._first

    def lines(self) -> list[Line]:
        """The next whole lines, empty ones left out: those of about ``CHUNK`` bytes, none at the end of the file."""
        found: list[Line] = []
        while not found and (chunk := self._more()):
            *whole, rest = chunk.split(b"\n")
            for piece in whole:
                self._keep(piece)
                found += self._take_line(ended=True)
            self._keep(rest)
        _ = self.first  # to be known before anybody empties the file
        if self._broken and not found:
            self._broken = False
            found = [Line(0, b"", ended=False, fault=DAMAGED)]
        return found

    def rest(self) -> list[Line]:
        """The last line, without a line feed, of a file that nobody writes to any more."""
        return self._take_line(ended=False) if self._kept_size else []

    def _first_now(self) -> str:
        return _first_in(os.pread(self._file.fileno(), HEAD, 0))

    def _take_line(self, *, ended: bool) -> list[Line]:
        content, size = b"".join(self._kept), self._kept_size
        self._kept, self._kept_size = [], 0
        self.offset += size + ended
        if size > self._longest:
            return [Line(0, b"", ended, TOO_LONG)]
        return [Line(0, content, ended)] if content and not content.isspace() else []

    def _keep(self, piece: bytes) -> None:
        self._kept_size += len(piece)
        if self._kept_size > self._longest:
            self._kept.clear()
        elif piece:
            self._kept.append(piece)

    def _more(self) -> bytes:
        if self._unpacked is None:
            return os.pread(self._file.fileno(), CHUNK, self.offset + self._kept_size)
        try:
            return self._unpacked.read(CHUNK)
        except BROKEN:
            self._broken = not self._is_over
            self._is_over = True
            return b""

    def _unpack(self) -> gzip.GzipFile:
        """The plain text from the offset on."""
        with gzip.GzipFile(fileobj=self._file) as stream, contextlib.suppress(*BROKEN):
            self._first = _first_in(stream.read(HEAD))
        self._file.seek(0)
        stream = gzip.GzipFile(fileobj=self._file)
        with contextlib.suppress(*BROKEN):
            _skip(stream, self.offset)
        return stream


def _first_in(head: bytes) -> str:
    """The digest of the first line, if it is whole."""
    line, feed, _ = head.partition(b"\n")
    return hashlib.sha256(line).hexdigest()[:32] if feed or len(head) == HEAD else ""


def _skip(stream: gzip.GzipFile, count: int) -> None:
    while count > 0 and (skipped := stream.read(min(CHUNK, count))):
        count -= len(skipped)
