"""Sampling, grouping and the cap on the whole way: from the real store to a real receiver, over restarts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from grouped_trees import deployment, failure, life, pod, release, replica_set, same_trace, warning, woven
from kubeweft.export.backoff import Backoff
from kubeweft.export.exporter import SpoolExporter
from kubeweft.export.stage import Clocks
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Exporter, Sampling
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, window_start
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from otlp_receiver import OtlpReceiver
from otlp_script import UNAVAILABLE, Rule
from otlp_spans import change_spans
from span_builders import at

SETTLE = 0.3
WINDOW = window_start(at("10:00:00"), DEFAULT_WINDOW)
GROUPS = (
    same_trace(deployment(), release()),
    same_trace(replica_set(), deployment()),
    same_trace(pod(0), replica_set()),
    same_trace(pod(1), replica_set()),
)


@pytest.fixture(params=["GRPC", "HTTPProtobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


@contextlib.asynccontextmanager
async def life_of(
    folder: Path, exporter: Exporter, *, grouped: bool = False
) -> AsyncIterator[tuple[Writer, SpoolExporter]]:
    """One life of the process: the store, and an exporter that runs."""
    store = SqliteStore(folder / "kubeweft.db")
    try:
        async with Writer(store) as writer, asyncio.TaskGroup() as group:
            drain = SpoolExporter(
                store,
                exporter,
                wait_beyond=writer.wait_beyond,
                newest=lambda: writer.statistics().position,
                save_position=writer.save_export_position,
                backoff=Backoff(first=0.02, most=0.1),
                grouped=grouped,
                clocks=Clocks(settle=SETTLE),
            )
            task = group.create_task(drain.run())
            yield writer, drain
            task.cancel()
    finally:
        store.close()


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def written(writer: Writer, drain: SpoolExporter, spans: list[Span]) -> None:
    """Write, and wait until the exporter is through with it."""
    newest = await writer.write(Batch(spans))
    await until(lambda: drain.state.position >= newest)


def trace(of: ObjectKey) -> bytes:
    return identity.trace_id(of, WINDOW, DEFAULT_WINDOW)


def ids(spans: list[Span]) -> set[tuple[bytes, bytes]]:
    return {(span.trace_id, span.span_id) for span in spans}


def received(receiver: OtlpReceiver) -> list[tuple[bytes, bytes]]:
    return [(span.trace_id, span.span_id) for span in receiver.recording.spans]


async def test_a_tree_that_fails_after_a_restart_arrives_whole(
    tmp_path: Path, receiver: OtlpReceiver, protocol: str
) -> None:
    """Its first half was held back by a process that is gone; a quiet tree stays where it is."""
    sampled = Exporter("e", receiver.endpoint(protocol), protocol=protocol, sampling=Sampling(percent=0))
    quiet, first = woven(*life("quiet", number=1)), woven(*life())
    everything = woven(*life(), warning(pod(1)), failure(deployment()))
    async with life_of(tmp_path, sampled) as (writer, drain):
        await written(writer, drain, quiet)
        await written(writer, drain, first)
    assert not receiver.recording.spans
    async with life_of(tmp_path, sampled) as (writer, drain):
        await written(writer, drain, everything)
        assert drain.state.behind == 0
    assert set(received(receiver)) == ids(everything)
    assert len(received(receiver)) == len(ids(everything))


async def test_a_crash_while_what_was_held_back_is_sent_loses_nothing(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    """The receiver takes one request, and the process dies before the next."""
    sampled = Exporter("e", receiver.endpoint("GRPC"), sampling=Sampling(percent=0))
    spans = woven(*life(pods=700), warning(pod(1)))
    frame = [span for span in spans if span.span_id != spans[-1].span_id]
    async with life_of(tmp_path, sampled) as (writer, drain):
        await written(writer, drain, frame)
        receiver.rules = [Rule(UNAVAILABLE, above=-1)]
        await writer.write(Batch(spans[-1:]))
        await until(lambda: drain.state.retries >= 2)
        receiver.rules = [Rule(UNAVAILABLE, span_ids=[spans[-1].span_id])]
        await receiver.recording.until(lambda: len(receiver.recording.spans) >= 512)
    assert len(set(received(receiver))) < len(ids(spans))
    receiver.rules = []
    async with life_of(tmp_path, sampled) as (_, drain):
        await until(lambda: drain.state.reason == "Exporting" and drain.state.behind == 0)
    assert set(received(receiver)) == ids(spans)
    assert all(len(forms) == 1 for forms in receiver.recording.forms().values())


async def test_grouped_objects_are_one_tree_at_the_receiver(
    tmp_path: Path, receiver: OtlpReceiver, protocol: str
) -> None:
    exporter = Exporter("e", receiver.endpoint(protocol), protocol=protocol)
    spans = woven(*life(), *GROUPS)
    async with life_of(tmp_path, exporter, grouped=True) as (writer, drain):
        await writer.write(Batch(spans[len(spans) // 2 :]))
        await written(writer, drain, spans[: len(spans) // 2])
    home = [span for span in receiver.recording.spans if span.trace_id == trace(release())]
    known = {span.span_id for span in home}
    assert known == {span.span_id for span in spans}
    parents = {bytes(span.message.parent_span_id) for span in home}
    assert parents - known == {b""}, "the tree hangs together"
    assert len([span for span in home if not span.message.parent_span_id]) == 1
    others = [span for span in receiver.recording.spans if span.trace_id != trace(release())]
    assert len(others) == 4
    for signpost in others:
        (link,) = signpost.message.links
        assert (bytes(link.trace_id), bytes(link.span_id)) == (trace(release()), signpost.span_id)
        assert signpost.attributes[v.NAME]


async def test_what_is_grouped_is_whole_after_a_restart(tmp_path: Path, receiver: OtlpReceiver) -> None:
    exporter = Exporter("e", receiver.endpoint("GRPC"))
    async with life_of(tmp_path, exporter, grouped=True) as (writer, drain):
        await written(writer, drain, woven(*life(), *GROUPS))
    async with life_of(tmp_path, exporter, grouped=True) as (writer, drain):
        await written(writer, drain, woven(*life(), *GROUPS, warning(pod(0))))
    warnings = [span for span in receiver.recording.spans if span.message.name == "BackOff"]
    assert [span.trace_id for span in warnings] == [trace(release())]
    assert all(
        len([form for form in forms if form[1]]) <= 2 for forms in receiver.recording.forms().values()
    ), "an object span has its place and its signpost, everything else one form"


async def test_spans_that_another_process_writes_settle_too(
    tmp_path: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells of them: they are found by looking."""
    monkeypatch.setattr("kubeweft.export.exporter.LONGEST_WAIT", 0.2)
    exporter = Exporter("e", receiver.endpoint("GRPC"), sampling=Sampling(percent=0))
    spans = woven(*life(), warning(pod(0)))
    async with life_of(tmp_path, exporter) as (_, drain):
        await until(lambda: drain.state.ready)
        other = SqliteStore(tmp_path / "kubeweft.db")
        await asyncio.to_thread(other.write, Batch(spans))
        await until(lambda: len(set(received(receiver))) == len(ids(spans)))
        other.close()
    assert set(received(receiver)) == ids(spans)


async def test_the_cap_drops_and_tells(tmp_path: Path, receiver: OtlpReceiver) -> None:
    exporter = Exporter("e", receiver.endpoint("GRPC"), sampling=Sampling(spans_per_second=50))
    async with life_of(tmp_path, exporter) as (writer, drain):
        await until(lambda: drain.state.ready)
        await written(writer, drain, change_spans(400))
        sent = len(receiver.recording.spans)
        assert 50 <= sent < 200
        assert drain.state.dropped == 400 - sent
        assert drain.state.sent == sent


async def test_a_receiver_that_is_down_costs_no_spans_over_the_cap(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    """They came slowly, and only leave fast."""
    exporter = Exporter("e", receiver.endpoint("GRPC"), sampling=Sampling(spans_per_second=400))
    spans = change_spans(600)
    async with life_of(tmp_path, exporter) as (writer, drain):
        await until(lambda: drain.state.ready)
        await receiver.stop()
        for first in range(0, 600, 60):
            retries = drain.state.retries
            await writer.write(Batch(spans[first : first + 60]))
            await until(lambda: drain.state.retries >= retries + 3)  # noqa: B023  # awaited here
        await receiver.start()
        await until(lambda: drain.state.behind == 0)
        assert drain.state.dropped == 0
    assert set(received(receiver)) == ids(spans)
