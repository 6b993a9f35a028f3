"""The methods of ``jaeger.storage.v2``: questions in its messages, answers out of :class:`Answers`.

Who asks is told by the bearer token of the call; what is shown to whom is decided by whoever gives the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import grpc
from grpc import aio

from kubeweft.display.answering.contract import Answers, TraceQuestion, TraceSummary
from kubeweft.display.serving.dependencies import TypeLink
from kubeweft.display.serving.finding import find_in_time, summarise_in_time
from kubeweft.display.serving.storage_v2.chunks import chunks_of, trace_chunks
from kubeweft.display.serving.working import Workshop
from kubeweft.display.tree.trees import FOREVER
from kubeweft.model.errors import KubeweftError, NotNow
from kubeweft.otlp import jaeger_storage as api
from kubeweft.runtime.stopping import Stopped, check_stop

Result = TypeVar("Result")
Call = Any
"""grpc's ``ServicerContext``, which ships no types."""

USUAL_LIMIT = 100  # Jaeger's own, where a search does not say how many traces it wants
MOST_IDS = 200  # traces opened by one call
OUR_FAULT = "the server failed at this question; its log says why"
SUMMARIES = 50  # in one message

logger = logging.getLogger(__name__)


class StorageAnswers(Answers, Protocol):
    """What this protocol asks beyond what the others do."""

    def dependencies(self, *, since: int, until: int) -> list[TypeLink]:
        """Which types of objects are linked with which."""


AnswersFor = Callable[[str | None], Awaitable[StorageAnswers]]
"""Answers for whoever has a bearer token, or none; raises ``KubeweftError`` where that one may see nothing."""


class StorageService:
    """All methods; each takes a message and a call, and writes what it has to say."""

    def __init__(self, answers_for: AnswersFor, workshop: Workshop) -> None:
        """Answers are worked out in the workshop of the process, within its limits."""
        self._answers_for = answers_for
        self._workshop = workshop

    def handlers(self) -> dict[api.Method, Callable[[api.Message, Call], Any]]:
        """Each method of the protocol and what carries it out."""
        methods = {
            api.GET_SERVICES: self._get_services,
            api.GET_OPERATIONS: self._get_operations,
            api.GET_TRACES: self._get_traces,
            api.FIND_TRACES: self._find_traces,
            api.FIND_TRACE_IDS: self._find_trace_ids,
            api.FIND_TRACE_SUMMARIES: self._find_trace_summaries,
            api.GET_DEPENDENCIES: self._get_dependencies,
            api.GET_CAPABILITIES: self._get_capabilities,
        }
        return {method: _discreet(handler) for method, handler in methods.items()}

    async def _get_services(self, _: api.Message, call: Call) -> api.Message:
        answers = await self._admitted(call)
        return api.GetServicesResponse(services=await self._made(call, answers.services))

    async def _get_operations(self, request: api.Message, call: Call) -> api.Message:
        answers = await self._admitted(call)
        clusters = await self._made(call, lambda: answers.operations(request.service))
        response = api.GetOperationsResponse()
        for cluster in clusters:
            response.operations.add(name=cluster, span_kind="internal")
        return response

    async def _get_traces(self, request: api.Message, call: Call) -> None:
        answers = await self._admitted(call)
        wanted = {asked.trace_id: asked for asked in request.query}
        if len(wanted) > MOST_IDS:
            many = f"{len(wanted)} traces at once are too many: ask for at most {MOST_IDS}"
            await call.abort(grpc.StatusCode.INVALID_ARGUMENT, many)

        def opened() -> Iterator[bytes]:
            for trace_id, asked in wanted.items():
                since, until = api.read_time(asked.start_time), api.read_time(asked.end_time)
                trace = answers.open(trace_id, since=since or 0, until=until or FOREVER)
                chunks = trace_chunks(trace.trace_id, trace.spans) if trace else iter(())
                del trace  # its objects are let go as they are written
                for chunk in chunks:
                    yield chunk
                    check_stop()

        several, within = len(wanted) > 1, call.time_remaining()
        await self._write(call, self._workshop.opening(opened, several=several, within=within))

    async def _find_traces(self, request: api.Message, call: Call) -> None:
        answers = await self._admitted(call)
        question = question_of(request.query)
        await self._write(
            call, self._searching(call, lambda: chunks_of(find_in_time(answers, question, explains=True)))
        )

    async def _find_trace_ids(self, request: api.Message, call: Call) -> api.Message:
        answers = await self._admitted(call)
        question = question_of(request.query)
        response = api.FindTraceIDsResponse()
        searching = self._searching(call, lambda: summarise_in_time(answers, question, explains=True))
        async with _status_told(call), searching as found:
            async for summary in found:
                told = response.trace_ids.add(trace_id=summary.trace_id)
                api.write_time(told.start, summary.start)
                api.write_time(told.end, summary.end)
        return response

    async def _find_trace_summaries(self, request: api.Message, call: Call) -> None:
        answers = await self._admitted(call)
        question = question_of(request.query)
        await self._write(
            call,
            self._searching(
                call, lambda: _summary_messages(summarise_in_time(answers, question, explains=True))
            ),
        )

    async def _get_dependencies(self, request: api.Message, call: Call) -> api.Message:
        answers = await self._admitted(call)
        since, until = api.read_time(request.start_time), api.read_time(request.end_time)
        links = await self._made(call, lambda: answers.dependencies(since=since or 0, until=until or FOREVER))
        response = api.GetDependenciesResponse()
        for link in links:
            response.dependencies.add(
                parent=link.parent, child=link.child, call_count=link.links, source="kubeweft"
            )
        return response

    async def _get_capabilities(self, _: api.Message, call: Call) -> api.Message:
        await self._admitted(call)
        response = api.GetCapabilitiesResponse()
        response.search.without_service_name = True
        return response

    async def _admitted(self, call: Call) -> StorageAnswers:
        try:
            return await self._answers_for(token_of(call) or None)
        except NotNow as error:
            await call.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except KubeweftError as error:
            forbidden = getattr(error, "status", 401) == 403
            code = grpc.StatusCode.PERMISSION_DENIED if forbidden else grpc.StatusCode.UNAUTHENTICATED
            await call.abort(code, str(error))
        raise AssertionError("abort raises")

    async def _made(self, call: Call, work: Callable[[], Result]) -> Result:
        async with _status_told(call):
            return await self._workshop.call(work)
        raise AssertionError("abort raises")

    def _searching(
        self, call: Call, begin: Callable[[], Iterator[Result]]
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        return self._workshop.searching(begin, within=call.time_remaining())

    async def _write(self, call: Call, working: AbstractAsyncContextManager[AsyncIterator[bytes]]) -> None:
        limits = self._workshop.limits
        async with _status_told(call), working as messages:
            async for message in messages:
                async with asyncio.timeout(limits.reader):
                    await call.write(message)


@contextlib.asynccontextmanager
async def _status_told(call: Call) -> AsyncIterator[None]:
    """What goes wrong within is told to the client as a status of gRPC."""
    try:
        yield
    except Stopped as error:
        await call.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(error))
    except NotNow as error:
        await call.abort(grpc.StatusCode.UNAVAILABLE, str(error))
    except KubeweftError as error:
        await call.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except TimeoutError:
        await call.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "nobody has read the answer")


def question_of(message: api.Message) -> TraceQuestion:
    """A search of Jaeger in our words."""
    query = api.read_query(message)
    return TraceQuestion(
        service=query.service,
        operation=query.operation,
        tags=query.attributes,
        since=query.since or 0,
        until=FOREVER if query.until is None else query.until,
        shortest=query.shortest or 0,
        longest=FOREVER if query.longest is None else query.longest,
        limit=query.depth or USUAL_LIMIT,
    )


def token_of(call: Call) -> str:
    """The bearer token of a call: as everybody sends it, or as Jaeger passes on that of its own client."""
    metadata = {str(key).lower(): value for key, value in call.invocation_metadata() or ()}
    scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return str(metadata.get("bearer.token", ""))


def _discreet(handler: Callable[[api.Message, Call], Any]) -> Callable[[api.Message, Call], Any]:
    """A method that tells of its own failures in the log only: they may name what is not for everybody."""

    @functools.wraps(handler)
    async def handled(request: api.Message, call: Call) -> Any:
        try:
            return await handler(request, call)
        except aio.AbortError:
            raise
        except Exception:  # the last to see it: grpc would tell the client
            logger.exception("a question could not be answered")
            await call.abort(grpc.StatusCode.INTERNAL, OUR_FAULT)

    return handled


def _summary_messages(summaries: Iterator[TraceSummary]) -> Iterator[bytes]:
    response = api.FindTraceSummariesResponse()
    for summary in summaries:
        written = response.summaries.add(
            trace_id=summary.trace_id,
            root_service_name=summary.service,
            root_operation_name=summary.operation,
            min_start_time_unix_nano=summary.start,
            max_end_time_unix_nano=summary.end,
            span_count=summary.spans,
            error_span_count=sum(failed for _, failed in summary.services.values()),
        )
        for name, (spans, failed) in summary.services.items():
            written.services.add(name=name, span_count=spans, error_span_count=failed)
        if len(response.summaries) >= SUMMARIES:
            yield response.SerializeToString()
            response = api.FindTraceSummariesResponse()
    if response.summaries:
        yield response.SerializeToString()
