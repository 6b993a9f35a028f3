"""The whole way out, from a spool to a real receiver that fails as receivers do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from kubeweft.export.backoff import Backoff
from kubeweft.export.exporter import Limits, SpoolExporter
from kubeweft.export.sdk import SdkCarrier
from kubeweft.export.standing import ExporterState
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter, Scope
from kubeweft.model.selectors import ResourcePattern
from kubeweft.model.spans import Span
from kubeweft.otlp.encoding import encode_span
from memory_spool import MemorySpool
from otlp_receiver import OtlpReceiver
from otlp_script import BROKEN, FINE, INVALID, TOO_LARGE, UNAVAILABLE, UNKNOWN_CALLER, Rule, exhausted
from otlp_spans import DEPLOYMENT, change_span, change_spans, object_span, pod


@pytest.fixture(params=["GRPC", "HTTPProtobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def spool() -> MemorySpool:
    return MemorySpool(step=3)


@pytest.fixture
def target(receiver: OtlpReceiver, protocol: str) -> Exporter:
    return Exporter("otlp", receiver.endpoint(protocol), protocol=protocol, timeout=5.0)


@contextlib.asynccontextmanager
async def started(exporter: SpoolExporter) -> AsyncIterator[SpoolExporter]:
    """Let it run; at the end it is cancelled, and has to stop within two seconds."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(exporter.run())
        yield exporter
        task.cancel()
        await asyncio.wait([task], timeout=2)
        assert task.done()


def running(
    spool: MemorySpool, target: Exporter, **options: Any
) -> contextlib.AbstractAsyncContextManager[SpoolExporter]:
    """An exporter with short waits that runs."""
    backoff = Backoff(first=0.02, most=0.1)
    waits: dict[str, Any] = {"newest": spool.newest, "backoff": backoff}
    return started(SpoolExporter(spool, target, wait_beyond=spool.wait_beyond, **waits, **options))


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait for what no request tells of, such as a state."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def until_drained(spool: MemorySpool, exporter: SpoolExporter) -> None:
    await until(lambda: exporter.state.position == spool.newest() and exporter.state.behind == 0)


def ids(spans: list[Span]) -> list[bytes]:
    return [span.span_id for span in spans]


def assert_one_form_each(receiver: OtlpReceiver, spans: list[Span]) -> None:
    """However often a span was sent, it was the bytes that our encoding gives now."""
    forms = receiver.recording.forms()
    for span in spans:
        ((_, raw),) = forms[span.span_id]
        assert raw == encode_span(span).span


async def test_spans_arrive_in_order_in_batches(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    spans = change_spans(1300)
    spool.add(spans)
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
        assert [len(request.spans) for request in receiver.recording.requests] == [512, 512, 276]
        later = change_spans(3, first=1300)
        spool.add(later)
        await receiver.recording.until(lambda: len(receiver.recording.spans) == 1303)
        await until_drained(spool, exporter)
    assert [span.span_id for span in receiver.recording.spans] == ids(spans + later)
    assert_one_form_each(receiver, spans + later)
    state = exporter.state
    assert (state.ready, state.reason, state.sent) == (True, "Exporting", 1303)
    assert (state.rejected, state.retries) == (0, 0)
    assert spool.saved["otlp"] == [0, 512 * 3, 1024 * 3, 1300 * 3, 1303 * 3]


async def test_a_request_holds_about_a_mebibyte_at_most(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    spans = [object_span(pod(number), body=b"x" * 60_000) for number in range(40)]
    spool.add(spans)
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
    assert [len(request.spans) for request in receiver.recording.requests] == [17, 17, 6]
    assert all(len(request.payload) <= 1024 * 1024 for request in receiver.recording.requests)
    assert receiver.recording.span_ids == ids(spans)


async def test_a_span_over_the_limit_goes_alone(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    spans = [change_span(1), object_span(body=b"x" * 5000), change_span(2), change_span(3)]
    spool.add(spans)
    async with running(spool, target, limits=Limits(bytes=2000)) as exporter:
        await until_drained(spool, exporter)
    assert [len(request.spans) for request in receiver.recording.requests] == [1, 1, 2]


async def test_scopes_select_and_the_position_passes_the_rest(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    pods = ResourcePattern(groups=frozenset({""}), resources=frozenset({"pods"}))
    one = Scope("a", resources=(pods,), namespaces=frozenset({"a"}))
    two = Scope("b", excluded=(pods,), excluded_namespaces=frozenset({"x"}))
    wanted = [change_span(1, key=pod(1, namespace="a")), change_span(3, key=DEPLOYMENT)]
    others = [
        change_span(2, key=pod(2, namespace="b")),
        change_span(4, key=DEPLOYMENT._replace(namespace="x")),
    ]
    spool.add([wanted[0], others[0], wanted[1], others[1]])
    async with running(spool, replace(target, scopes=(one, two))) as exporter:
        await until_drained(spool, exporter)
    assert [span.span_id for span in receiver.recording.spans] == ids(wanted)
    assert spool.saved["otlp"][-1] == spool.newest()
    assert exporter.state.sent == 2


async def test_a_receiver_that_is_down_for_a_while_loses_nothing(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    """Down before the first span, again in the middle, each time back on the same port."""
    states: list[ExporterState] = []
    spans = change_spans(2000)
    await receiver.stop()
    spool.add(spans[:600])
    async with running(spool, target, on_change=states.append) as exporter:
        await until(lambda: exporter.state.retries >= 3)
        assert (exporter.state.ready, exporter.state.reason) == (False, "Unreachable")
        assert exporter.state.behind == 1800  # positions, three for each span
        await receiver.start()
        await until_drained(spool, exporter)
        assert exporter.state.ready
        receiver.rules = [Rule(FINE, times=1), Rule(replace(UNAVAILABLE, delay=0.05))]
        spool.add(spans[600:1800])
        await receiver.recording.until(lambda: len(receiver.recording.spans) > 600)
        await until(lambda: exporter.state.reason == "Unreachable" or exporter.state.reason == "Backpressure")
        await receiver.stop()
        receiver.rules = []
        spool.add(spans[1800:])
        before = exporter.state.retries
        await until(lambda: exporter.state.retries >= before + 3)
        await receiver.start()
        await until_drained(spool, exporter)
    assert receiver.recording.span_ids == ids(spans)
    assert_one_form_each(receiver, spans)
    assert exporter.state.sent == 2000
    assert {state.ready for state in states} == {True, False}


async def test_an_exporter_that_is_killed_at_any_time_sends_all_and_repeats_with_the_same_bytes(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    """Each life ends right when a request is in flight; the next one starts from what was saved."""
    spans = change_spans(900)
    spool.add(spans)
    receiver.rules = [Rule(replace(FINE, delay=0.02))]
    for life in range(1, 6):
        async with running(spool, target, limits=Limits(spans=100)):
            wanted = 2 * life
            await receiver.recording.until(lambda: len(receiver.recording.requests) >= wanted)  # noqa: B023  # awaited here
    async with running(spool, target, limits=Limits(spans=100)) as exporter:
        await until_drained(spool, exporter)
    assert receiver.recording.span_ids == ids(spans)
    assert_one_form_each(receiver, spans)
    saved = spool.saved["otlp"]
    assert saved == sorted(saved)


async def test_an_unknown_exporter_starts_now_and_remembers_where(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    """A crash before its first acceptance must not move the start."""
    spool.add(change_spans(10))
    spool.save_export_position("another", 0)
    await receiver.stop()
    async with running(spool, target) as exporter:
        await until(lambda: exporter.state.position == 30)
    spool.add(change_spans(5, first=10))
    await receiver.start()
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
    assert receiver.recording.span_ids == ids(change_spans(5, first=10))


async def test_a_poisoned_span_is_dropped_alone(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    spans = change_spans(1024)
    bad = {spans[17].span_id, spans[700].span_id, spans[701].span_id}
    receiver.rules = [Rule(INVALID, span_ids=bad)]
    spool.add(spans)
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
    assert receiver.recording.span_ids == [span.span_id for span in spans if span.span_id not in bad]
    assert (exporter.state.sent, exporter.state.rejected) == (1021, 3)
    assert "a span is bad" in exporter.state.message
    assert exporter.state.ready
    assert_one_form_each(receiver, spans)


async def test_a_span_that_breaks_the_receiver_is_dropped_alone(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    spans = change_spans(64)
    bad = {spans[5].span_id}
    receiver.rules = [Rule(BROKEN, span_ids=bad)]
    spool.add(spans)
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
    assert set(receiver.recording.span_ids) == set(ids(spans)) - bad
    assert exporter.state.rejected == 1


async def test_a_receiver_with_a_low_limit_gets_smaller_requests(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(TOO_LARGE, above=200)]
    spans = change_spans(512)
    spool.add(spans)
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
    assert [len(r.spans) for r in receiver.recording.requests if r.accepted] == [128] * 4
    assert receiver.recording.span_ids == ids(spans)
    assert exporter.state.rejected == 0


async def test_what_the_receiver_asks_for_is_waited(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(exhausted(1.0), times=1)]
    spool.add(change_spans(3))
    states: list[ExporterState] = []
    async with running(spool, target, on_change=states.append) as exporter:
        await until_drained(spool, exporter)
    first, second = receiver.recording.requests
    assert 1.0 <= second.at - first.at < 2.0
    assert first.payload == second.payload
    assert "Backpressure" in [state.reason for state in states]
    assert all(state.ready for state in states if state.reason != "Pending" and state.sent)


async def test_partial_success_is_counted_and_nothing_is_sent_again(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(replace(FINE, rejected=5, message="span too old"))]
    spool.add(change_spans(100))
    async with running(spool, target) as exporter:
        await until_drained(spool, exporter)
    assert len(receiver.recording.requests) == 1
    assert (exporter.state.sent, exporter.state.rejected) == (95, 5)
    assert exporter.state.message == "refused so far: 5, the last because: span too old"


async def test_missing_credentials_are_shown_and_lose_nothing(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(UNKNOWN_CALLER, times=4)]
    spool.add(change_spans(10))
    states: list[ExporterState] = []
    async with running(spool, target, on_change=states.append) as exporter:
        await until_drained(spool, exporter)
    failed = [state for state in states if state.reason == "AuthenticationFailed"]
    assert len(failed) == 4
    assert not failed[-1].ready
    assert "who are you" in failed[-1].message
    assert receiver.recording.span_ids == ids(change_spans(10))


async def test_a_slow_receiver_holds_one_request_at_a_time(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(replace(FINE, delay=0.3))]
    spool.add(change_spans(30))
    async with running(spool, target, limits=Limits(spans=10)) as exporter:
        await until_drained(spool, exporter)
    times = [request.at for request in receiver.recording.requests]
    assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(times))
    assert receiver.recording.span_ids == ids(change_spans(30))


async def test_a_receiver_that_never_answers_is_unreachable(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(replace(FINE, delay=60.0))]
    spool.add(change_spans(1))
    async with running(spool, replace(target, timeout=0.2)) as exporter:
        await until(lambda: exporter.state.retries >= 2)
        assert (exporter.state.ready, exporter.state.reason) == (False, "Unreachable")
        assert exporter.state.position == 0


async def test_two_exporters_do_not_disturb_each_other(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    spool.save_export_position("dead", 0)
    spool.save_export_position("otlp", 0)
    spans = change_spans(600)
    spool.add(spans)
    dead = Exporter("dead", "127.0.0.1:1", timeout=1.0)
    async with running(spool, dead) as stuck, running(spool, target) as exporter:
        await until_drained(spool, exporter)
        await until(lambda: stuck.state.retries >= 2)
        assert stuck.state.position == 0
    assert receiver.recording.span_ids == ids(spans)


async def test_a_run_that_ended_may_be_started_again(
    spool: MemorySpool, target: Exporter, receiver: OtlpReceiver
) -> None:
    """As the supervisor does after a failure of ours, here of the disk."""

    class FailingOnce(MemorySpool):
        failures = 1

        def spans_after(self, position: int, *, limit: int) -> list[tuple[int, Span]]:
            if self.failures:
                self.failures -= 1
                raise OSError("disk I/O error")
            return super().spans_after(position, limit=limit)

    failing = FailingOnce()
    failing.add(change_spans(5))
    exporter = SpoolExporter(failing, target, wait_beyond=failing.wait_beyond)
    with pytest.raises(OSError, match="disk I/O error"):
        await exporter.run()
    async with started(exporter):
        await until(lambda: exporter.state.sent == 5)
    assert receiver.recording.span_ids == ids(change_spans(5))


def test_an_exporter_that_cannot_work_is_refused_when_made(spool: MemorySpool) -> None:
    with pytest.raises(UserError, match="port is missing"):
        SpoolExporter(spool, Exporter("e", "nowhere"), wait_beyond=spool.wait_beyond)


async def test_an_exporter_of_the_sdk_delivers_what_ours_delivers(
    spool: MemorySpool, receiver: OtlpReceiver
) -> None:
    """The same spans, once over our own way and once over opentelemetry-exporter-otlp: field by field the same."""
    spans = [object_span(body=b'{"kind":"Deployment"}'), *change_spans(50)]
    spool.add(spans)
    spool.save_export_position("ours", 0)
    spool.save_export_position("sdk", 0)
    async with running(spool, Exporter("ours", receiver.endpoint("GRPC"))) as exporter:
        await until_drained(spool, exporter)
    ours, receiver.recording.requests[:] = receiver.recording.spans, []

    def open_sdk() -> SdkCarrier:
        return SdkCarrier(OTLPSpanExporter(endpoint=f"http://{receiver.endpoint('GRPC')}", insecure=True))

    async with running(spool, Exporter("sdk", ""), open_carrier=open_sdk) as exporter:
        await until_drained(spool, exporter)
    theirs = receiver.recording.spans
    assert len(theirs) == len(ours) == 51
    for one, other in zip(ours, theirs, strict=True):
        for field in (
            "trace_id",
            "span_id",
            "parent_span_id",
            "name",
            "kind",
            "start_time_unix_nano",
            "end_time_unix_nano",
        ):
            assert getattr(one.message, field) == getattr(other.message, field)
        assert list(one.attributes.items()) == list(other.attributes.items())
        assert list(one.resource.items()) == list(other.resource.items())
        assert [link.span_id for link in one.message.links] == [link.span_id for link in other.message.links]


async def test_an_exporter_of_the_sdk_whose_receiver_is_down_loses_nothing(
    spool: MemorySpool, receiver: OtlpReceiver
) -> None:
    spans = change_spans(20)
    spool.add(spans)
    await receiver.stop()

    def open_sdk() -> SdkCarrier:
        return SdkCarrier(
            OTLPSpanExporter(endpoint=f"http://{receiver.endpoint('GRPC')}", insecure=True, timeout=0.2)
        )

    async with running(spool, Exporter("sdk", ""), open_carrier=open_sdk) as exporter:
        await until(lambda: exporter.state.retries >= 2)
        assert (exporter.state.ready, exporter.state.reason) == (False, "Rejected")
        await receiver.start()
        await until_drained(spool, exporter)
    assert set(receiver.recording.span_ids) == set(ids(spans))
    assert exporter.state.rejected == 0
