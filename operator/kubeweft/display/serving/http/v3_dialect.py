"""Jaeger's newer query API: ``/api/v3``, of Jaeger's UI from 2.20 on, of Grafana, and of whoever reads OTLP.

Parameters come in camelCase and, from older clients, in snake_case. Traces are OTLP JSON in the wrapper of the gRPC
gateway, ``{"result": {"resourceSpans": …}}``; where nothing is found, that is an error 404, as in Jaeger.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from aiohttp import web

from kubeweft.display.answering.contract import Answers, TraceQuestion
from kubeweft.display.serving.finding import find_in_time, summarise_in_time
from kubeweft.display.serving.http import naming, reading
from kubeweft.display.serving.http.describing import Answer, Asked, Parameter, Route
from kubeweft.display.serving.http.failing import NotFound
from kubeweft.display.serving.http.otlp_json import resource_pieces, summary_json
from kubeweft.display.serving.http.pieces import dump
from kubeweft.display.serving.http.schemas import reference
from kubeweft.display.serving.http.v3_parameters import RANGE, SEARCH, TRACE
from kubeweft.display.serving.http.writing import send_json, send_stream
from kubeweft.display.serving.working import Workshop
from kubeweft.display.tree.trees import FOREVER
from kubeweft.model.errors import BadInput

NOT_FOUND = "No traces found"  # Jaeger's words
ERROR = reference("GatewayError")
UNREADABLE = Answer(status=400, means="A parameter cannot be read.", schema=ERROR)
NONE = Answer(status=404, means="There is none.", schema=ERROR)
TRACES = Answer(status=200, means="OTLP, streamed.", schema=reference("TracesData"))
SUMMARIES = 50  # in one piece


def v3_routes(workshop: Workshop, now: Callable[[], int]) -> tuple[Route, ...]:
    """The routes of the v3 dialect; ``now`` is the time in nanoseconds."""
    v3 = _V3Dialect(workshop, now)
    return (*_name_routes(v3), *_trace_routes(v3))


_route = functools.partial(Route, dialect="v3", group="Jaeger, v3")


def _name_routes(v3: _V3Dialect) -> tuple[Route, ...]:
    return (
        _route(
            path="/api/v3/services",
            name="services",
            title="All views, alone and with each selection",
            handler=v3.services,
            answers=(Answer(status=200, means="Their names.", schema=reference("V3Services")), UNREADABLE),
        ),
        _route(
            path="/api/v3/operations",
            name="operations",
            title="The clusters that have spans",
            handler=v3.operations,
            parameters=(
                Parameter(name="service", means="A view and selection."),
                Parameter(name="spanKind", means="Taken and without effect.", aliases=("span_kind",)),
            ),
            answers=(Answer(status=200, means="The clusters.", schema=reference("V3Operations")), UNREADABLE),
        ),
        _route(
            path="/api/v3/capabilities",
            name="capabilities",
            title="What a search may ask",
            handler=v3.capabilities,
            answers=(Answer(status=200, means="It.", schema=reference("Capabilities")), UNREADABLE),
        ),
        _route(
            path="/api/v3/dependencies",
            name="dependencies",
            title="Which types of objects are linked with which",
            handler=v3.dependencies,
            parameters=RANGE,
            answers=(Answer(status=200, means="The links.", schema=reference("V3Dependencies")), UNREADABLE),
        ),
    )


def _trace_routes(v3: _V3Dialect) -> tuple[Route, ...]:
    return (
        _route(
            path="/api/v3/traces",
            name="findTraces",
            title="Search for objects: whole traces",
            handler=v3.traces,
            parameters=SEARCH,
            answers=(TRACES, NONE, UNREADABLE),
        ),
        _route(
            path="/api/v3/trace-summaries",
            name="findTraceSummaries",
            title="Search for objects: one line for each",
            handler=v3.summaries,
            parameters=SEARCH,
            answers=(
                Answer(status=200, means="The summaries, latest first.", schema=reference("Summaries")),
                UNREADABLE,
            ),
        ),
        _route(
            path="/api/v3/traces/{trace_id}",
            name="getTrace",
            title="One trace",
            handler=v3.trace,
            parameters=TRACE,
            answers=(TRACES, NONE, UNREADABLE),
        ),
    )


class _V3Dialect:
    def __init__(self, workshop: Workshop, now: Callable[[], int]) -> None:
        self._workshop, self._now = workshop, now

    async def services(self, asked: Asked) -> web.StreamResponse:
        names = await self._workshop.call(asked.answers.services)
        return send_json(asked.request, {"services": names})

    async def operations(self, asked: Asked) -> web.StreamResponse:
        answers = asked.answers
        work = functools.partial(answers.operations, asked["service"] or "")
        operations = [{"name": name, "spanKind": "internal"} for name in await self._workshop.call(work)]
        return send_json(asked.request, {"operations": operations})

    async def traces(self, asked: Asked) -> web.StreamResponse:
        answers, question = asked.answers, self._question(asked)
        return await self._searching(asked, functools.partial(_found, answers, question))

    async def summaries(self, asked: Asked) -> web.StreamResponse:
        answers, question = asked.answers, self._question(asked)
        return await self._searching(asked, functools.partial(_summaries, answers, question))

    async def trace(self, asked: Asked) -> web.StreamResponse:
        opening = self._workshop.opening(functools.partial(_one, asked.answers, asked))
        return await send_stream(asked.request, self._workshop.limits, opening)

    async def capabilities(self, asked: Asked) -> web.StreamResponse:
        return send_json(asked.request, {"search": CAPABILITIES})

    async def dependencies(self, asked: Asked) -> web.StreamResponse:
        since, until = naming.range_of(asked.values, "startTime", "endTime", now=self._now())
        work = functools.partial(asked.answers.dependencies, since=since, until=until)
        links = [
            {"parent": link.parent, "child": link.child, "callCount": str(link.links)}
            for link in await self._workshop.call(work)
        ]
        return send_json(asked.request, {"dependencies": links})

    async def _searching(self, asked: Asked, begin: Callable[[], Iterator[bytes]]) -> web.StreamResponse:
        return await send_stream(asked.request, self._workshop.limits, self._workshop.searching(begin))

    def _question(self, asked: Asked) -> TraceQuestion:
        values = asked.values
        since, until = naming.range_of(values, "query.startTimeMin", "query.startTimeMax", now=self._now())
        shortest, longest = values["query.durationMin"] or 0, values["query.durationMax"] or FOREVER
        if longest < shortest:
            raise BadInput("'query.durationMax' should be greater than 'query.durationMin'")
        return TraceQuestion(
            service=values["query.serviceName"] or "",
            operation=values["query.operationName"] or "",
            tags=reading.joined(values["query.attributes"]),
            since=since,
            until=until,
            shortest=shortest,
            longest=longest,
            limit=naming.limited(values["query.searchDepth"]),
        )


CAPABILITIES = {"withoutServiceName": True}
"""What a search may leave out: without a service, the usual view is taken."""


def _found(answers: Answers, question: TraceQuestion) -> Iterator[bytes]:
    before = _BEGIN
    for trace in find_in_time(answers, question):
        for piece in resource_pieces(trace):
            yield before + piece
            before = b""
        before = before or b","
        del trace  # before the next is made: one tree in memory
    if before == _BEGIN:
        raise NotFound(NOT_FOUND)
    yield _END


def _one(answers: Answers, asked: Asked) -> Iterator[bytes]:
    since, until = asked["startTime"], asked["endTime"]
    trace = answers.open(asked["trace_id"], since=since or 0, until=FOREVER if until is None else until)
    if trace is None:
        raise NotFound(NOT_FOUND)
    before = _BEGIN
    for piece in resource_pieces(trace):
        yield before + piece
        before = b""
    if before:
        raise NotFound(NOT_FOUND)
    yield _END


def _summaries(answers: Answers, question: TraceQuestion) -> Iterator[bytes]:
    """One summary is the work of one tree, so they go out a few at a time."""
    before, waiting = b'{"summaries":[', list[bytes]()
    for summary in summarise_in_time(answers, question):
        waiting.append(dump(summary_json(summary)))
        if len(waiting) == SUMMARIES:
            yield before + b",".join(waiting)
            before = b","
            waiting.clear()
    yield (before if waiting or before != b"," else b"") + b",".join(waiting) + b"]}"


_BEGIN = b'{"result":{"resourceSpans":['
_END = b"]}}"
