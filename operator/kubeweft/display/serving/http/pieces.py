"""What both dialects write in the same way: spans in pieces, JSON that cannot fail, and what was left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kubeweft.display.answering.contract import DisplayedSpan
from kubeweft.display.tree.trees import Tree
from kubeweft.display.words.left_out_wording import hint_in_viewers, words_of
from kubeweft.otlp.attributes import clean_text

FIRST_SPANS = 64  # in the first piece: somebody is waiting for it
SPANS = 512  # in each further piece, some 600 kB

_encode = msgspec.json.Encoder().encode


def batches(spans: Iterable[DisplayedSpan]) -> Iterator[list[DisplayedSpan]]:
    """Spans in pieces: a small one first, none empty."""
    rest = iter(spans)
    size = FIRST_SPANS
    while batch := list(itertools.islice(rest, size)):
        yield batch
        size = SPANS


def dump(value: Any, *, pretty: bool = False) -> bytes:
    """JSON bytes; text that UTF-8 cannot hold (lone surrogates) is mended."""
    try:
        written = _encode(value)
    except UnicodeEncodeError:
        written = _encode(_cleaned(msgspec.to_builtins(value)))
    return msgspec.json.format(written, indent=2) if pretty else written


def warnings_of(tree: Tree) -> list[str]:
    """What was left out of a tree, in words."""
    return [f"{words_of(cut)}: {hint_in_viewers(cut.hint)}" for cut in tree.truncated]


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value
