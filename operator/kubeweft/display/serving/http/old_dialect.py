"""Jaeger's old query API: Jaeger's UI up to 2.19 (later ones still for single traces), and Grafana's data source.

The form is Jaeger's own, from its query service: ``{"data": …, "errors": …}``, times in microseconds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from kubeweft.display.answering.contract import Answers, TraceQuestion
from kubeweft.display.serving.finding import find_in_time
from kubeweft.display.serving.http import naming, reading
from kubeweft.display.serving.http.describing import Answer, Asked, Parameter, Route
from kubeweft.display.serving.http.failing import NotFound, old_error
from kubeweft.display.serving.http.jaeger_json import trace_pieces
from kubeweft.display.serving.http.old_parameters import PRETTY, RAW, SEARCH, SERVICE, SINCE, UNTIL
from kubeweft.display.serving.http.pieces import dump
from kubeweft.display.serving.http.schemas import reference
from kubeweft.display.serving.http.writing import send_json, send_stream
from kubeweft.display.serving.working import Workshop
from kubeweft.display.tree.trees import FOREVER
from kubeweft.model.errors import BadInput

NOT_FOUND = "trace not found"  # Jaeger's words
MOST_IDS = 20  # traces opened by one request
UNREADABLE = Answer(status=400, means="A parameter cannot be read.", schema=reference("StructuredError"))


def old_routes(workshop: Workshop, now: Callable[[], int]) -> tuple[Route, ...]:
    """The routes of the old dialect; ``now`` is the time in nanoseconds."""
    old = _OldDialect(workshop, now)
    return (*_name_routes(old), *_trace_routes(old))


_route = functools.partial(Route, dialect="old", group="Jaeger, old dialect")


def _name_routes(old: _OldDialect) -> tuple[Route, ...]:
    return (
        _route(
            path="/api/services",
            name="oldServices",
            title="All views, alone and with each selection",
            handler=old.services,
            answers=(Answer(status=200, means="Their names.", schema=reference("Names")), UNREADABLE),
        ),
        _route(
            path="/api/operations",
            name="oldOperations",
            title="The clusters that have spans",
            handler=old.operations,
            parameters=(
                SERVICE,
                Parameter(name="spanKind", means="Taken and without effect: all spans are internal."),
            ),
            answers=(Answer(status=200, means="The clusters.", schema=reference("Operations")), UNREADABLE),
        ),
        _route(
            path="/api/services/{service}/operations",
            name="oldOperationsOfService",
            title="The clusters that have spans",
            handler=old.operation_names,
            parameters=(
                Parameter(name="service", means="A view and selection.", place="path", required=True),
            ),
            answers=(Answer(status=200, means="Their names.", schema=reference("Names")), UNREADABLE),
        ),
        _route(
            path="/api/dependencies",
            name="oldDependencies",
            title="Which types of objects are linked with which",
            about="Without times, those of the last 48 hours.",
            handler=old.dependencies,
            parameters=(
                Parameter(
                    name="endTs",
                    means="Until when, in milliseconds.",
                    read=reading.epoch_milliseconds,
                    schema=naming.EPOCH,
                ),
                Parameter(
                    name="lookback",
                    means="How far back, in milliseconds.",
                    read=reading.epoch_milliseconds,
                    schema=naming.EPOCH,
                ),
            ),
            answers=(Answer(status=200, means="The links.", schema=reference("Dependencies")), UNREADABLE),
        ),
    )


def _trace_routes(old: _OldDialect) -> tuple[Route, ...]:
    return (
        _route(
            path="/api/traces",
            name="oldTraces",
            title="Search for objects, or give traces by their IDs",
            about="Whole traces, streamed, latest first. Without times, the last 48 hours are searched.",
            handler=old.traces,
            parameters=SEARCH,
            answers=(
                Answer(status=200, means="The traces; none is no error.", schema=reference("Traces")),
                UNREADABLE,
            ),
        ),
        _route(
            path="/api/traces/{trace_id}",
            name="oldTrace",
            title="One trace",
            handler=old.trace,
            parameters=(naming.TRACE_ID_IN_PATH, SINCE, UNTIL, PRETTY, RAW),
            answers=(
                Answer(status=200, means="The trace.", schema=reference("Traces")),
                Answer(
                    status=404, means="There is no trace of this ID.", schema=reference("StructuredError")
                ),
                UNREADABLE,
            ),
        ),
    )


class _OldDialect:
    def __init__(self, workshop: Workshop, now: Callable[[], int]) -> None:
        self._workshop, self._now = workshop, now

    async def services(self, asked: Asked) -> web.StreamResponse:
        return _listing(asked, await self._workshop.call(asked.answers.services))

    async def operations(self, asked: Asked) -> web.StreamResponse:
        if asked["service"] is None:
            raise BadInput("parameter 'service' is required")
        names = await self._clusters(asked)
        return _listing(asked, [{"name": name, "spanKind": "internal"} for name in names])

    async def operation_names(self, asked: Asked) -> web.StreamResponse:
        return _listing(asked, await self._clusters(asked))

    async def traces(self, asked: Asked) -> web.StreamResponse:
        answers = asked.answers
        if asked["traceID"]:
            if len(set(asked["traceID"])) > MOST_IDS:
                raise BadInput(f"too many 'traceID': ask for at most {MOST_IDS} traces at once")
            opening = self._workshop.opening(functools.partial(_opened, answers, asked), several=True)
            return await send_stream(asked.request, self._workshop.limits, opening)
        question = self._question(asked)
        searching = self._workshop.searching(
            functools.partial(_found, answers, question, pretty=bool(asked["prettyPrint"]))
        )
        return await send_stream(asked.request, self._workshop.limits, searching)

    async def trace(self, asked: Asked) -> web.StreamResponse:
        opening = self._workshop.opening(functools.partial(_one, asked.answers, asked))
        return await send_stream(asked.request, self._workshop.limits, opening)

    async def dependencies(self, asked: Asked) -> web.StreamResponse:
        end = self._now() if asked["endTs"] is None else asked["endTs"]
        since = max(end - (asked["lookback"] or naming.DEFAULT_LOOKBACK), 0)
        work = functools.partial(asked.answers.dependencies, since=since, until=end)
        links = await self._workshop.call(work)
        data = [{"parent": link.parent, "child": link.child, "callCount": link.links} for link in links]
        return _listing(asked, data)

    async def _clusters(self, asked: Asked) -> list[str]:
        answers = asked.answers
        return await self._workshop.call(functools.partial(answers.operations, asked["service"]))

    def _question(self, asked: Asked) -> TraceQuestion:
        since, until = naming.range_of(asked.values, "start", "end", now=self._now())
        shortest, longest = asked["minDuration"] or 0, asked["maxDuration"] or FOREVER
        if longest < shortest:
            raise BadInput("'maxDuration' should be greater than 'minDuration'")
        return TraceQuestion(
            service=asked["service"] or "",
            operation=asked["operation"] or "",
            tags=reading.joined([*asked["tag"], *asked["tags"]]),
            since=since,
            until=until,
            shortest=shortest,
            longest=longest,
            limit=naming.limited(asked["limit"]),
        )


def _listing(asked: Asked, data: list[Any]) -> web.Response:
    value = {"data": data, "total": len(data), "limit": 0, "offset": 0, "errors": None}
    return send_json(asked.request, value)


def _found(answers: Answers, question: TraceQuestion, *, pretty: bool) -> Iterator[bytes]:
    before = b'{"data":['
    for trace in find_in_time(answers, question):
        for piece in trace_pieces(trace, pretty=pretty):
            yield before + piece
            before = b""
        before = b","
        del trace  # before the next is made: one tree in memory
    yield (before if before != b"," else b"") + _END % b"null"


def _opened(answers: Answers, asked: Asked) -> Iterator[bytes]:
    before, errors = b'{"data":[', []
    since, until = _bounds(asked)
    for trace_id in dict.fromkeys(asked["traceID"]):
        trace = answers.open(trace_id, since=since, until=until)
        if trace is None:
            errors.append(old_error(404, NOT_FOUND, trace_id=trace_id.hex()))
            continue
        for piece in trace_pieces(trace, pretty=bool(asked["prettyPrint"])):
            yield before + piece
            before = b""
        before = b","
        del trace
    yield (before if before != b"," else b"") + _END % dump(errors or None)


def _one(answers: Answers, asked: Asked) -> Iterator[bytes]:
    since, until = _bounds(asked)
    trace = answers.open(asked["trace_id"], since=since, until=until)
    if trace is None:
        raise NotFound(NOT_FOUND)
    before = b'{"data":['
    for piece in trace_pieces(trace, pretty=bool(asked["prettyPrint"])):
        yield before + piece
        before = b""
    yield _END % b"null"


def _bounds(asked: Asked) -> tuple[int, int]:
    since, until = asked["start"], asked["end"]
    return (0 if since is None else since), (FOREVER if until is None else until)


_END = b'],"total":0,"limit":0,"offset":0,"errors":%s}'
