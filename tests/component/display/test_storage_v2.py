"""Jaeger's storage API over a real gRPC connection: what it asks, and what a client has to get."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import aiohttp
import grpc
import pytest
from grpc import aio

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace, TraceQuestion
from kubeweft.display.serving.answers import StoryAnswers
from kubeweft.display.serving.http.application import build_application
from kubeweft.display.serving.http.server import QueryServer
from kubeweft.display.serving.stopping import StoppableReader
from kubeweft.display.serving.storage_v2.server import storage_server
from kubeweft.display.serving.storage_v2.service import AnswersFor, StorageAnswers
from kubeweft.display.serving.working import WorkLimits, Workshop
from kubeweft.display.views.loading import builtin_views
from kubeweft.model.errors import KubeweftError, UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.spans import Span
from kubeweft.otlp import jaeger_storage as api
from kubeweft.runtime.stopping import check_stop
from memory_reader import MemoryReader
from span_builders import at
from story_answers import DEPLOYMENT, answers_of, story

Json = dict[str, Any]


class Client:
    """The methods of the protocol, called as Jaeger calls them."""

    def __init__(self, port: int) -> None:
        self._channel = aio.insecure_channel(f"127.0.0.1:{port}")

    async def close(self) -> None:
        await self._channel.close()

    async def ask(self, method: api.Method, message: Any = None, **options: Any) -> Any:
        call = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return await call(message or method.request(), timeout=20, **options)

    def stream(self, method: api.Method, message: Any, **options: Any) -> Any:
        call = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return call(message, timeout=20, **options)

    async def all(self, method: api.Method, message: Any) -> list[Any]:
        return [answer async for answer in self.stream(method, message)]


@asynccontextmanager
async def serving(answers: StoryAnswers, *, answer: float = 10) -> AsyncIterator[Client]:
    """A server that gives everybody these answers, and a client."""

    async def for_everybody(_: str | None) -> StorageAnswers:
        return answers

    async with serving_for(for_everybody, answer=answer) as client:
        yield client


@asynccontextmanager
async def serving_for(answers_for: AnswersFor, **limits: Any) -> AsyncIterator[Client]:
    with closing(Workshop(WorkLimits(**limits))) as workshop:
        async with storage_server(answers_for, "127.0.0.1:0", workshop) as port:
            client = Client(port)
            try:
                yield client
            finally:
                await client.close()


def search(**fields: Any) -> Any:
    tags = fields.pop("tags", {})
    return api.FindTracesRequest(query=api.write_query(api.TraceQuery(attributes=tags, **fields)))


def spans_in(messages: Iterable[Any]) -> list[tuple[str, Any]]:
    return [
        (resource.resource.attributes[0].value.string_value, span)
        for message in messages
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


async def test_services_are_views_and_operations_clusters() -> None:
    async with serving(answers_of(story())) as client:
        assert {"tree", "tree object", "stored"} <= set((await client.ask(api.GET_SERVICES)).services)
        asked = api.GetOperationsRequest(service="tree")
        operations = (await client.ask(api.GET_OPERATIONS, asked)).operations
        assert [one.name for one in operations] == ["demo"]
        unknown = api.GetOperationsRequest(service="nothing")
        assert not (await client.ask(api.GET_OPERATIONS, unknown)).operations


async def test_a_search_as_jaeger_sends_it() -> None:
    """Times that are not given come as the first second of year 1, values of tags as text."""
    asked = search(service="tree", operation="demo", tags={"resource": "deployments"}, depth=20)
    asked.query.start_time_min.seconds = asked.query.start_time_max.seconds = -62_135_596_800
    tag = asked.query.attributes.add(key="http.response.status_code")
    tag.value.string_value = "409"
    async with serving(answers_of(story())) as client:
        spans = spans_in(await client.all(api.FIND_TRACES, asked))
    services = [service for service, _ in spans]
    assert {"Deployment", "ReplicaSet", "Pod", "request", "change", "event"} <= set(services)
    root = next(span for service, span in spans if service == "Deployment")
    assert (root.parent_span_id, len({span.trace_id for _, span in spans})) == (b"", 1)
    ids = {span.span_id for _, span in spans}
    assert len(ids) == len(spans)
    assert all(span.parent_span_id in ids for _, span in spans if span is not root)
    assert all(span.end_time_unix_nano > span.start_time_unix_nano > 0 for _, span in spans)
    (refused,) = [span for _, span in spans if span.status.code == 2]
    assert refused.status.message
    tags = {pair.key: pair.value for pair in refused.attributes}
    assert tags["http.response.status_code"].int_value == 409
    assert tags["kubeweft.object.name"].string_value == "demo"


async def test_a_trace_is_opened_by_its_id_alone() -> None:
    answers = answers_of(story())
    (found,) = list(answers.find(TraceQuestion(tags={"kind": "deploy"})))
    wanted = [found.trace_id, bytes(16), b"short", found.trace_id]
    asked = api.GetTracesRequest(query=[api.write_trace_params(one) for one in wanted])
    async with serving(answers) as client:
        messages = await client.all(api.GET_TRACES, asked)
    spans = spans_in(messages)
    assert {span.span_id for _, span in spans} == {span.span_id for span in found.spans}
    assert len({span.span_id for _, span in spans}) == len(spans)  # asked for twice, told once


async def test_nothing_found_is_an_empty_stream() -> None:
    async with serving(answers_of(story())) as client:
        assert await client.all(api.FIND_TRACES, search(service="tree", tags={"name": "nobody"})) == []
        unknown = api.GetTracesRequest(query=[api.write_trace_params(b"\x01" * 16)])
        assert await client.all(api.GET_TRACES, unknown) == []
        assert not (await client.ask(api.FIND_TRACE_IDS, search(tags={"name": "nobody"}))).trace_ids


async def test_a_wrong_question_is_answered_by_a_trace_that_says_so() -> None:
    async with serving(answers_of(story())) as client:
        asked = search(service="no such view", since=at("10:00:00"), until=at("11:00:00"))
        ((_, span),) = spans_in(await client.all(api.FIND_TRACES, asked))
        assert "there is no service 'no such view'" in span.name
        assert at("10:00:00") <= span.start_time_unix_nano <= at("11:00:00")
        opened = api.GetTracesRequest(query=[api.write_trace_params(span.trace_id)])
        ((_, again),) = spans_in(await client.all(api.GET_TRACES, opened))
        assert "search again" in again.name
        (summaries,) = await client.all(api.FIND_TRACE_SUMMARIES, asked)
        assert summaries.summaries[0].trace_id == span.trace_id


async def test_summaries_and_ids_tell_the_same_as_the_traces() -> None:
    answers = answers_of(story())
    async with serving(answers) as client:
        (message,) = await client.all(api.FIND_TRACE_SUMMARIES, search(service="tree"))
        ids = (await client.ask(api.FIND_TRACE_IDS, search(service="tree"))).trace_ids
        traces = {
            summary.trace_id: spans_in(
                await client.all(
                    api.GET_TRACES,
                    api.GetTracesRequest(query=[api.write_trace_params(summary.trace_id)]),
                )
            )
            for summary in message.summaries
        }
    assert [one.trace_id for one in ids] == [one.trace_id for one in message.summaries]
    assert len(traces) == 4
    for summary in message.summaries:
        spans = traces[summary.trace_id]
        assert summary.span_count == len(spans)
        assert summary.error_span_count == sum(span.status.code == 2 for _, span in spans)
        assert {one.name: one.span_count for one in summary.services} == {
            name: sum(service == name for service, _ in spans) for name in {service for service, _ in spans}
        }
        assert summary.root_service_name == next(s for s, span in spans if not span.parent_span_id)
        assert summary.min_start_time_unix_nano == min(span.start_time_unix_nano for _, span in spans)


async def test_dependencies_are_links_between_types() -> None:
    async with serving(answers_of(story())) as client:
        found = (await client.ask(api.GET_DEPENDENCIES)).dependencies
    assert {(one.parent, one.child): one.call_count for one in found} == {
        ("Deployment", "ReplicaSet"): 1,
        ("ReplicaSet", "Pod"): 1,
        ("Node", "Pod"): 1,
    }


async def test_capabilities_promise_what_is_kept() -> None:
    async with serving(answers_of(story())) as client:
        search_for = (await client.ask(api.GET_CAPABILITIES)).search
        assert search_for.without_service_name
        assert not search_for.paginated
        assert spans_in(await client.all(api.FIND_TRACES, search(tags={"name": "demo"})))


class Slow(StoryAnswers):
    """Answers that take for ever, one span after the other, as long as anybody waits."""

    def __init__(self, *, each: int = 100) -> None:
        super().__init__(MemoryReader(story()), views=builtin_views(), kinds=Kinds())
        self.ended = threading.Event()
        self._each = each

    def services(self) -> list[str]:
        try:
            while True:
                check_stop()
                self.ended.wait(0.01)
        finally:
            self.ended.set()

    def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        (found, *_) = super().find(question)
        yield DisplayedTrace(b"\x4b" * 16, found.tree, self.endless())

    def endless(self) -> Iterator[DisplayedSpan]:
        try:
            for number in range(10_000_000):
                check_stop()
                yield DisplayedSpan(number.to_bytes(8), b"", "slow", "x" * self._each, 1, 2, {})
        finally:
            self.ended.set()


class Failing(StoryAnswers):
    """Answers whose store cannot be read."""

    def __init__(self) -> None:
        super().__init__(MemoryReader([]), views=builtin_views(), kinds=Kinds())

    def services(self) -> list[str]:
        raise UserError("the store kubeweft.db is not ours")


async def test_who_goes_away_ends_the_work() -> None:
    slow = Slow()
    async with serving(slow) as client:
        stream = client.stream(api.FIND_TRACES, search(service="tree"))
        first = await stream.read()
        assert 0 < len(spans_in([first])) <= 500
        assert not slow.ended.is_set()
        stream.cancel()
        assert await asyncio.to_thread(slow.ended.wait, 10)


async def test_a_client_that_does_not_read_is_not_read_ahead_for() -> None:
    slow = Slow(each=2000)
    made: list[int] = []
    usual = slow.endless

    def counted() -> Iterator[DisplayedSpan]:
        for span in usual():
            made.append(1)
            yield span

    slow.endless = counted  # type: ignore[method-assign]
    async with serving(slow) as client:
        stream = client.stream(api.FIND_TRACES, search(service="tree"))
        await stream.read()
        await asyncio.sleep(0.3)  # time in which a server without limits would make all of them
        assert len(made) < 20_000
        stream.cancel()


async def test_a_client_that_never_reads_is_given_up() -> None:
    slow = Slow(each=4000)

    async def for_everybody(_: str | None) -> StorageAnswers:
        return slow

    async with serving_for(for_everybody, spans=1, reader=0.3) as client:
        stalled = client.stream(api.FIND_TRACES, search(service="tree"))
        await stalled.read()
        assert await asyncio.to_thread(slow.ended.wait, 10)
        again = client.stream(api.FIND_TRACES, search(service="tree"))  # the one turn is free
        assert spans_in([await again.read()])
        again.cancel()
        stalled.cancel()


async def test_whoever_comes_when_all_turns_are_taken_is_told_to_come_again() -> None:
    slow = Slow()

    async def for_everybody(_: str | None) -> StorageAnswers:
        return slow

    async with serving_for(for_everybody, spans=1, admission=0.2) as client:
        first = client.stream(api.FIND_TRACES, search(service="tree"))
        await first.read()
        with pytest.raises(aio.AioRpcError) as caught:
            await client.all(api.FIND_TRACES, search(service="tree"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        first.cancel()
        assert await asyncio.to_thread(slow.ended.wait, 10)
        slow.ended.clear()
        again = client.stream(api.FIND_TRACES, search(service="tree"))
        assert spans_in([await again.read()])
        again.cancel()


async def test_all_servers_of_a_process_share_its_memory() -> None:
    slow = Slow()

    async def for_everybody(_: str | None) -> StorageAnswers:
        return slow

    limits = WorkLimits(spans=1, admission=0.2)
    with closing(Workshop(limits)) as workshop:
        async with storage_server(for_everybody, "127.0.0.1:0", workshop) as port:
            client = Client(port)
            application = build_application(for_everybody, workshop=workshop)
            server = QueryServer(application, grace=0.1)
            await server.start("127.0.0.1", 0)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
                first = client.stream(api.FIND_TRACES, search(service="tree"))
                await first.read()
                async with session.get("/api/traces") as refused:
                    assert refused.status == 503
                first.cancel()
                assert await asyncio.to_thread(slow.ended.wait, 10)
                async with session.get("/api/traces") as served:
                    assert served.status == 200
            await server.close()
            await client.close()


async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    slow = Slow()
    async with serving(slow, answer=0.3) as client:
        with pytest.raises(aio.AioRpcError) as caught:
            await client.ask(api.GET_SERVICES)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "longer than 0.3 seconds: narrow the search" in str(caught.value.details())
        assert await asyncio.to_thread(slow.ended.wait, 10)


class Endless(StoryAnswers):
    """Finds one trace, and then looks for others for ever."""

    def __init__(self) -> None:
        super().__init__(MemoryReader(story()), views=builtin_views(), kinds=Kinds())

    def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        yield next(super().find(question))
        while True:
            check_stop()
            time.sleep(0.01)


async def test_a_search_that_takes_too_long_gives_what_it_has_found_and_says_so() -> None:
    async def for_everybody(_: str | None) -> StorageAnswers:
        return Endless()

    async with serving_for(for_everybody, search=0.5) as client:
        messages = await client.all(api.FIND_TRACES, search(service="tree", since=at("10:00:00")))
        (summaries,) = await client.all(api.FIND_TRACE_SUMMARIES, search(service="tree"))
    spans = [span for _, span in spans_in(messages)]
    assert len({span.trace_id for span in spans}) == 2
    assert "narrow the search" in spans[-1].name
    assert len(spans) > 5
    assert [len(summaries.summaries), "narrow" in summaries.summaries[1].root_operation_name] == [2, True]


async def test_a_search_whose_time_ends_within_a_trace_gives_the_whole_of_it_and_says_so() -> None:
    class Large(Endless):
        def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
            (found, *_) = StoryAnswers.find(self, question)
            for number in range(10):
                yield DisplayedTrace(bytes((number, *found.trace_id[1:])), found.tree, self.spans())
                check_stop()

        def spans(self) -> Iterator[DisplayedSpan]:
            for number in range(1200):
                if number % 600 == 10:
                    time.sleep(0.3)
                yield DisplayedSpan(number.to_bytes(8), b"", "slow", "x", 1, 2, {})

    async def for_everybody(_: str | None) -> StorageAnswers:
        return Large()

    async with serving_for(for_everybody, search=0.4) as client:
        spans = [span for _, span in spans_in(await client.all(api.FIND_TRACES, search(service="tree")))]
    assert len(spans) == 1200 + 1
    assert "narrow the search" in spans[-1].name


async def test_what_is_wrong_inside_is_told_in_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Failing):
        def services(self) -> list[str]:
            raise RuntimeError("unable to open /var/lib/secret.db")

        def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
            raise RuntimeError("unable to open /var/lib/secret.db")

    async with serving(Broken()) as client:
        with pytest.raises(aio.AioRpcError) as once:
            await client.ask(api.GET_SERVICES)
        with pytest.raises(aio.AioRpcError) as twice:
            await client.all(api.FIND_TRACES, search(service="tree"))
    for caught in (once, twice):
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert caught.value.details() == "the server failed at this question; its log says why"
    assert caplog.text.count("RuntimeError: unable to open") == 2


async def test_more_traces_than_a_call_opens_are_refused() -> None:
    asked = api.GetTracesRequest(query=[api.write_trace_params(number.to_bytes(16)) for number in range(201)])
    async with serving(answers_of(story())) as client:
        with pytest.raises(aio.AioRpcError) as caught:
            await client.all(api.GET_TRACES, asked)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 200" in str(caught.value.details())


async def test_what_a_person_can_mend_is_said() -> None:
    async with serving(Failing()) as client:
        with pytest.raises(aio.AioRpcError) as caught:
            await client.ask(api.GET_SERVICES)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == "the store kubeweft.db is not ours"


@pytest.mark.parametrize("header", [("authorization", "Bearer secret"), ("bearer.token", "secret")])
async def test_the_token_of_a_call_decides_who_asks(header: tuple[str, str]) -> None:
    async def only_with_a_token(token: str | None) -> StorageAnswers:
        if token != "secret":
            raise KubeweftError("log in first")
        return answers_of(story())

    async with serving_for(only_with_a_token) as client:
        assert (await client.ask(api.GET_SERVICES, metadata=[header])).services
        for method, message in ((api.GET_SERVICES, None), (api.GET_CAPABILITIES, None)):
            with pytest.raises(aio.AioRpcError) as caught:
                await client.ask(method, message)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(aio.AioRpcError) as caught:
            await client.all(api.FIND_TRACES, search())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_large_traces_come_in_small_messages() -> None:
    busy = [span for span in story() if span.key == DEPLOYMENT]
    request = next(span for span in busy if span.source == "request")
    spans = [
        *story(),
        *(
            Span(
                request.trace_id,
                number.to_bytes(8),
                request.parent_span_id,
                "request",
                DEPLOYMENT,
                "patch",
                request.start + number,
                request.end + number,
                {**request.attributes, "padding": "y" * 3000},
            )
            for number in range(1, 3000)
        ),
    ]
    answers = answers_of(spans)
    trace_id = answers.locate(resource="deployments", name="demo")
    asked = api.GetTracesRequest(query=[api.write_trace_params(trace_id)])
    async with serving(answers) as client:
        messages = await client.all(api.GET_TRACES, asked)
    assert all(0 < len(spans_in([message])) <= 500 for message in messages)
    assert max(message.ByteSize() for message in messages) < 1024**2
    written = spans_in(messages)
    assert len({span.span_id for _, span in written}) == len(written) > 3000
    assert {span.trace_id for _, span in written} == {trace_id}


async def test_an_address_in_use_is_a_clear_error() -> None:
    async def nobody(_: str | None) -> StorageAnswers:
        raise AssertionError

    with closing(Workshop()) as workshop:
        async with storage_server(nobody, "127.0.0.1:0", workshop) as port:
            with pytest.raises(UserError, match=f"storage API on 127.0.0.1:{port}: it cannot be had"):
                async with storage_server(nobody, f"127.0.0.1:{port}", workshop):
                    pass


def test_reading_ends_when_nobody_waits() -> None:
    reader = StoppableReader(MemoryReader(story()))
    assert answers_of(reader).services()
    assert reader.clusters() == ["demo"]
