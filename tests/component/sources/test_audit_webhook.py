"""The audit webhook over real connections: what it lets in, what it answers, and that nothing keeps good batches out."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from prometheus_client import REGISTRY

from audit_events import audit_event, audit_parser, event_list, event_written, kubernetes_event
from audited_cluster import AuditedByTest
from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Request
from kubeweft.model.plan import Plan
from kubeweft.model.references import ResourceType
from kubeweft.sources.audit.admission import MEBIBYTE, Limits
from kubeweft.sources.audit.credentials import BearerToken
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.audit.senders import Senders
from kubeweft.sources.audit.webhook import AuditWebhook

GOOD = event_list(audit_event())
TOKEN = {"Authorization": "Bearer s3cret"}
Observed = Sequence[Request | EventSeen]


@dataclass
class Store:
    """Where the webhook delivers to."""

    batches: list[list[Request | EventSeen]] = field(default_factory=list)
    refuse: NotNow | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def deliver(self, observations: Observed) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.refuse is not None:
            raise self.refuse
        self.batches.append(list(observations))

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))


@dataclass
class Running:
    """A webhook that listens, a client for it, and what came of it."""

    webhook: AuditWebhook
    store: Store
    parsers: list[AuditParser]
    kinds: Kinds
    client: aiohttp.ClientSession
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.webhook.port}/audit"

    async def post(self, body: Any, **options: Any) -> tuple[int, dict[str, Any], Any]:
        """Status, JSON body and headers of the answer."""
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self.client.post(self.url, data=data, **options) as answer:
            return answer.status, await answer.json(), answer.headers

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.webhook.port)
        self.writers.append(writer)
        return reader, writer

    async def stop(self) -> None:
        self.store.gate.set()
        for writer in self.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await self.client.close()
        await self.webhook.close()


Run = Callable[..., Awaitable[Running]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Starts webhooks, and stops them after the test."""
    started: list[Running] = []

    async def start(*, token: BearerToken | None = None, limits: Limits | None = None) -> Running:
        store, kinds = Store(), Kinds()
        parsers = [audit_parser(kinds=kinds)]
        audited = AuditedByTest(lambda: parsers[-1], store.deliver)
        webhook = AuditWebhook(
            senders=Senders("local", token=token), audited=lambda _: audited, limits=limits
        )
        await webhook.start("127.0.0.1", 0)
        client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        started.append(Running(webhook, store, parsers, kinds, client))
        return started[-1]

    yield start
    for running in started:
        await running.stop()


@pytest.fixture
def token(tmp_path: Path) -> BearerToken:
    file = tmp_path / "token"
    file.write_text("s3cret")
    return BearerToken(file)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something nobody announces."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_batch_is_answered_after_it_was_delivered(run: Run) -> None:
    running = await run()
    running.store.gate.clear()
    body = event_list(audit_event(), audit_event(verb="get"), event_written())
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(running.post(body))
        await until(lambda: running.store.waiting == 1)
        assert not answer.done()
        running.store.gate.set()
    status, told, _ = answer.result()
    assert status == 200
    assert told == {"accepted": 2, "ignored": 0, "omitted": 1, "unresolved": 0, "bad": 0}
    assert running.store.count == 2


async def test_everything_in_a_batch_is_counted(run: Run) -> None:
    running = await run()
    widget = kubernetes_event(involvedObject={"kind": "Widget", "name": "w", "apiVersion": "example.com/v1"})
    body = event_list(audit_event(), audit_event(stage="RequestReceived"), b"{}", event_written(widget))
    _, told, _ = await running.post(body)
    assert told == {"accepted": 1, "ignored": 1, "omitted": 0, "unresolved": 1, "bad": 1}


async def test_a_batch_that_gives_nothing_is_answered_without_the_store(run: Run) -> None:
    running = await run()
    running.store.refuse = NotNow("full", delay=1)
    status, _, _ = await running.post(event_list(audit_event(verb="get")))
    assert status == 200


async def test_a_full_store_is_429_with_the_time_to_come_back(run: Run) -> None:
    running = await run()
    running.store.refuse = NotNow("the store is full", delay=4.2)
    status, told, headers = await running.post(GOOD)
    assert (status, told, headers["Retry-After"]) == (429, {"error": "the store is full"}, "5")
    running.store.refuse = None
    status, _, _ = await running.post(GOOD)
    assert (status, running.store.count) == (200, 1)


async def test_a_store_that_hangs_is_429_in_time(run: Run) -> None:
    running = await run(limits=Limits(answer_seconds=0.2))
    running.store.gate.clear()
    status, _, headers = await running.post(GOOD)
    assert (status, headers["Retry-After"]) == (429, "5")


async def test_a_long_batch_is_delivered_in_slices(run: Run) -> None:
    running = await run()
    events = [audit_event(auditID=str(number)) for number in range(1000)]
    _, told, _ = await running.post(event_list(*events))
    assert told["accepted"] == 1000
    assert [len(batch) for batch in running.store.batches] == [400, 400, 200]
    found = [seen.audit_id for batch in running.store.batches for seen in batch if isinstance(seen, Request)]
    assert found == [str(number) for number in range(1000)]


async def test_events_that_waited_for_their_kind_are_delivered_with_a_later_batch(run: Run) -> None:
    running = await run()
    widget = kubernetes_event(involvedObject={"kind": "Widget", "name": "w", "apiVersion": "example.com/v1"})
    await running.post(event_list(event_written(widget)))
    running.kinds.learn(ResourceType("example.com", "v1", "widgets", "Widget", True))
    running.store.refuse = NotNow("full", delay=1)
    status, _, _ = await running.post(GOOD)
    assert status == 429
    running.store.refuse = None
    await running.post(GOOD)
    await running.post(GOOD)
    resources = [[seen.key.resource for seen in batch] for batch in running.store.batches]
    assert resources == [["widgets"], ["deployments"], ["deployments"]]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}])
async def test_without_the_token_nobody_is_let_in(
    run: Run, token: BearerToken, header: dict[str, str]
) -> None:
    running = await run(token=token)
    before = REGISTRY.get_sample_value("kubeweft_audit_bytes_total")
    status, told, _ = await running.post(GOOD, headers=header)
    assert (status, told) == (401, {"error": "a valid bearer token or client certificate is needed"})
    assert REGISTRY.get_sample_value("kubeweft_audit_bytes_total") == before
    assert running.store.batches == []
    status, _, _ = await running.post(GOOD, headers=TOKEN)
    assert status == 200


async def test_an_unknown_sender_is_refused_before_it_has_sent_its_body(run: Run, token: BearerToken) -> None:
    running = await run(token=token)
    reader, writer = await running.connect()
    writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Authorization: Bearer s3cret\r\nContent-Length: 2\r\n", b"HTTP/1.1 100 Continue"),
        (b"Authorization: Bearer s3cret\r\nContent-Length: 99000000\r\n", b"HTTP/1.1 413"),
        (b"Content-Length: 2\r\n", b"HTTP/1.1 401"),
    ],
)
async def test_who_asks_before_sending_is_told_before_sending(
    run: Run, token: BearerToken, head: bytes, status: bytes
) -> None:
    running = await run(token=token)
    reader, writer = await running.connect()
    writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + head + b"\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(status)


async def test_the_cluster_is_never_taken_from_the_url(run: Run) -> None:
    running = await run()
    for path in ("/audit/other-cluster", "/audit/", "/"):
        async with running.client.post(running.url.removesuffix("/audit") + path, data=GOOD) as answer:
            assert answer.status == 404
    async with running.client.get(running.url) as answer:
        assert answer.status == 405
    assert running.store.batches == []


async def test_it_tells_that_it_is_alive(run: Run, token: BearerToken) -> None:
    running = await run(token=token)
    async with running.client.get(running.url.replace("/audit", "/healthz")) as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def chunked(total: int) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for _ in range(total // MEBIBYTE):
        yield b"[" * MEBIBYTE


HOSTILE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "nothing": (b"", {}, 400),
    "no JSON": (b"hello", {}, 400),
    "cut off": (GOOD[:-20], {}, 400),
    "another kind": (b'{"kind":"PodList","apiVersion":"v1","items":[]}', {}, 400),
    "a million brackets": (b"[" * 1_000_000, {}, 400),
    "a million brackets inside": (GOOD.replace(b'"spec":{', b'"spec":' + b"[" * 1_000_000), {}, 400),
    "a million events": (event_list(*[b"{}"] * 1_000_000), {}, 400),
    "random bytes": (bytes(range(256)) * 1000, {}, 400),
    "too large": (b" " * (65 * MEBIBYTE), {}, 413),
    "gzip": (gzip.compress(GOOD), {"Content-Encoding": "gzip"}, 415),
    "a gzip bomb": (gzip.compress(b"\0" * 50_000_000), {"Content-Encoding": "gzip"}, 415),
    "deflate of nothing": (b"", {"Content-Encoding": "deflate"}, 415),
    "gzip that does not say so": (gzip.compress(GOOD), {}, 400),
}


@pytest.mark.parametrize(("body", "headers", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_bodies_are_answered_clearly_while_good_ones_pass(
    run: Run, body: bytes, headers: dict[str, str], expected: int
) -> None:
    running = await run()
    hostile, good = await asyncio.gather(running.post(body, headers=headers), running.post(GOOD))
    assert hostile[0] == expected
    assert len(hostile[1]["error"]) > 10
    assert good[0] == 200
    assert (await running.post(GOOD))[0] == 200
    assert running.store.count == 2


async def test_a_nasty_patch_does_not_keep_the_rest_of_its_batch_out(run: Run) -> None:
    running = await run()
    nasty = orjson.dumps(audit_event(requestObject="HERE")).replace(b'"HERE"', b'{"a":"\\ud800"}')
    status, told, _ = await running.post(event_list(audit_event(), nasty, audit_event()))
    assert (status, told["accepted"], told["bad"]) == (200, 3, 0)


async def test_a_body_without_a_length_is_cut_off_at_the_limit(run: Run) -> None:
    running = await run(limits=Limits(body_bytes=8 * MEBIBYTE))
    status, told, _ = await running.post(chunked(20 * MEBIBYTE))
    assert status == 413
    assert "8388608" in told["error"]
    assert (await running.post(GOOD))[0] == 200


async def test_what_does_not_fit_into_memory_has_to_come_back(run: Run) -> None:
    running = await run(limits=Limits(bytes_in_flight=len(GOOD)))
    running.store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(running.post(GOOD))
        await until(lambda: running.store.waiting == 1)
        status, _, headers = await running.post(GOOD)
        running.store.gate.set()
    assert (status, headers["Retry-After"]) == (429, "1")
    assert first.result()[0] == 200
    assert (await running.post(GOOD))[0] == 200
    assert REGISTRY.get_sample_value("kubeweft_audit_bytes_in_flight") == 0


async def test_a_slow_sender_is_given_up(run: Run) -> None:
    running = await run(limits=Limits(read_seconds=0.2))
    reader, writer = await running.connect()
    writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 408")
    assert (await running.post(GOOD))[0] == 200


async def test_two_hundred_slow_senders_do_not_keep_good_ones_out(run: Run) -> None:
    running = await run(limits=Limits(bodies_in_flight=300))
    head = b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"
    slow = [await running.connect() for _ in range(200)]
    for _, writer in slow:
        writer.write(head)
    assert (await asyncio.wait_for(running.post(GOOD), 5))[0] == 200


async def test_a_sender_that_goes_away_leaves_nothing_behind(run: Run) -> None:
    running = await run()
    _, writer = await running.connect()
    writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{")
    await until(lambda: REGISTRY.get_sample_value("kubeweft_audit_bytes_in_flight") == 5000)
    writer.close()
    await until(lambda: REGISTRY.get_sample_value("kubeweft_audit_bytes_in_flight") == 0)


async def test_chunks_that_are_no_http_are_answered(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    running = await run()
    reader, writer = await running.connect()
    writer.write(b"POST /audit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await writer.drain()
    writer.write(b"zzz\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    assert "zzz" not in caplog.text
    assert (await running.post(GOOD))[0] == 200


async def test_an_address_in_use_is_a_clear_error(run: Run) -> None:
    running = await run()
    audited = AuditedByTest(audit_parser, running.store.deliver)
    other = AuditWebhook(senders=Senders("local"), audited=lambda _: audited)
    with pytest.raises(UserError, match="--audit-listen"):
        await other.start("127.0.0.1", running.webhook.port)
    await other.close()


async def test_a_batch_on_its_way_is_answered_before_closing(run: Run) -> None:
    running = await run()
    running.store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(running.post(GOOD))
        await until(lambda: running.store.waiting == 1)
        closing = tasks.create_task(running.webhook.close())
        await asyncio.sleep(0)
        assert not closing.done()
        running.store.gate.set()
    assert answer.result()[0] == 200


async def test_a_new_plan_takes_effect_with_the_next_batch(run: Run) -> None:
    running = await run()
    await running.post(GOOD)
    running.parsers.append(audit_parser(plan=Plan(scopes=())))
    _, told, _ = await running.post(GOOD)
    assert (told["accepted"], told["omitted"]) == (0, 1)
