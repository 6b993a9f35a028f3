"""Audit log files as lines: plain, gzip or zstd, from a file or standard input, in bounded memory.

The form is told by the first bytes, not by the name: rotated logs and downloads are named anyhow. What is damaged (a
line that is too long, compressed data that breaks off) is reported as a line with a fault, and never ends the program.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import zstandard

from kubeweft.model.errors import UserError

STANDARD_INPUT: Final = "-"
CHUNK: Final = 256 * 1024
LONGEST_LINE: Final = 64 * 1024 * 1024
TOO_LONG: Final = "the line is too long"
DAMAGED: Final = "the compressed data is cut off or damaged: what follows is lost"

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"  # behind 0x50 to 0x5f: parallel compressors begin with such a frame
ZSTD_PIECE: Final = 256  # compressed bytes at a time: at the very most, 8 MiB come out of them
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line by its number from 1, without its end. With a ``fault``, the content is lost.

    ``ended`` is false for a last line without a line feed: it may be whole, or cut off in the middle of a write.
    """

    number: int
    content: bytes
    ended: bool = True
    fault: str = ""


def size_of(source: str) -> int | None:
    """The bytes of a file as it lies on disk, for a progress bar; None for standard input and pipes."""
    try:
        path = Path(source)
        return path.stat().st_size if source != STANDARD_INPUT and path.is_file() else None
    except OSError:
        return None  # reading it will say what is wrong


def read_lines(
    source: str,
    *,
    progress: Callable[[int], None] | None = None,
    longest: int = LONGEST_LINE,
    standard_input: BinaryIO | None = None,
) -> Iterator[Line]:
    """The lines of a file, or of standard input (``-``); empty lines are left out.

    ``progress`` is told the bytes read so far, as they lie on disk. Raises ``UserError`` if the file cannot be read.
    """
    with ExitStack() as stack:
        try:
            if source == STANDARD_INPUT:
                stream = standard_input or sys.stdin.buffer
            else:
                stream = stack.enter_context(Path(source).open("rb"))
            counted = _Counted(stream)
            yield from _split(_decompressed(counted), counted, progress, longest)
        except OSError as error:
            raise UserError(f"cannot read {source}: {error.strerror or error}") from error


class _Counted(io.RawIOBase):
    """Counts what is read, and lets the first bytes be looked at before."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = cast(io.BufferedIOBase, stream)
        self._head = b""
        self.position = 0

    def look(self, size: int) -> bytes:
        """The first ``size`` bytes, which will still be read."""
        while len(self._head) < size:
            more = self._stream.read1(size - len(self._head))
            if not more:
                break
            self._head += more
        return self._head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: any writable buffer
        data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        if not data:
            data = self._stream.read1(len(buffer))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def _decompressed(counted: _Counted) -> Iterator[bytes | None]:
    """Chunks of the plain text up to the end; None last if the compression breaks off before."""
    head = counted.look(len(ZSTD))
    stream = io.BufferedReader(counted, CHUNK)
    if head.startswith(GZIP):
        return _gzip_chunks(stream)
    if head == ZSTD or (head[1:] == ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50):
        return _zstd_chunks(stream)
    return iter(lambda: stream.read(CHUNK), b"")


def _gzip_chunks(stream: BinaryIO) -> Iterator[bytes | None]:
    with gzip.GzipFile(fileobj=stream) as plain:
        while True:
            try:
                chunk = plain.read(CHUNK)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                yield None
                return
            if not chunk:
                return
            yield chunk


def _zstd_chunks(stream: BinaryIO) -> Iterator[bytes | None]:
    """By the object that tells whether a frame is complete: the library's own reader takes a cut for an end."""
    frame: zstandard.ZstdDecompressionObj | None = None
    while piece := stream.read(ZSTD_PIECE):
        while piece:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                chunk = frame.decompress(piece)
            except zstandard.ZstdError:
                yield None
                return
            if chunk:
                yield chunk
            piece, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        yield None


def _split(
    chunks: Iterator[bytes | None], counted: _Counted, progress: Callable[[int], None] | None, longest: int
) -> Iterator[Line]:
    kept: list[bytes] = []
    size = number = 0
    for chunk in chunks:
        if progress is not None:
            progress(counted.position)
        if chunk is None:
            yield Line(number + 1, b"", ended=False, fault=DAMAGED)
            return
        for index, piece in enumerate(chunk.split(b"\n")):
            if index:  # a line feed stands before this piece
                number += 1
                yield from _line(number, kept, size, longest, ended=True)
                kept, size = [], 0
            size += len(piece)
            if size > longest:
                kept.clear()
            elif piece:
                kept.append(piece)
    yield from _line(number + 1, kept, size, longest, ended=False)


def _line(number: int, kept: list[bytes], size: int, longest: int, *, ended: bool) -> Iterator[Line]:
    if size > longest:
        yield Line(number, b"", ended, TOO_LONG)
        return
    content = b"".join(kept)
    if number == 1:
        content = content.removeprefix(BYTE_ORDER_MARK)
    if content and not content.isspace():
        yield Line(number, content, ended)
