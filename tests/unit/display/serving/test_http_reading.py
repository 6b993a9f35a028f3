"""What clients write into a query string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.serving.http import reading
from kubeweft.model.errors import BadInput
from span_builders import at


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("500us", 500_000),
        ("500µs", 500_000),
        ("500μs", 500_000),
        ("100ms", 100_000_000),
        ("1.2s", 1_200_000_000),
        (".5s", 500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("2d", 172_800_000_000_000),
        ("1w", 604_800_000_000_000),
        ("7ns", 7),
        ("0.1s", 100_000_000),
        ("9999999999h", reading.LAST_MOMENT),
    ],
)
def test_durations_are_those_of_go_and_of_the_ui(text: str, nanoseconds: int) -> None:
    assert reading.duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["1", "s", "1x", "-1s", "1 s", "1s ", "1e3s", "∞", "1s2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no duration"):
        reading.duration(text)


def test_the_custom_lookback_of_the_ui_says_nothing() -> None:
    assert reading.lookback("custom") == 0
    assert reading.lookback("2h") == 7_200_000_000_000


def test_times_are_microseconds_and_grafanas_milliseconds() -> None:
    moment = at("10:00:00.123")
    assert reading.epoch(str(moment // 1000)) == moment
    assert reading.epoch(str(moment // 1_000_000)) == moment
    assert reading.epoch("0") == 0
    assert reading.epoch(str(2**63 - 1)) == reading.LAST_MOMENT


def test_a_time_whose_plus_became_a_space_is_read() -> None:
    moment = at("10:00:00")
    assert reading.rfc3339("2026-11-21T10:00:00Z") == moment
    assert reading.rfc3339("2026-11-21T11:00:00+01:00") == moment
    assert reading.rfc3339("2026-11-21T11:00:00 01:00") == moment
    assert reading.rfc3339("2026-11-21T11:00:00.5 01:00") == moment + 500_000_000
    assert reading.rfc3339("2026-11-21T10:00:00.123456789Z") == moment + 123_456_789


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-21", "10:00:00Z", "1763719200", "2026-11-21T10:00:00.-5Z", "1970-01-01T99:00:00Z"],
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="RFC 3339"):
        reading.rfc3339(text)


def test_times_are_those_that_a_store_can_hold() -> None:
    assert reading.rfc3339("1970-01-01T00:00:00Z") == reading.rfc3339("1960-01-01T00:00:00Z") == 0
    assert reading.rfc3339("9999-12-31T23:59:59Z") == reading.LAST_MOMENT
    assert reading.epoch("-9999999999999999999") == reading.epoch_milliseconds("-5") == 0
    assert reading.unset_or_rfc3339("0001-01-01T00:00:00Z") is None


def test_a_moment_is_told_in_any_unit() -> None:
    moment = at("10:00:00")
    for unit in (1_000_000_000, 1_000_000, 1_000, 1):
        assert reading.moment(str(moment // unit)) == moment
    assert reading.moment("10m") is None
    assert reading.moment("2026") is None


def test_tags_are_a_json_object_and_other_values_are_taken_as_written() -> None:
    assert reading.tags('{"error":"true","code":409,"x":null,"ok":true}') == {
        "error": "true",
        "code": "409",
        "ok": "true",
    }
    for wrong in ("", "[]", '"a"', '{"a":{}}', '{"a":[1]}', "{a:1}", "error=true"):
        with pytest.raises(BadInput, match="JSON object"):
            reading.tags(wrong)


def test_a_tag_may_hold_more_colons() -> None:
    assert reading.tag("user.name:system:admin") == {"user.name": "system:admin"}
    for wrong in ("name", ":value"):
        with pytest.raises(BadInput, match="key:value"):
            reading.tag(wrong)


def test_trace_ids_may_lack_leading_zeros_but_nothing_else() -> None:
    assert reading.trace_id("4B" + "0" * 29 + "f") == bytes.fromhex("4b" + "0" * 29 + "f")
    assert reading.trace_id("ff") == bytes(15) + b"\xff"
    for wrong in ("", "g", "0" * 33, "0x1", "４b"):
        with pytest.raises(BadInput, match="trace ID"):
            reading.trace_id(wrong)


def test_truth_is_what_go_takes_for_it() -> None:
    assert reading.truth("true")
    assert not reading.truth("F")
    with pytest.raises(BadInput, match="neither"):
        reading.truth("yes")


@given(st.text(max_size=40))
def test_no_text_makes_a_reader_fail_otherwise_than_by_refusing_it(text: str) -> None:
    for read in (
        reading.epoch,
        reading.epoch_milliseconds,
        reading.rfc3339,
        reading.duration,
        reading.lookback,
        reading.truth,
        reading.trace_id,
        reading.tag,
        reading.tags,
        reading.moment,
    ):
        try:
            read(text)
        except BadInput:
            continue
