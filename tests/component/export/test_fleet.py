"""Several exporters at once, each with its own headers; a change of one leaves the others alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from kubeweft.export.fleet import ExporterFleet
from kubeweft.export.metrics import ExportCollector
from kubeweft.model.plan import Exporter, Sampling
from memory_spool import MemorySpool
from otlp_receiver import OtlpReceiver
from otlp_spans import change_spans


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(spool: MemorySpool, used: list[Sequence[str]]) -> AsyncIterator[ExporterFleet]:
    async def save(name: str, position: int) -> None:
        spool.save_export_position(name, position)

    fleet = ExporterFleet(
        spool, wait_beyond=spool.wait_beyond, newest=spool.newest, save_position=save, in_use=used.append
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(fleet.run())
        yield fleet
        task.cancel()


def by(name: str, receiver: OtlpReceiver, protocol: str) -> Exporter:
    return Exporter(
        f"team/{name}",
        receiver.endpoint(protocol),
        protocol=protocol,
        headers=(("x-scope-orgid", name), ("authorization", f"Bearer {name}")),
    )


def sent(fleet: ExporterFleet, exporter: Exporter) -> int:
    state = fleet.states().get(exporter.name)
    return state.sent if state else 0


def arrived(receiver: OtlpReceiver, name: str) -> list[bytes]:
    """The spans that came with the headers of one exporter."""
    requests = [r for r in receiver.recording.requests if r.headers.get("x-scope-orgid") == name]
    assert all(r.headers["authorization"] == f"Bearer {name}" for r in requests)
    return [span.span_id for request in requests for span in request.spans]


async def test_each_exporter_sends_everything_with_its_own_headers(receiver: OtlpReceiver) -> None:
    spool, used = MemorySpool(), list[Sequence[str]]()
    for name in ("one", "two", "three"):
        spool.save_export_position(f"team/{name}", 0)
    one, two, three = (
        by("one", receiver, "GRPC"),
        by("two", receiver, "GRPC"),
        by("three", receiver, "HTTPProtobuf"),
    )
    spans = change_spans(900)
    spool.add(spans)
    async with running(spool, used) as fleet:
        fleet.use([one, two, three])
        await until(lambda: [s.sent for s in fleet.states().values()] == [900, 900, 900])
    for name in ("one", "two", "three"):
        assert arrived(receiver, name) == [span.span_id for span in spans]
    assert used[-1] == ["team/one", "team/two", "team/three"]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("x-scope-orgid", "new"), ("authorization", "Bearer new"))},
        {"ca": b"another"},
        {"sampling": Sampling(spans_per_second=1000)},
    ],
    ids=["header", "authority", "sampling"],
)
async def test_a_changed_exporter_is_started_anew_where_it_was_and_no_other(
    receiver: OtlpReceiver, changes: dict[str, object]
) -> None:
    spool, used = MemorySpool(), list[Sequence[str]]()
    one, two = by("one", receiver, "GRPC"), by("two", receiver, "HTTPProtobuf")
    for exporter in (one, two):
        spool.save_export_position(exporter.name, 0)
    async with running(spool, used) as fleet:
        fleet.use([one, two])
        spool.add(change_spans(10))
        await until(lambda: [s.sent for s in fleet.states().values()] == [10, 10])
        fleet.use([replace(one, **changes), two])  # type: ignore[arg-type]
        await until(lambda: sent(fleet, one) == 0)
        spool.add(change_spans(10, first=10))
        await until(lambda: sent(fleet, one) == 10)
        await until(lambda: fleet.states()[two.name].sent == 20)
    new = "new" if "headers" in changes else "one"
    assert arrived(receiver, new)[-10:] == [span.span_id for span in change_spans(10, first=10)]
    assert len(receiver.recording.spans) == 40, "nothing was sent twice"


async def test_an_exporter_that_cannot_work_stands_beside_those_that_do(receiver: OtlpReceiver) -> None:
    spool, used = MemorySpool(), list[Sequence[str]]()
    good = by("good", receiver, "GRPC")
    bad = replace(by("bad", receiver, "GRPC"), insecure=False, client_certificate=b"no", client_key=b"no")
    spool.save_export_position(good.name, 0)
    async with running(spool, used) as fleet:
        fleet.use([bad, good])
        spool.add(change_spans(3))
        await until(lambda: sent(fleet, good) == 3)
        state = fleet.states()[bad.name]
        assert (state.ready, state.reason) == (False, "Rejected")
        assert "client certificate" in state.message
        fleet.use([good])
        await until(lambda: bad.name not in fleet.states())


async def test_what_the_cap_dropped_is_a_metric(receiver: OtlpReceiver) -> None:
    spool, used = MemorySpool(), list[Sequence[str]]()
    capped = replace(by("one", receiver, "GRPC"), sampling=Sampling(spans_per_second=20))
    spool.save_export_position(capped.name, 0)
    registry = CollectorRegistry()
    async with running(spool, used) as fleet:
        registry.register(ExportCollector(fleet.states))
        fleet.use([capped])
        await until(lambda: capped.name in fleet.states() and fleet.states()[capped.name].ready)
        spool.add(change_spans(500))
        await until(lambda: fleet.states()[capped.name].position == spool.newest())
        state = fleet.states()[capped.name]
        assert state.dropped >= 300
        assert state.dropped + state.sent == 500
        sample = registry.get_sample_value("kubeweft_export_dropped_spans_total", {"exporter": capped.name})
        assert sample == state.dropped
