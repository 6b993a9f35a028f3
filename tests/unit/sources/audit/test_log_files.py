"""Audit log files of any form as lines, whatever is wrong with them."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from audit_events import audit_event, audit_parser, event_list
from kubeweft.model.errors import UserError
from kubeweft.sources.audit.files import DAMAGED, LONGEST_LINE, TOO_LONG, Line, read_lines, size_of
from kubeweft.sources.audit.importing import CUT_OFF, Imported, parse_lines

Compress = Callable[[bytes], bytes]
FORMS: dict[str, Compress] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip in two members": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "zstd in two frames": lambda data: b"".join(
        zstandard.ZstdCompressor().compress(p) for p in (data[:100], data[100:])
    ),
}
CONTENT = b"".join(b'{"line":%d,"text":"%s"}\n' % (n, b"x" * (n % 97)) for n in range(500))


def standard_input(data: bytes, *, longest: int = LONGEST_LINE) -> list[Line]:
    """The lines of what comes by standard input."""
    return list(read_lines("-", standard_input=io.BytesIO(data), longest=longest))


@pytest.mark.parametrize("compress", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("piped", [False, True])
def test_the_form_is_told_by_the_first_bytes(compress: Compress, piped: bool, tmp_path: Path) -> None:
    data = compress(CONTENT)
    if piped:
        lines = standard_input(data)
    else:
        file = tmp_path / "audit.any-name"
        file.write_bytes(data)
        lines = list(read_lines(str(file)))
    assert [line.content for line in lines] == CONTENT.splitlines()
    assert [line.number for line in lines] == list(range(1, 501))
    assert all(line.ended and not line.fault for line in lines)


@pytest.mark.parametrize("compress", FORMS.values(), ids=FORMS.keys())
def test_progress_is_told_in_bytes_as_they_lie_on_disk(compress: Compress, tmp_path: Path) -> None:
    file = tmp_path / "audit"
    file.write_bytes(compress(CONTENT * 50))
    told: list[int] = []
    list(read_lines(str(file), progress=told.append))
    assert told == sorted(told)
    assert told[-1] == size_of(str(file)) == file.stat().st_size


def test_no_size_is_known_of_standard_input_and_missing_files(tmp_path: Path) -> None:
    assert size_of("-") is None
    assert size_of(str(tmp_path / "missing")) is None
    assert size_of(str(tmp_path)) is None


def test_a_last_line_without_an_end_is_marked() -> None:
    assert standard_input(b"one\ntwo") == [Line(1, b"one"), Line(2, b"two", ended=False)]


def test_empty_lines_are_left_out_but_counted() -> None:
    assert standard_input(b"one\n\n  \r\ntwo\r\n") == [Line(1, b"one"), Line(4, b"two\r")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert standard_input(b"\xef\xbb\xbfone\n") == [Line(1, b"one")]


def test_nothing_has_no_lines() -> None:
    assert standard_input(b"") == []
    assert standard_input(gzip.compress(b"")) == []


def test_a_line_that_is_too_long_is_reported_and_the_next_is_read() -> None:
    data = b"one\n" + b"x" * 1_000_000 + b"\ntwo\n" + b"y" * 1_000_000
    assert standard_input(data, longest=500_000) == [
        Line(1, b"one"),
        Line(2, b"", fault=TOO_LONG),
        Line(3, b"two"),
        Line(4, b"", ended=False, fault=TOO_LONG),
    ]


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_gzip_file_that_is_cut_off_gives_what_is_there(cut: float) -> None:
    data = gzip.compress(CONTENT * 20)
    *lines, last = standard_input(data[: int(len(data) * cut)])
    assert last == Line(len(lines) + 1, b"", ended=False, fault=DAMAGED)
    assert [line.content for line in lines] == (CONTENT * 20).splitlines()[: len(lines)]


def test_a_gzip_file_that_is_damaged_is_reported() -> None:
    data = bytearray(gzip.compress(CONTENT))
    data[len(data) // 2] ^= 0xFF
    assert standard_input(bytes(data))[-1].fault == DAMAGED


def test_a_zstd_file_that_is_damaged_is_reported() -> None:
    data = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT))
    data[len(data) // 2] ^= 0xFF
    assert standard_input(bytes(data))[-1].fault == DAMAGED


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_zstd_file_that_is_cut_off_gives_what_is_there(cut: float) -> None:
    data = zstandard.ZstdCompressor().compress(CONTENT * 200)
    *lines, last = standard_input(data[: int(len(data) * cut)])
    assert last == Line(len(lines) + 1, b"", ended=False, fault=DAMAGED)
    assert [line.content for line in lines] == (CONTENT * 200).splitlines()[: len(lines)]


def test_a_zstd_file_may_begin_with_a_frame_to_skip() -> None:
    data = (
        b"\x50\x2a\x4d\x18"
        + (3).to_bytes(4, "little")
        + b"abc"
        + zstandard.ZstdCompressor().compress(CONTENT)
    )
    assert [line.content for line in standard_input(data)] == CONTENT.splitlines()


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_a_clear_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        list(read_lines(str(tmp_path / name)))


@given(data=st.binary(max_size=300), chunk=st.integers(1, 20))
def test_lines_do_not_depend_on_where_chunks_end(data: bytes, chunk: int) -> None:
    class Slow(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(chunk)

    plain = b"#" + data  # whatever follows, these first bytes are of no compressed form
    lines = list(read_lines("-", standard_input=Slow(plain)))
    assert lines == standard_input(plain)
    assert b"\n".join(line.content for line in lines).split() == b" ".join(plain.split(b"\n")).split()


def imported(data: bytes) -> list[Imported]:
    """What the lines of a log give."""
    return list(parse_lines(standard_input(data), audit_parser()))


def test_lines_hold_events_or_lists_of_them() -> None:
    event = orjson.dumps(audit_event())
    (result,) = imported(event + b"\n" + event_list(event, event) + b"\n" + event)
    assert len(result.parsed.observations) == 4
    assert result.problems == ()


def test_what_cannot_be_used_is_told_by_line_and_ends_nothing() -> None:
    event = orjson.dumps(audit_event())
    data = b"\n".join(
        [event, b"hello", b"{}", event_list(event, b"{}"), b'{"kind":"Event"}', event, event[:300]]
    )
    (result,) = imported(data)
    assert len(result.parsed.observations) == 3
    assert [problem.line for problem in result.problems] == [2, 3, 4, 5, 7]
    assert result.problems[-1].reason == CUT_OFF
    assert result.parsed.bad == tuple(problem.reason for problem in result.problems)
    assert "hello" not in str(result.problems)


def test_faults_of_the_file_are_problems_too() -> None:
    data = gzip.compress(b"\n".join([orjson.dumps(audit_event())] * 500))
    results = imported(data[:-200])
    assert results[-1].problems[-1].reason == DAMAGED


def test_a_long_log_comes_in_bounded_slices() -> None:
    event = orjson.dumps(audit_event())
    results = imported((event + b"\n") * 1000)
    assert [len(result.parsed.observations) for result in results] == [400, 400, 200]


def test_very_long_lines_make_smaller_slices() -> None:
    event = orjson.dumps(audit_event(requestObject={"data": "x" * 1_000_000}))
    results = imported((event + b"\n") * 20)
    assert len(results) == 3
    assert sum(len(result.parsed.observations) for result in results) == 20


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_memory_is_bounded_whatever_the_compression(form: str) -> None:
    bomb = FORMS[form](b"\0" * 100_000_000)
    tracemalloc.start()
    (line,) = standard_input(bomb, longest=1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert line.fault == TOO_LONG
    assert peak < 30_000_000
