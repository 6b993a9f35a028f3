"""One object that is written all the time does not fill the memory: fewer of its windows are read, and that is told."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kubeweft.display.reading.levels import FIRST_WINDOWS, Limits
from kubeweft.display.stories import read_story
from kubeweft.model import identity
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from memory_reader import MemoryReader
from span_builders import at, key

LOCK = key("configmaps", "leader-lock")
WINDOWS = 300


class Counting(MemoryReader):
    """Counts what it has given."""

    def __init__(self, spans: Iterable[Span]) -> None:
        super().__init__(spans)
        self.given = 0

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        spans = super().spans_of(trace_ids)
        self.given += len(spans)
        return spans


def lock(*, each: int) -> Counting:
    """An object that was updated so many times in each window."""
    spans: list[Span] = []
    for window in range(WINDOWS):
        start = at("10:00:00") + window * DEFAULT_WINDOW
        trace = identity.trace_id(LOCK, start, DEFAULT_WINDOW)
        root = identity.object_span_id(trace)
        spans.append(Span(trace, root, b"", "object", LOCK, str(LOCK), start, start + DEFAULT_WINDOW, {}))
        spans += [
            Span(
                trace, number.to_bytes(8), root, "request", LOCK, "update", start + number, start + number, {}
            )
            for number in range(1, each)
        ]
    return Counting(spans)


@pytest.mark.parametrize("most", [500, 2_000])
def test_of_a_busy_object_only_the_newest_windows_are_read(most: int) -> None:
    reader = lock(each=20)
    tree = read_story(reader, LOCK, limits=Limits(spans=most))
    assert most <= reader.given <= most + FIRST_WINDOWS * 20
    (cut,) = tree.truncated
    assert (cut.what, cut.more) == ("windows", WINDOWS - len(tree.root.windows))
    newest = at("10:00:00") + (WINDOWS - 1) * DEFAULT_WINDOW
    assert tree.root.windows[-1].start == newest
    assert [window.start for window in tree.root.windows] == sorted(w.start for w in tree.root.windows)


def test_a_quiet_object_is_read_at_once_after_a_first_look() -> None:
    reader = lock(each=2)
    tree = read_story(reader, LOCK, limits=Limits(spans=100_000))
    assert tree.truncated == ()
    assert len(tree.root.windows) == WINDOWS
    assert reader.calls["spans_of"] == 2
