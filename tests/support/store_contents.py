"""All that a store holds, decoded and as it is on disk: to look for what must not be there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from kubeweft.model.spans import Span
from kubeweft.sources.objects.memory import Compression, Remembered
from kubeweft.store.sqlite_reader import SqliteReader
from ledger import stored_spans
from operator_process import CLUSTER


def on_disk(store: Path) -> bytes:
    """The files of a store: spans and versions may be compressed in there."""
    return b"\n".join(file.read_bytes() for file in sorted(store.parent.glob(f"{store.name}*")))


def decoded(store: Path, *types: tuple[str, str]) -> bytes:
    """All spans, and the remembered versions of objects of these types (group and resource)."""
    return b"\n".join([*in_spans(stored_spans(store)), *_remembered(store, types)])


def in_spans(spans: Iterable[Span]) -> Iterator[bytes]:
    """All texts of spans."""
    for span in spans:
        yield msgspec.json.encode(span.attributes)
        yield span.body
        yield f"{span.key} {span.name} {span.error}".encode()
        yield from (msgspec.json.encode(link.attributes) for link in span.links)


def _remembered(store: Path, types: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    with SqliteReader(store) as reader:
        for group, resource in types:
            resume = reader.resume(CLUSTER, group, resource)
            if resume is None:
                continue
            compression = Compression()
            for number, content in resume.dictionaries:
                yield content
                compression.load(number, content)
            for kept in resume.versions:
                yield compression.unpack(
                    Remembered(kept.version, kept.snapshot_window, kept.dictionary, kept.body)
                )
