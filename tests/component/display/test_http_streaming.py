"""Large answers: in pieces, at the client's pace, and never half an answer that looks whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace, TraceQuestion, TraceSummary
from kubeweft.display.serving.answers import summary_of
from kubeweft.display.serving.notices import NOTICE_ID
from kubeweft.display.serving.working import WorkLimits
from kubeweft.runtime.stopping import check_stop, count_read
from query_api import OTHER_ID, TRACE_ID, FixedAnswers, displayed, query_api, trace_of

TRACE = f"/api/traces/{TRACE_ID.hex()}"
V3_TRACE = f"/api/v3/traces/{TRACE_ID.hex()}"
MANY = 20_000


async def until(true: Callable[[], bool], *, within: float = 10) -> None:
    """Wait for a condition that nobody announces."""
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.005)


class Counting:
    """Spans of a trace, which counts those taken, and notes when it is closed."""

    def __init__(self, spans: int, *, fails_after: int = -1, waits: threading.Event | None = None) -> None:
        self.spans, self.fails_after, self.waits = spans, fails_after, waits
        self.taken, self.closed = 0, threading.Event()

    def __call__(self) -> Iterator[DisplayedSpan]:
        try:
            for number in range(self.spans):
                if number == self.fails_after:
                    raise RuntimeError("the store broke")
                if self.waits is not None:
                    self._wait()
                self.taken += 1
                yield displayed(number, attributes={"text": "x" * 200})
        finally:
            self.closed.set()

    def _wait(self) -> None:
        assert self.waits is not None
        while not self.waits.wait(0.005):
            check_stop()


def answers(spans: Counting) -> FixedAnswers:
    return FixedAnswers({TRACE_ID: spans})


async def raw_get(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has sent a request and read nothing, with small buffers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("path", [TRACE, V3_TRACE])
async def test_a_large_trace_comes_whole(path: str) -> None:
    async with query_api(answers(Counting(MANY))) as client:
        reply = await client.get(path)
        assert reply.headers["Transfer-Encoding"] == "chunked"
        assert reply.text.count('"update 19999"') == 1
        assert reply.json()


async def test_it_is_compressed_where_that_is_asked_for() -> None:
    async with query_api(answers(Counting(2_000))) as client:
        session = client.session
        for asked, encoding in (("gzip, deflate", "gzip"), ("deflate", None), ("identity", None)):
            async with session.get(TRACE, headers={"Accept-Encoding": asked}) as response:
                assert response.headers.get("Content-Encoding") == encoding
                assert response.headers["Vary"] == "Accept-Encoding"
                assert len((await response.json())["data"][0]["spans"]) == 2_000


async def test_compression_saves_most_of_it() -> None:
    async with query_api(answers(Counting(2_000))) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(
            f"GET {TRACE} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n".encode()
        )
        packed = await reader.read()
        plain = (await client.get(TRACE, Accept_Encoding="identity")).body
        assert len(packed) < len(plain) / 10
        writer.close()


async def test_no_piece_is_worked_out_before_the_client_takes_it() -> None:
    spans = Counting(200_000)
    async with query_api(answers(spans)) as client:
        reader, writer = await raw_get(client.port, TRACE)
        await until(lambda: spans.taken > 0)
        await settled(spans)
        assert spans.taken < 60_000  # what fits into the buffers of two sockets
        before = spans.taken
        await reader.read(4096)
        while spans.taken == before:
            assert await reader.read(65536)
        writer.close()
        await until(spans.closed.is_set)


async def settled(spans: Counting) -> None:
    """Wait until nothing is taken for a while."""
    before = -1
    while before != spans.taken:
        before = spans.taken
        await asyncio.sleep(0.2)


async def test_work_ends_when_the_client_goes_while_it_is_written_to() -> None:
    spans = Counting(1_000_000)
    async with query_api(answers(spans)) as client:
        _, writer = await raw_get(client.port, TRACE)
        await until(lambda: spans.taken > 0)
        writer.transport.abort()
        await until(spans.closed.is_set)
        assert spans.taken < 1_000_000


async def test_work_ends_when_the_client_goes_while_it_waits() -> None:
    spans = Counting(10, waits=threading.Event())
    stories = answers(spans)
    async with query_api(stories) as client:
        _, writer = await raw_get(client.port, TRACE)
        await until(lambda: len(stories.asked) == 1)
        writer.transport.abort()
        await until(spans.closed.is_set)
        assert spans.taken == 0


async def test_what_fails_on_the_way_breaks_the_connection_off(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        async with query_api(answers(Counting(MANY, fails_after=5_000))) as client:
            with pytest.raises(aiohttp.ClientPayloadError):
                await client.get(TRACE)
            assert (await client.get("/api/services")).status == 200
    assert "broken off" in caplog.text
    assert "the store broke" in caplog.text


@pytest.mark.parametrize("path", [TRACE, V3_TRACE])
async def test_what_fails_before_the_first_piece_has_a_status(path: str) -> None:
    async with query_api(answers(Counting(10, fails_after=5))) as client:
        assert (await client.get(path)).status == 500


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    spans = Counting(200_000)
    async with query_api(answers(spans), limits=WorkLimits(reader=0.3)) as client:
        _, writer = await raw_get(client.port, TRACE)
        await until(spans.closed.is_set)
        writer.close()


async def test_a_client_that_takes_a_little_at_a_time_is_given_up_at_last() -> None:
    spans = Counting(1_000_000)
    async with query_api(answers(spans), limits=WorkLimits(reader=10, whole=0.5)) as client:
        reader, writer = await raw_get(client.port, TRACE)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await reader.read(4096):
                    await asyncio.sleep(0.001)
        await until(spans.closed.is_set)
        assert spans.taken < 1_000_000
        writer.close()


async def test_a_large_object_may_be_taken_at_a_steady_pace() -> None:
    """What counts is the pace, and not how long one piece takes in all."""
    large = FixedAnswers({TRACE_ID: lambda: [displayed(0, attributes={"text": "x" * 24_000_000})]})
    async with query_api(large, limits=WorkLimits(reader=1)) as client:
        reader, writer = await raw_get(client.port, TRACE)
        taken, begin = 0, time.monotonic()
        async with asyncio.timeout(60):
            while taken < 24_000_000:
                piece = await reader.read(100_000)
                assert piece, "broken off"
                taken += len(piece)
                await asyncio.sleep(0.005)
        assert time.monotonic() - begin > 1
        writer.close()


async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    spans = Counting(10, waits=threading.Event())
    async with query_api(answers(spans), limits=WorkLimits(answer=0.2)) as client:
        reply = await client.get(V3_TRACE)
        assert reply.status == 504
        assert "0.2 seconds" in reply.json()["error"]["message"]
        await until(spans.closed.is_set)


async def test_no_more_trees_at_a_time_than_there_is_room_for() -> None:
    gate = threading.Event()
    stories = answers(Counting(10, waits=gate))
    limits = WorkLimits(spans=200, opened=100, waiting=1, admission=5)
    async with query_api(stories, limits=limits) as client, asyncio.TaskGroup() as group:
        first = [group.create_task(client.get(TRACE)) for _ in range(3)]
        await until(lambda: len(stories.asked) == 2)
        refused = await client.get(TRACE)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert (await client.get("/api/services")).status == 200  # short questions do not stand in that line
        gate.set()
        assert [reply.status for reply in [await task for task in first]] == [200, 200, 200]


async def test_who_has_waited_too_long_is_told_to_come_again() -> None:
    gate = threading.Event()
    spans = Counting(10, waits=gate)
    limits = WorkLimits(spans=100, opened=100, admission=0.1)
    stories = answers(spans)
    async with query_api(stories, limits=limits) as client, asyncio.TaskGroup() as group:
        first = group.create_task(client.get(TRACE))
        await until(lambda: len(stories.asked) == 1)
        late = await client.get(TRACE)
        assert (late.status, late.headers["Retry-After"]) == (503, "5")
        gate.set()
        assert (await first).status == 200


async def test_a_place_is_free_again_only_when_its_work_has_ended() -> None:
    """A client that goes leaves its tree behind until the thread has let it go."""
    gate = threading.Event()

    def stubborn() -> Iterator[DisplayedSpan]:
        gate.wait(10)
        yield displayed(0)

    stories = FixedAnswers({TRACE_ID: stubborn})
    limits = WorkLimits(spans=100, opened=100, admission=0.1)
    async with query_api(stories, limits=limits) as client:
        _, writer = await raw_get(client.port, TRACE)
        await until(lambda: len(stories.asked) == 1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        assert (await client.get(TRACE)).status == 503
        gate.set()
        async with asyncio.timeout(10):
            while (await client.get(TRACE)).status != 200:
                await asyncio.sleep(0.01)


async def test_clients_that_go_at_any_moment_leave_no_place_taken() -> None:
    limits = WorkLimits(spans=300, opened=100, admission=10)
    async with query_api(answers(Counting(3_000)), limits=limits) as client:
        for moment in range(40):
            _, writer = await raw_get(client.port, TRACE)
            await asyncio.sleep(moment % 10 * 0.003)
            writer.transport.abort()
        async with asyncio.TaskGroup() as group:
            together = [group.create_task(client.get(TRACE)) for _ in range(6)]
        assert [task.result().status for task in together] == [200] * 6


async def test_the_loop_stays_free_while_a_large_trace_is_written() -> None:
    async with query_api(answers(Counting(MANY))) as client, asyncio.TaskGroup() as group:
        large = group.create_task(client.get(TRACE))
        slowest = 0.0
        while not large.done():
            begin = time.monotonic()
            await client.get("/healthz")
            slowest = max(slowest, time.monotonic() - begin)
        assert (await large).status == 200
        assert slowest < 2  # far above what it takes, since tests share their machine


async def stalled(port: int) -> asyncio.StreamWriter:
    """A client that has asked for the trace, and has got its beginning."""
    reader, writer = await raw_get(port, TRACE)
    await reader.read(1)
    return writer


async def test_a_tree_that_turns_out_small_leaves_room_for_others() -> None:
    """Readers that are slow keep no more than what was read for them."""
    limits = WorkLimits(spans=150, opened=100, least=1, admission=0.2)
    async with query_api(answers(Counting(200_000)), limits=limits) as client:
        writers = [await stalled(client.port) for _ in range(20)]
        assert (await client.get(f"/api/traces/{OTHER_ID.hex()}")).status == 404
        for writer in writers:
            writer.transport.abort()


async def test_a_tree_that_is_large_keeps_its_room_until_it_has_been_taken() -> None:
    spans = Counting(200_000)

    class Large(FixedAnswers):
        def open(self, trace_id: bytes, **_: Any) -> Any:
            count_read(90)
            return super().open(trace_id)

    limits = WorkLimits(spans=180, opened=100, least=1, admission=0.2)
    async with query_api(Large({TRACE_ID: spans}), limits=limits) as client:
        writer = await stalled(client.port)
        assert (await client.get(f"/api/traces/{OTHER_ID.hex()}")).status == 503
        writer.transport.abort()
        await until(spans.closed.is_set)
        assert (await client.get(f"/api/traces/{OTHER_ID.hex()}")).status == 404


async def test_of_several_traces_the_next_may_be_the_largest() -> None:
    limits = WorkLimits(spans=100, opened=100, least=1, admission=0.2)
    async with query_api(answers(Counting(200_000)), limits=limits) as client:
        several = f"/api/traces?traceID={TRACE_ID.hex()}&traceID={OTHER_ID.hex()}"
        reader, writer = await raw_get(client.port, several)
        await reader.read(1)
        assert (await client.get(TRACE)).status == 503
        writer.transport.abort()


SEARCHES = ("/api/traces", "/api/v3/traces", "/api/v3/trace-summaries")


@pytest.mark.parametrize("path", SEARCHES)
@pytest.mark.parametrize("found", [0, 2])
async def test_a_search_that_takes_too_long_gives_what_it_has_found_and_says_so(
    path: str, found: int
) -> None:
    class Endless(FixedAnswers):
        def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
            for _ in range(found):
                yield trace_of([displayed(0), displayed(1)])
            while True:
                check_stop()
                time.sleep(0.005)

        def summaries(self, question: TraceQuestion) -> Iterator[TraceSummary]:
            return map(summary_of, self.find(question))

    async with query_api(Endless(), limits=WorkLimits(search=0.3)) as client:
        reply = await client.get(path)
    assert reply.status == 200
    assert reply.text.count("longer than 0.3 seconds: narrow the search") >= 1
    assert reply.json()
    assert reply.text.count(TRACE_ID.hex()) >= found
    assert NOTICE_ID.hex() in reply.text


async def test_closing_the_server_ends_answers_on_their_way() -> None:
    spans = Counting(1_000_000)
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        async with query_api(answers(spans)) as client:
            _, writer = await raw_get(client.port, TRACE)
            await until(lambda: spans.taken > 0)
    await until(spans.closed.is_set)
    writer.transport.abort()
