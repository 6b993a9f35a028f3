"""The way out from the real store: what is written while exporting, restarting and failing arrives, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kubeweft.export.backoff import Backoff
from kubeweft.export.exporter import SpoolExporter
from kubeweft.model.errors import NotNow
from kubeweft.model.plan import Exporter
from kubeweft.model.spans import Span
from kubeweft.otlp.encoding import encode_span
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from otlp_receiver import OtlpReceiver
from otlp_spans import change_spans, object_span


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


def exporter_of(store: SqliteStore, writer: Writer, receiver: OtlpReceiver) -> SpoolExporter:
    """As the composition root puts it together."""

    async def save_position(name: str, position: int) -> None:
        await writer.write(Batch(export_positions=((name, position),)))

    return SpoolExporter(
        store,
        Exporter("otlp", receiver.endpoint("GRPC")),
        wait_beyond=writer.wait_beyond,
        newest=lambda: writer.statistics().position,
        save_position=save_position,
        backoff=Backoff(first=0.02, most=0.1),
    )


async def test_what_is_written_in_many_lives_arrives_in_order(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """Three lives of the process with writing and exporting side by side; the receiver is down in the second."""
    spans = [object_span(body=b'{"kind":"Deployment"}'), *change_spans(2999)]
    parts = [spans[:1000], spans[1000:2000], spans[2000:]]
    for life, part in enumerate(parts):
        if life == 1:
            await receiver.stop()
        store = SqliteStore(tmp_path / "kubeweft.db")
        async with Writer(store) as writer, asyncio.TaskGroup() as group:
            exporter = exporter_of(store, writer, receiver)
            task = group.create_task(exporter.run())
            for at in range(0, len(part), 50):
                await writer.write(Batch(part[at : at + 50]))
            if life == 1:
                while exporter.state.retries < 3:
                    await asyncio.sleep(0.01)
            if life == 2:
                await receiver.recording.until(lambda: len(receiver.recording.span_ids) == len(spans))
                while exporter.state.behind:
                    await asyncio.sleep(0.01)
            task.cancel()
        store.close()
        if life == 1:
            await receiver.start()
    assert receiver.recording.span_ids == [span.span_id for span in spans]
    forms = receiver.recording.forms()
    assert all(len(forms[span.span_id]) == 1 for span in spans)
    assert forms[spans[0].span_id].pop()[1] == encode_span(spans[0]).span  # through the store, byte for byte


class FullStore(SqliteStore):
    """Its disk is full as soon as the exporter has started: no later position can be saved."""

    def save_export_position(self, exporter: str, position: int) -> None:
        if position:
            raise NotNow("the disk is full", delay=1.0)
        super().save_export_position(exporter, position)


async def test_a_full_store_does_not_stop_the_export(
    tmp_path: Path, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    spans: list[Span] = change_spans(1500)
    store = FullStore(tmp_path / "kubeweft.db")
    store.export_position("otlp")
    store.write(Batch(spans))
    async with Writer(store) as writer, asyncio.TaskGroup() as group:
        target = Exporter("otlp", receiver.endpoint("GRPC"))
        exporter = SpoolExporter(store, target, wait_beyond=writer.wait_beyond)
        task = group.create_task(exporter.run())
        while exporter.state.sent < 1500:
            await asyncio.sleep(0.01)
        task.cancel()
    store.close()
    assert receiver.recording.span_ids == [span.span_id for span in spans]
    assert len(receiver.recording.spans) == 1500
    assert caplog.text.count("its position is not saved: the disk is full") == 1
