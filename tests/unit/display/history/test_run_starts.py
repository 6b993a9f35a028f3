"""Where runs begin in an object with more windows than any limit shows at once."""

from __future__ import annotations

from datetime import UTC

import msgspec
import pytest

from kubeweft.app.comparing import parse_side, read_run
from kubeweft.display.history.run_starts import PIECE, RunStarts
from kubeweft.display.history.runs import Run
from kubeweft.display.reading.levels import DEFAULT_LIMITS
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation
from kubeweft.model.timestamps import format_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW
from memory_reader import MemoryReader
from span_builders import SECOND, at, change, key, owner, related, to, uid, weave

IT = key("deployments", "it")
BASE = at("00:00:00")
MINUTE = 60 * SECOND
LAST = DEFAULT_LIMITS.windows + 2 * PIECE
ROLLOUTS = {2: "a → b", LAST - 1: "b → c", LAST: "c → d"}


def of_window(number: int) -> int:
    return BASE + number * DEFAULT_WINDOW


def busy() -> MemoryReader:
    """Created at midnight, rolled out in the third window and in the last two, its status changed in each."""
    story: list[Observation] = [change(IT, "Added", "00:00:00", uid=uid(1), version="1")]
    for number in range(1, LAST + 1):
        image = ROLLOUTS.get(number)
        words = f"spec.template.spec.containers[web].image {image}" if image else "status.replicas 1 → 2"
        one = change(
            IT,
            "Modified",
            "00:00:00",
            uid=uid(1),
            old=str(number),
            version=str(number + 1),
            words=(words,),
        )
        story.append(msgspec.structs.replace(one, time=of_window(number)))
    return MemoryReader(weave(*story))


BUSY = busy()


def run(time: str = "", *, quiet: int = 10 * MINUTE) -> Run:
    side = parse_side(
        f"deployment/default/it{time}", namespace="", cluster="demo", now=of_window(LAST + 1), zone=UTC
    )
    return read_run(BUSY, Kinds(), side, quiet=quiet, now=of_window(LAST + 1), zone=UTC)


@pytest.mark.parametrize("number", ROLLOUTS)
def test_a_rollout_is_found_however_many_windows_came_after_it(number: int) -> None:
    found = run(f"@{format_timestamp(of_window(number))[:16]}Z")
    assert (found.start, found.asked, found.truncated) == (of_window(number), "", ())
    assert found.started_by is not None


def test_a_time_between_two_rollouts_means_the_one_before_and_says_so() -> None:
    time = f"{format_timestamp(of_window(LAST - 3))[:16]}Z"
    found = run(f"@{time}")
    assert (found.start, found.asked) == (of_window(2), time)


def test_a_run_begins_with_the_creation_however_long_ago() -> None:
    found = run()
    assert found.start == BASE
    assert found.cut == 0  # it was silent for half an hour


def test_where_no_silence_came_it_is_told_up_to_when_was_read() -> None:
    found = run(quiet=40 * MINUTE)
    assert found.end < found.cut == of_window(DEFAULT_LIMITS.windows) - 1


def test_no_run_had_begun_when_asked() -> None:
    first = "the first stored began 2026-11-21T00:00:00Z"
    with pytest.raises(UserError, match=f"no rollout of .* is stored up to 2026-11-20T23:59:00Z: {first}"):
        RunStarts(BUSY, IT).at(BASE - MINUTE, precision=1)
    with pytest.raises(UserError, match=f"no rollout of .* is stored before 2026-11-20T23:59:00Z: {first}"):
        RunStarts(BUSY, IT).at(BASE - 2 * MINUTE, precision=MINUTE)


def test_the_next_run_ends_one() -> None:
    begun = RunStarts(BUSY, IT).at(of_window(2), precision=MINUTE)
    assert begun.until == of_window(LAST - 1) - 1


def test_what_is_read_grows_with_the_way_to_the_start() -> None:
    before = BUSY.calls["spans_of"]
    RunStarts(BUSY, IT).at(of_window(LAST), precision=1)
    assert BUSY.calls["spans_of"] - before == 1 + 1  # the newest piece, and what comes after the start


def test_what_is_only_named_has_no_run() -> None:
    node = key("nodes", "n1")
    story = weave(related(key("pods", "it-1"), to(node, "Peer", "RunsOn")))
    with pytest.raises(UserError, match="nothing is stored that happened to nodes/n1: it is only named by"):
        RunStarts(MemoryReader(story), node).of_last_life()


def test_children_are_not_missed_where_nobody_looked_for_them() -> None:
    below = key("replicasets", "it-1")
    story = weave(
        change(IT, "Added", "10:00:00", uid=uid(1), version="1"),
        change(below, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(IT, uid(1)),)),
    )
    for begun in (
        RunStarts(MemoryReader(story), IT).of_last_life(),
        RunStarts(MemoryReader(story), IT).at(at("10:00:00"), precision=1),
    ):
        assert begun.truncated == ()


def test_of_two_lives_the_last_one_counts() -> None:
    again = [
        change(IT, "Added", "10:00:00", uid=uid(1), version="1"),
        change(IT, "Deleted", "10:10:00", uid=uid(1), old="1", version="2"),
        change(IT, "Added", "11:00:00", uid=uid(2), version="3"),
        change(IT, "Modified", "11:10:00", uid=uid(2), old="3", version="4", words=("spec.x 1 → 2",)),
    ]
    begun = RunStarts(MemoryReader(weave(*again)), IT).of_last_life()
    assert begun.time == at("11:00:00")
