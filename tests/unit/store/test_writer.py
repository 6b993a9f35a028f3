"""The asyncio front of a store: grouping, isolation of failures, cancellation, back-pressure, waking up, closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from kubeweft.model.errors import NotNow
from kubeweft.store.embedded.failures import StoreBusy, StoreFull
from kubeweft.store.interfaces import Batch, Checkpoint, Written
from kubeweft.store.writer import Writer
from store_samples import fact, key_of

SOON = 5.0  # seconds; only a failing test waits so long


class SlowStore:
    """Writes only while its gate is open, and refuses what it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[Batch]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.refuse: Callable[[Sequence[Batch]], Exception | None] = lambda batches: None
        self.position = 0
        self.threads: set[str] = set()

    def newest_position(self) -> int:
        return self.position

    def write_group(self, batches: Sequence[Batch]) -> Written:
        self.threads.add(threading.current_thread().name)
        self.begun.release()
        assert self.gate.wait(SOON)
        self.groups.append(list(batches))
        error = self.refuse(batches)
        if error is not None:
            raise error
        added = sum(len(batch.spans) for batch in batches)
        self.position += added
        return Written(self.position, added)

    async def wait_begun(self) -> None:
        """Wait until a group has reached the store."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=SOON)

    @property
    def written(self) -> list[str]:
        """The names of the spans of groups that were not refused, in order."""
        groups = [group for group in self.groups if self.refuse(group) is None]
        return [span.name for group in groups for batch in group for span in batch.spans]


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def writer(store: SlowStore) -> AsyncIterator[Writer]:
    async with Writer(store, max_batches=4, max_spans=100, group_spans=20, patience=SOON) as one:
        yield one
        store.gate.set()


def batch(name: str, spans: int = 1) -> Batch:
    return Batch(spans=[fact(key_of(), number, name=name) for number in range(spans)])


def names(batches: Sequence[Batch]) -> list[str]:
    return [one.spans[0].name for one in batches]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0)


async def test_a_write_gives_the_position_it_reached(store: SlowStore, writer: Writer) -> None:
    store.position = 40
    assert await writer.write(batch("a", 2)) == 42
    assert await writer.write(Batch(checkpoints=(Checkpoint("c", "", "pods", "1", 1),))) == 42
    assert store.threads == {"store-writer_0"}


async def test_what_waits_during_a_transaction_shares_the_next(store: SlowStore, writer: Writer) -> None:
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(writer.write(batch("first")))
        await store.wait_begun()
        rest = [tasks.create_task(writer.write(batch(name, 3))) for name in "abc"]
        await until(lambda: writer.statistics().waiting_batches == 3)
        assert writer.statistics().waiting_spans == 9
        store.gate.set()
    assert [names(group) for group in store.groups] == [["first"], ["a", "b", "c"]]
    assert [first.result(), *(task.result() for task in rest)] == [1, 10, 10, 10]
    statistics = writer.statistics()
    assert (statistics.groups, statistics.batches, statistics.spans, statistics.failed) == (2, 4, 10, 0)


async def test_a_group_is_bounded_and_a_large_batch_goes_alone(store: SlowStore, writer: Writer) -> None:
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.write(batch("first")))
        await store.wait_begun()
        for name, spans in (("a", 12), ("b", 8), ("c", 1), ("d", 50)):
            tasks.create_task(writer.write(batch(name, spans)))
        await until(lambda: writer.statistics().waiting_batches == 4)
        store.gate.set()
    assert [names(group) for group in store.groups] == [["first"], ["a", "b"], ["c"], ["d"]]


async def test_one_poisoned_batch_does_not_fail_its_neighbours(store: SlowStore, writer: Writer) -> None:
    store.refuse = lambda batches: ValueError("poison") if "bad" in names(batches) else None
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.write(batch("first")))
        await store.wait_begun()
        good = [tasks.create_task(writer.write(batch(name))) for name in "ab"]
        bad = asyncio.gather(writer.write(batch("bad")), return_exceptions=True)
        await until(lambda: writer.statistics().waiting_batches == 3)
        store.gate.set()
    assert [task.result() for task in good] == [2, 3]
    [error] = await bad
    assert isinstance(error, ValueError)
    assert store.written == ["first", "a", "b"]
    assert writer.statistics().failed == 1


async def test_a_busy_store_is_asked_once_for_the_whole_group(store: SlowStore, writer: Writer) -> None:
    await writer.write(batch("first"))
    store.refuse = lambda batches: StoreBusy("s.db")
    store.gate.clear()
    blocked = asyncio.gather(writer.write(batch("x")), return_exceptions=True)
    await asyncio.sleep(0)
    rest = asyncio.gather(*(writer.write(batch(name)) for name in "abc"), return_exceptions=True)
    await until(lambda: writer.statistics().waiting_batches == 3)
    store.gate.set()
    errors = [*await blocked, *await rest]
    assert [type(error) for error in errors] == [StoreBusy] * 4
    assert [names(group) for group in store.groups] == [["first"], ["x"], ["a", "b", "c"]]


async def test_full_is_told_to_each_waiter_and_passes(store: SlowStore, writer: Writer) -> None:
    store.refuse = lambda batches: StoreFull("no room")
    with pytest.raises(NotNow, match="store full: no room") as refused:
        await writer.write(batch("a"))
    assert refused.value.delay == 5
    store.refuse = lambda batches: None
    assert await writer.write(batch("a")) == 1


async def test_a_cancelled_waiter_takes_no_other_with_it(store: SlowStore, writer: Writer) -> None:
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(writer.write(batch("running")))
        await store.wait_begun()
        queued = [tasks.create_task(writer.write(batch(name))) for name in "abc"]
        await until(lambda: writer.statistics().waiting_batches == 3)
        running.cancel()
        queued[1].cancel()
        await until(lambda: running.cancelled() and queued[1].cancelled())
        store.gate.set()
    assert store.written == ["running", "a", "c"]  # what had begun is finished, what had not is left out
    assert queued[0].result() == queued[2].result() == 3
    assert await writer.write(batch("after")) == 4


async def test_cancelling_all_that_is_queued_leaves_the_writer_at_work(
    store: SlowStore, writer: Writer
) -> None:
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.write(batch("first")))
        await store.wait_begun()
        queued = [tasks.create_task(writer.write(batch(name))) for name in "abc"]
        await until(lambda: writer.statistics().waiting_batches == 3)
        for task in queued:
            task.cancel()
        await until(lambda: all(task.cancelled() for task in queued))
        store.gate.set()
    assert await writer.write(batch("after")) == 2
    assert writer.statistics().waiting_spans == 0


async def test_who_finds_the_queue_full_waits_in_turn(store: SlowStore, writer: Writer) -> None:
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.write(batch("0")))
        await store.wait_begun()
        waiting = [tasks.create_task(writer.write(batch(str(number)))) for number in range(1, 12)]
        await until(lambda: writer.statistics().waiting_batches == 4)
        for _ in range(20):
            await asyncio.sleep(0)
        assert writer.statistics().waiting_batches == 4
        waiting[6].cancel()  # gone while it waited for room
        store.gate.set()
    assert store.written == [str(number) for number in range(12) if number != 7]


async def test_the_queue_is_bounded_in_spans_too(store: SlowStore, writer: Writer) -> None:
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.write(batch("first", 500)))  # more than the bound, but alone
        await store.wait_begun()
        tasks.create_task(writer.write(batch("a", 60)))
        tasks.create_task(writer.write(batch("b", 60)))
        await until(lambda: writer.statistics().waiting_batches == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert writer.statistics().waiting_spans == 60
        store.gate.set()
    assert [names(group) for group in store.groups] == [["first"], ["a"], ["b"]]


async def test_who_waits_too_long_for_room_is_told_so(store: SlowStore) -> None:
    async with Writer(store, max_batches=1, patience=0.01) as writer:
        store.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.write(batch("a")))
            await store.wait_begun()
            tasks.create_task(writer.write(batch("b")))
            await until(lambda: writer.statistics().waiting_batches == 1)
            with pytest.raises(NotNow, match="queue is full") as refused:
                await writer.write(batch("c"))
            assert refused.value.delay == 1
            assert writer.statistics().refused == 1
            store.gate.set()
        assert await writer.write(batch("d")) == 3
    assert store.written == ["a", "b", "d"]


async def test_waiting_beyond_a_position(store: SlowStore) -> None:
    store.position = 5
    async with Writer(store) as writer:
        assert await writer.wait_beyond(4, timeout=SOON) == 5  # from before the start
        assert await writer.wait_beyond(5, timeout=0.001) == 5
        async with asyncio.TaskGroup() as tasks:
            near = tasks.create_task(writer.wait_beyond(5, timeout=SOON))
            far = tasks.create_task(writer.wait_beyond(6, timeout=SOON))
            gone = tasks.create_task(writer.wait_beyond(5, timeout=SOON))
            await asyncio.sleep(0)
            gone.cancel()
            await writer.write(batch("a"))
            assert await near == 6
            assert not far.done()
            await writer.write(batch("b"))
            assert await far == 7


async def test_export_positions_go_through_the_queue(store: SlowStore, writer: Writer) -> None:
    await writer.save_export_position("otlp", 7)
    assert store.groups == [[Batch(export_positions=(("otlp", 7),))]]


async def test_closing_finishes_what_is_queued_and_takes_no_more(store: SlowStore) -> None:
    writer = Writer(store, group_spans=2)
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        written = [tasks.create_task(writer.write(batch(name))) for name in "abcde"]
        await store.wait_begun()
        closing = [tasks.create_task(writer.aclose()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(NotNow, match="being closed"):
            await writer.write(batch("late"))
        assert not any(task.done() for task in closing)
        store.gate.set()
    assert [task.result() for task in written] == [1, 3, 3, 5, 5]
    assert store.written == ["a", "b", "c", "d", "e"]
    await writer.aclose()
