"""A growing audit log is followed without loss: over rotation, crashes, torn lines, and what other programs do to it."""

from __future__ import annotations

import asyncio
import gzip
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_log_writer import Follower, LogWriter
from kubeweft.model.errors import NotNow
from kubeweft.sources.audit.log_files import LogPosition, OpenLog, rotated_files


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    with LogWriter(tmp_path) as one:
        yield one


@pytest.fixture
async def follower(log: LogWriter) -> AsyncIterator[Follower]:
    one = Follower(log.path)
    await one.tail.begin()
    yield one
    one.tail.close()


async def test_what_is_appended_comes_once_and_in_order(log: LogWriter, follower: Follower) -> None:
    assert await follower.catch_up() == []
    for count in (3, 1, 2_000):
        log.append(count)
        await follower.catch_up()
        assert follower.delivered == log.written
    assert await follower.catch_up() == []
    assert follower.tail.statistics().lines == 2_004
    assert follower.tail.statistics().behind == 0


async def test_the_first_run_begins_with_what_the_file_holds_and_not_with_older_files(log: LogWriter) -> None:
    log.append(2)
    log.rotate()
    log.append(3)
    follower = Follower(log.path)
    await follower.tail.begin()
    assert await follower.catch_up() == log.written[2:]
    follower.tail.close()


async def test_rotations_while_not_looking_lose_nothing(log: LogWriter, follower: Follower) -> None:
    log.append(2)
    await follower.catch_up()
    for _ in range(3):
        log.append(2)
        log.rotate()
    log.append(1)
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().files == 3


async def test_what_is_written_just_before_a_rotation_is_read(
    log: LogWriter, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(2)
    look = follower.tail._reader._successor

    def rotated_first(current: OpenLog) -> Path | None:
        """The end of the file has been met; before anybody looks for the next, all this happens."""
        if len(log.written) == 2:
            log.append(2)
            log.rotate()
            log.append(2)
        return look(current)

    monkeypatch.setattr(follower.tail._reader, "_successor", rotated_first)
    await follower.catch_up()
    assert follower.delivered == log.written


async def test_a_new_file_without_a_whole_line_does_not_take_the_place_of_the_old_position(
    log: LogWriter, follower: Follower
) -> None:
    log.append(3)
    await follower.catch_up()
    log.rotate()
    line = log.line()
    log.file.write(line[:50])
    await follower.catch_up()
    await follower.restart()
    log.file.write(line[50:])
    await follower.catch_up()
    assert follower.delivered == log.written


async def test_a_restart_goes_on_in_a_file_that_was_rotated_and_compressed_meanwhile(
    log: LogWriter, follower: Follower
) -> None:
    log.append(5)
    await follower.catch_up()
    log.append(5)
    log.rotate()
    log.append(5)
    log.rotate()
    log.compress()
    log.append(1)
    await follower.restart()
    await follower.catch_up()
    assert follower.delivered == log.written  # nothing twice either: the position was saved


async def test_without_the_last_position_lines_come_again_and_none_is_missing(
    log: LogWriter, follower: Follower
) -> None:
    log.append(5)
    await follower.catch_up()
    position = follower.position
    log.append(5)
    await follower.catch_up()
    follower.position = position  # the crash came before it was saved
    await follower.restart()
    await follower.catch_up()
    assert follower.delivered == [*log.written, *log.written[5:]]


async def check_it_is_held_up(follower: Follower) -> None:
    """It waits, and its position stays."""
    position = follower.position
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await follower.tail.catch_up()
    assert follower.position == position


async def test_a_position_is_saved_only_after_everything_before_it_was_delivered(
    log: LogWriter, follower: Follower
) -> None:
    log.append(1)
    await follower.catch_up()
    log.append(3)
    follower.refuse = [NotNow("store full", delay=60)]
    await check_it_is_held_up(follower)
    await follower.restart()
    assert await follower.catch_up() == log.written[1:]


async def test_nothing_is_read_before_there_is_a_parser(log: LogWriter, follower: Follower) -> None:
    log.append(1)
    await follower.catch_up()
    log.append(3)
    follower.unready = [NotNow("the namespaces are not known yet", delay=60)]
    await check_it_is_held_up(follower)
    follower.unready = [NotNow("the namespaces are not known yet", delay=0.001)] * 2
    assert await follower.catch_up() == log.written[1:]
    assert follower.tail.statistics().waits == 3


async def test_a_full_store_is_waited_for(log: LogWriter, follower: Follower) -> None:
    log.append(3)
    follower.refuse = [NotNow("store full", delay=0.001)] * 3
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().waits == 3


async def test_a_torn_line_waits_for_its_rest(log: LogWriter, follower: Follower) -> None:
    log.append(1)
    line = log.line()
    for part in (line[:10], line[10:700], line[700:-1]):
        log.file.write(part)
        await follower.catch_up()
        assert follower.delivered == log.written[:1]
    log.file.write(b"\n")
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().bad == 0


async def test_a_torn_line_at_the_end_of_a_rotated_file_is_used_or_counted(
    log: LogWriter, follower: Follower
) -> None:
    log.append(1)
    log.file.write(log.line()[:-1])  # whole but for the line feed
    log.rotate()
    log.file.write(log.line()[:40])  # the API server was killed in the middle
    del log.written[-1]
    log.rotate()
    log.append(1)
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().bad == 1


async def test_unreadable_and_too_long_lines_are_counted_and_skipped(
    log: LogWriter, follower: Follower
) -> None:
    await follower.restart(longest=100_000)
    log.append(1)
    log.file.write(b'no json\n\n{"kind":"Event"}\n' + b"x" * 1_000_000 + b"\n")
    log.append(1)
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().bad == 3


async def test_a_file_that_is_missing_is_waited_for_and_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    follower = Follower(tmp_path / "audit.log")
    await follower.tail.begin()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await follower.catch_up() == []
    assert [record.message for record in caplog.records] == [
        f"the audit log {follower.path} does not exist, or is empty: waiting for it"
    ]
    with LogWriter(tmp_path) as log:
        log.append(2)
        log.rotate()  # also when nobody has looked in between
        log.append(1)
        await follower.catch_up()
        assert follower.delivered == log.written
    follower.tail.close()


async def test_a_log_that_is_emptied_in_place_is_told_of_and_its_copy_is_read_on(
    log: LogWriter, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    log.append(4)
    await follower.catch_up()
    log.append(3)
    log.copy_and_truncate()
    with caplog.at_level(logging.WARNING):
        await follower.catch_up()
    log.append(20)  # longer than what had been read: the size alone would not tell
    await follower.catch_up()
    assert follower.delivered == log.written
    assert "emptied in place" in caplog.text
    log.append(1)
    log.copy_and_truncate()
    log.append(30)
    await follower.restart()
    await follower.catch_up()
    assert follower.delivered == log.written


async def test_a_log_that_is_emptied_while_its_lines_are_being_delivered_is_noticed(
    log: LogWriter, follower: Follower
) -> None:
    def empty() -> None:
        log.append(1)
        log.copy_and_truncate()
        log.append(9)

    log.append(4)
    follower.before_delivery = [empty]
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().truncations == 1


async def test_a_log_that_is_emptied_without_a_copy_goes_on_from_its_beginning(
    log: LogWriter, follower: Follower
) -> None:
    log.append(4)
    await follower.catch_up()
    log.file.truncate(0)
    log.append(9)
    await follower.catch_up()
    assert follower.delivered == log.written
    assert follower.tail.statistics().truncations == 1


async def test_a_log_renamed_under_the_api_server_is_read_as_long_as_it_is_written(
    log: LogWriter, follower: Follower
) -> None:
    log.append(2)
    await follower.catch_up()
    for _ in range(2):
        log.rename_under_the_writer()
        log.append(2)
        await follower.catch_up()
        assert follower.delivered == log.written
    await follower.restart()
    log.append(2)
    log.restart()
    log.append(2)
    await follower.catch_up()
    assert follower.delivered == log.written


async def test_a_deleted_log_is_read_until_another_has_begun(log: LogWriter, follower: Follower) -> None:
    log.append(1)
    log.rotate()
    log.append(2)
    await follower.catch_up()
    log.path.unlink()
    log.append(2)
    await follower.catch_up()
    log.restart()
    log.append(1)
    await follower.catch_up()
    assert follower.delivered == log.written


async def test_where_the_file_read_last_is_gone_all_there_are_are_read(
    log: LogWriter, follower: Follower
) -> None:
    log.append(2)
    await follower.catch_up()
    gone = log.rotate()
    log.append(2)
    log.rotate()
    log.append(2)
    gone.unlink()
    await follower.restart()
    await follower.catch_up()
    assert follower.delivered == log.written


async def test_a_damaged_position_or_file_stops_nothing(log: LogWriter, follower: Follower) -> None:
    log.append(2)
    aside = log.rotate()
    log.append(2)
    packed = gzip.compress(aside.read_bytes())
    aside.with_name(f"{aside.name}.gz").write_bytes(packed[: len(packed) // 2])
    aside.unlink()
    follower.position = b"no position"
    await follower.restart()
    await follower.catch_up()
    assert follower.delivered[-2:] == log.written[-2:]
    assert follower.tail.statistics().bad == 1


async def test_it_runs_until_it_is_cancelled_and_may_run_again(log: LogWriter, follower: Follower) -> None:
    for _ in range(2):
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follower.tail.run())
            log.append(2)
            async with asyncio.timeout(5):
                while follower.delivered[-1:] != log.written[-1:]:
                    await asyncio.sleep(0.001)
            running.cancel()
    assert set(follower.delivered) == set(log.written)


def test_rotated_files_are_found_oldest_first(tmp_path: Path) -> None:
    names = [
        "audit-2026-11-21T09-00-00.100.log.gz",
        "audit-2026-11-21T09-00-00.100.log",
        "audit-2026-11-20T10-00-00.000.log.gz",
        "audit.log",
        "audit-policy.log",
        "other-2026-11-20T10-00-00.000.log",
        "audit-2026-11-22T10-00-00.000.log.tmp",
    ]
    for name in names:
        (tmp_path / name).touch()
    assert [file.name for file in rotated_files(tmp_path / "audit.log")] == [names[2], names[1]]
    for name in ("audit.log.10", "audit.log.9.gz", "audit.log.2"):
        (tmp_path / "numbered" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "numbered" / name).touch()
    assert [file.name for file in rotated_files(tmp_path / "numbered" / "audit.log")] == [
        "audit.log.10",
        "audit.log.9.gz",
        "audit.log.2",
    ]


def test_a_position_comes_back_as_it_was_stored() -> None:
    position = LogPosition(7, "ab", 2**40)
    assert LogPosition.decoded(position.encoded()) == position


STEPS = st.lists(
    st.sampled_from(
        ("append", "append", "much", "torn", "rotate", "compress", "look", "look", "restart", "forget")
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(steps=STEPS, exists=st.booleans())
def test_no_schedule_of_writing_rotating_and_crashing_loses_a_line(steps: list[str], exists: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_follow(Path(folder), steps, exists=exists))


async def _follow(folder: Path, steps: list[str], *, exists: bool) -> None:
    schedule = Schedule(folder, exists=exists)
    await schedule.follower.tail.begin()
    with LogWriter(folder) if schedule.log is None else schedule.log as log:
        for step in steps:
            await schedule.act(log, step)
        log.file.write(schedule.torn)
        await schedule.follower.catch_up()
    assert sorted(set(schedule.follower.delivered)) == log.written
    if not {"restart", "forget"} & set(steps):
        assert schedule.follower.delivered == log.written
    schedule.follower.tail.close()


class Schedule:
    """What happens to a log and to the tail that follows it."""

    def __init__(self, folder: Path, *, exists: bool) -> None:
        self.log = LogWriter(folder) if exists else None
        self.follower = Follower(folder / "audit.log")
        self.torn = b""
        self.old_position: bytes | None = None

    async def act(self, log: LogWriter, step: str) -> None:
        if step in ("look", "restart", "forget"):
            await self._use_tail(step)
        elif step == "compress":
            log.compress()
        else:
            log.file.write(self.torn)  # lines are written whole before anything else happens
            self.torn = b""
            self._write(log, step)

    async def _use_tail(self, step: str) -> None:
        if step == "look":
            self.old_position = self.follower.position
            await self.follower.catch_up()
            return
        if step == "forget" and self.old_position is not None:  # crashed after delivering, before saving
            self.follower.position = self.old_position
        await self.follower.restart()

    def _write(self, log: LogWriter, step: str) -> None:
        if step == "torn":
            line = log.line()
            log.file.write(line[:100])
            self.torn = line[100:]
        elif step == "rotate":
            log.rotate()
        else:
            log.append(150 if step == "much" else 1)
