"""Watch streams as lines and list answers as pages, without decoding the objects in them. Pure.

Each envelope is checked to be whole JSON while its object stays as bytes: a broken line has to be found here, where
listing again can repair it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from kubeweft.kube.receiving import WatchLine
from kubeweft.model.errors import BadInput

BOOKMARK = "BOOKMARK"
ERROR = "ERROR"
CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
LONGEST_LINE = 64 * 1024 * 1024  # etcd takes 1.5 MiB; an aggregated API may send more, but not without end
BATCH_LINES = 512
BATCH_BYTES = 4 * 1024 * 1024


class _Envelope(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Metadata(msgspec.Struct):
    version: str = msgspec.field(name="resourceVersion", default="")
    annotations: dict[str, str] | None = None


class _Versioned(msgspec.Struct):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct):
    version: str = msgspec.field(name="resourceVersion", default="")
    continue_token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_versioned = msgspec.json.Decoder(_Versioned)
_list = msgspec.json.Decoder(_List)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class LineSplitter:
    """Cuts a byte stream into complete lines and keeps the incomplete rest."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        """``longest`` is the most bytes an incomplete line may have."""
        self._pieces: list[bytes] = []
        self._kept = 0
        self._longest = longest

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, empty ones left out. Raises ``BadInput`` if a line is endless."""
        first_end = chunk.find(b"\n")
        if first_end < 0:
            self._keep(chunk)
            return []
        self._pieces.append(chunk[:first_end])
        lines = [b"".join(self._pieces), *chunk[first_end + 1 :].split(b"\n")]
        self._pieces, self._kept = [], 0
        self._keep(lines.pop())
        return [line for line in lines if line]

    def _keep(self, piece: bytes) -> None:
        self._kept += len(piece)
        if self._kept > self._longest:
            raise BadInput(f"a watch line is longer than {self._longest} bytes")
        if piece:
            self._pieces.append(piece)


@dataclass(frozen=True, slots=True)
class Batch:
    """What some complete lines say: changes in order, then how far they reach.

    ``version`` is that of the last change or bookmark (empty if there was none). ``initial_end`` tells that the
    streamed list ends with this batch. ``error`` is the ``Status`` of an ERROR line, which ends the stream.
    """

    lines: Sequence[WatchLine]
    version: str
    bookmarked: bool = False
    initial_end: bool = False
    error: bytes | None = None


def batches(
    raw_lines: Sequence[bytes], *, most_lines: int = BATCH_LINES, most_bytes: int = BATCH_BYTES
) -> Iterator[Batch]:
    """The lines of one chunk in bounded batches.

    What comes before a line that cannot be read is still given; then ``BadInput`` is raised.
    """
    lines: list[WatchLine] = []
    size = 0
    for raw in raw_lines:
        try:
            kind, body = _open(raw)
            bookmark = _read_bookmark(body) if kind == BOOKMARK else None
        except BadInput:
            yield from _finish(lines)
            raise
        if bookmark is not None:
            version, ends_list = bookmark
            yield Batch(lines, version, bookmarked=True, initial_end=ends_list)
            lines, size = [], 0
        elif kind == ERROR:
            yield Batch(lines, _last_version(lines), error=body)
            return
        else:
            lines.append(WatchLine(kind, body))
            size += len(body)
            if len(lines) >= most_lines or size >= most_bytes:
                yield from _finish(lines)
                lines, size = [], 0
    yield from _finish(lines)


def _open(raw: bytes) -> tuple[str, bytes]:
    try:
        envelope = _envelope.decode(raw)
        kind, body = envelope.type, bytes(envelope.object)
        if not body.isascii():
            body.decode()  # skipping over an object does not check its strings for valid UTF-8
    except _UNREADABLE:
        raise BadInput("a watch line is no valid JSON") from None
    if kind in CHANGES:
        if not body.startswith(b"{") or b'"resourceVersion"' not in body:
            raise BadInput("a watch line has no object with a version")
    elif kind not in (BOOKMARK, ERROR):
        raise BadInput("a watch line has an unknown type")
    return kind, body


def _finish(lines: list[WatchLine]) -> Iterator[Batch]:
    if lines:
        yield Batch(lines, _last_version(lines))


def _last_version(lines: Sequence[WatchLine]) -> str:
    return version_of(lines[-1].object) if lines else ""


def version_of(body: bytes) -> str:
    """``metadata.resourceVersion`` of one object, empty if it has none."""
    try:
        return _versioned.decode(body).metadata.version
    except _UNREADABLE:
        return ""


def _read_bookmark(body: bytes) -> tuple[str, bool]:
    try:
        metadata = _versioned.decode(body).metadata
    except _UNREADABLE:
        raise BadInput("a bookmark has no readable metadata") from None
    return metadata.version, (metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true"


def in_batches(
    lines: Sequence[WatchLine], *, most_lines: int = BATCH_LINES, most_bytes: int = BATCH_BYTES
) -> Iterator[Batch]:
    """The objects of a page in bounded batches; their versions are in no order."""
    batch: list[WatchLine] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.object)
        if len(batch) >= most_lines or size >= most_bytes:
            yield Batch(batch, "")
            batch, size = [], 0
    if batch:
        yield Batch(batch, "")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; an empty ``continue_token`` marks the last."""

    lines: Sequence[WatchLine]
    version: str
    continue_token: str


def read_page(body: bytes) -> Page:
    """One answer to a LIST; raises ``BadInput`` if it is no list."""
    try:
        read = _list.decode(body)
    except _UNREADABLE:
        raise BadInput("the answer to a list request is no list") from None
    lines = [WatchLine("ADDED", bytes(item)) for item in read.items or ()]
    return Page(lines, read.metadata.version, read.metadata.continue_token)


def went_back(known: str, current: str) -> bool:
    """Whether ``current`` is an older version than ``known``, as after a restore of etcd.

    Versions are integers without leading zeros in every API server that obeys KEP-5504; others cannot be compared.
    """
    if not (_is_number(known) and _is_number(current)):
        return False
    return (len(current), current) < (len(known), known)


def _is_number(version: str) -> bool:
    return version.isascii() and version.isdecimal() and version[0] != "0"
