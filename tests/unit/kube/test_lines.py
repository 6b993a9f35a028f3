"""Watch bytes to batches: however they are cut, nothing is lost, nothing is invented."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.kube.lines import (
    LineSplitter,
    batches,
    in_batches,
    read_page,
    version_of,
    went_back,
)
from kubeweft.kube.receiving import WatchLine
from kubeweft.model.errors import BadInput


def watched(kind: str, version: int, **fields: Any) -> bytes:
    obj = {"metadata": {"name": "a", "resourceVersion": str(version)}, **fields}
    return json.dumps({"type": kind, "object": obj}, ensure_ascii=False).encode()


def bookmark(version: int, **annotations: str) -> bytes:
    metadata = {"resourceVersion": str(version), "annotations": annotations}
    return json.dumps({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}}).encode()


INITIAL_END = {"k8s.io/initial-events-end": "true"}


@given(
    lines=st.lists(st.binary(min_size=1).map(lambda b: b.replace(b"\n", b"x"))),
    rest=st.binary().map(lambda b: b.replace(b"\n", b"x")),
    cuts=st.lists(st.integers(0, 200)),
)
def test_however_a_stream_is_cut_the_same_lines_come_out(
    lines: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    stream = b"".join(line + b"\n" for line in lines) + rest
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    splitter = LineSplitter()
    found = [line for start, end in itertools.pairwise(edges) for line in splitter.feed(stream[start:end])]
    assert found == lines


def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    splitter = LineSplitter(longest=100)
    assert splitter.feed(b"x" * 100) == []
    with pytest.raises(BadInput, match="longer than 100 bytes"):
        splitter.feed(b"x")


def test_a_long_line_that_ends_is_no_endless_line() -> None:
    splitter = LineSplitter(longest=100)
    for _ in range(50):
        assert splitter.feed(b"x" * 60) == []
        assert splitter.feed(b"y" * 40 + b"\n") == [b"x" * 60 + b"y" * 40]


def test_changes_and_a_bookmark_make_one_batch_with_the_version_of_the_bookmark() -> None:
    [batch] = batches([watched("ADDED", 5), watched("DELETED", 6), bookmark(9)])
    assert [line.type for line in batch.lines] == ["ADDED", "DELETED"]
    assert json.loads(batch.lines[1].object)["metadata"]["resourceVersion"] == "6"
    assert (batch.version, batch.bookmarked, batch.initial_end, batch.error) == ("9", True, False, None)


def test_the_bookmark_that_ends_the_list_parts_it_from_what_follows() -> None:
    first, second = batches([watched("ADDED", 5), bookmark(7, **INITIAL_END), watched("MODIFIED", 8)])
    assert (first.initial_end, first.version, len(first.lines)) == (True, "7", 1)
    assert (second.initial_end, second.bookmarked, second.version, len(second.lines)) == (
        False,
        False,
        "8",
        1,
    )


def test_an_annotation_that_is_not_true_ends_nothing() -> None:
    [batch] = batches([bookmark(7, **{"k8s.io/initial-events-end": "false"})])
    assert (batch.lines, batch.version, batch.initial_end) == ([], "7", False)


def test_an_error_ends_the_stream_after_what_came_before() -> None:
    error = b'{"type":"ERROR","object":{"kind":"Status","code":410}}'
    [batch] = batches([watched("ADDED", 5), error, watched("ADDED", 6)])
    assert (len(batch.lines), batch.version, batch.error) == (1, "5", b'{"kind":"Status","code":410}')


def test_no_lines_no_batch() -> None:
    assert list(batches([])) == []


@given(sizes=st.lists(st.integers(1, 60), max_size=60), most_lines=st.integers(1, 20))
def test_batches_are_bounded_and_keep_the_order(sizes: list[int], most_lines: int) -> None:
    lines = [watched("ADDED", n + 1, data="x" * size) for n, size in enumerate(sizes)]
    made = list(batches(lines, most_lines=most_lines, most_bytes=300))
    assert [version_of(line.object) for batch in made for line in batch.lines] == [
        str(n + 1) for n in range(len(sizes))
    ]
    for batch in made:
        assert 1 <= len(batch.lines) <= most_lines
        assert sum(len(line.object) for line in batch.lines[:-1]) < 300
        assert batch.version == version_of(batch.lines[-1].object)


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"[]",
        b'{"type":"ADDED"}',
        b'{"type":7,"object":{}}',
        b'{"type":"ADDED","object":7}',
        b'{"type":"ADDED","object":{"kind":"Status"}}',
        b'{"type":"ADDED","object":{"resourceVersion":"\xff"}}',
        b'{"type":"ADDED","object":{"resourceVersion":"\xed\xa0\x80"}}',
        b'{"type":"added","object":{"resourceVersion":"1"}}',
        b'{"type":"BOOKMARK","object":{}}',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":7}}}',
        watched("ADDED", 1) + b"x",
        b'{"type":"ADDED","object":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_broken_line_gives_what_came_before_and_then_says_so(broken: bytes) -> None:
    made = batches([watched("ADDED", 3), watched("MODIFIED", 4), broken])
    assert next(made).version == "4"
    with pytest.raises(BadInput):
        next(made)


def test_text_of_any_language_stays_as_it_was_sent() -> None:
    raw = watched("ADDED", 1, text="naïve 頑張って 🚀")
    [batch] = batches([raw])
    assert batch.lines[0].object in raw
    assert json.loads(batch.lines[0].object)["text"] == "naïve 頑張って 🚀"


def test_pages() -> None:
    page = read_page(
        b'{"kind":"PodList","metadata":{"resourceVersion":"12","continue":"t","remainingItemCount":1},'
        b'"items":[{"metadata":{"name":"a"}},{"x":[1, 2]}]}'
    )
    assert (page.version, page.continue_token) == ("12", "t")
    assert page.lines == [
        WatchLine("ADDED", b'{"metadata":{"name":"a"}}'),
        WatchLine("ADDED", b'{"x":[1, 2]}'),
    ]
    assert read_page(b'{"metadata":{"resourceVersion":"1"},"items":null}').lines == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"metadata":{},"items":[}', b'{"metadata":{},"items":{}}']
)
def test_what_is_no_page(body: bytes) -> None:
    with pytest.raises(BadInput, match="no list"):
        read_page(body)


def test_pages_are_handed_over_in_bounded_batches() -> None:
    lines = [WatchLine("ADDED", b"x" * 10)] * 10
    assert [len(batch.lines) for batch in in_batches(lines, most_lines=4)] == [4, 4, 2]
    assert [len(batch.lines) for batch in in_batches(lines, most_bytes=25)] == [3, 3, 3, 1]


@given(known=st.integers(1, 10**40), current=st.integers(1, 10**40))
def test_versions_compare_as_numbers_of_any_length(known: int, current: int) -> None:
    assert went_back(str(known), str(current)) == (current < known)


@pytest.mark.parametrize(
    ("known", "current"), [("", "5"), ("5", ""), ("5", "0"), ("9", "05"), ("a", "1"), ("9", "٣"), ("9", "-1")]
)
def test_what_is_no_version_never_went_back(known: str, current: str) -> None:
    assert not went_back(known, current)
