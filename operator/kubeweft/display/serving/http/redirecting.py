"""``/redirect``: from an object and a time to the page of its trace, for links in dashboards, alerts and chat."""

from __future__ import annotations

import functools
from collections.abc import Callable

from aiohttp import hdrs, web

from kubeweft.display.serving.http import reading
from kubeweft.display.serving.http.describing import Answer, Asked, Parameter, Route
from kubeweft.display.serving.http.failing import NotFound
from kubeweft.display.serving.http.schemas import reference
from kubeweft.display.serving.http.writing import send_json
from kubeweft.display.serving.working import Workshop
from kubeweft.display.tree.trees import FOREVER
from kubeweft.display.words import times
from kubeweft.model.errors import BadInput, UserError
from kubeweft.runtime.stopping import Stopped

TRACE_ID = "{trace_id}"  # what stands for the ID in the address of a trace's page
WRITTEN = f"as {times.EXAMPLES}, or a number since the epoch (s, ms, µs or ns, by its size)"
USAGE = "/redirect?resource=deployments.apps&namespace=default&name=demo&cluster=…&time=…"

PARAMETERS = (
    Parameter(
        name="resource",
        means="The object's kind or resource, in any form that kubectl takes.",
        required=True,
        example=USAGE,
    ),
    Parameter(name="name", means="The object's name.", required=True, example=USAGE),
    Parameter(name="namespace", means="Its namespace; may be left out where the name is the only one."),
    Parameter(name="cluster", means="Its cluster; may be left out where there is one."),
    Parameter(name="time", means=f"A moment to show it at, {WRITTEN}."),
    Parameter(name="since", means=f"From when to show it, {WRITTEN}."),
    Parameter(name="until", means=f"Until when to show it, {WRITTEN}."),
    Parameter(name="view", means="A view; `tree` unless told.", default="tree"),
    Parameter(name="select", means="A selection; the object and what it owns unless told.", default=""),
)


def redirect_route(workshop: Workshop, now: Callable[[], int], *, trace_page: str) -> Route:
    """The route; ``trace_page`` is the address of a trace's page, with ``{trace_id}`` in it."""
    redirecting = _Redirecting(workshop, now, trace_page)
    return Route(
        path="/redirect",
        name="redirect",
        group="Kubeweft",
        title="The trace of an object",
        about="Answers JSON instead where `Accept` asks for it.",
        handler=redirecting.redirect,
        dialect="plain",
        parameters=PARAMETERS,
        strict=True,
        answers=(
            Answer(status=302, means="To the page of the trace.", media=""),
            Answer(
                status=200, means="Where it is, for `Accept: application/json`.", schema=reference("Located")
            ),
            Answer(
                status=400, means="The object or the time cannot be read.", schema=reference("PlainError")
            ),
            Answer(
                status=404,
                means="No object fits, or more than one; the text says which there are.",
                schema=reference("PlainError"),
            ),
        ),
    )


class _Redirecting:
    def __init__(self, workshop: Workshop, now: Callable[[], int], trace_page: str) -> None:
        self._workshop, self._now, self._trace_page = workshop, now, trace_page

    async def redirect(self, asked: Asked) -> web.StreamResponse:
        since, until = self._range(asked)
        answers = asked.answers
        work = functools.partial(
            answers.locate,
            view=asked["view"],
            selection=asked["select"],
            cluster=asked["cluster"] or "",
            resource=asked["resource"],
            namespace=asked["namespace"] or "",
            name=asked["name"],
            since=since,
            until=until,
        )
        try:
            trace_id = (await self._workshop.call(work)).hex()
        except Stopped:
            raise
        except UserError as error:
            raise NotFound(str(error)) from None
        url = self._trace_page.replace(TRACE_ID, trace_id)
        if wants_json(asked.request):
            return send_json(asked.request, {"traceID": trace_id, "url": url})
        return web.Response(status=302, headers={hdrs.LOCATION: url}, text=f"{url}\n")

    def _range(self, asked: Asked) -> tuple[int, int]:
        if asked["time"]:
            if asked["since"] or asked["until"]:
                raise BadInput("tell either 'time', or 'since' and 'until'")
            moment = self._moment(asked, "time")
            return moment, moment
        since = self._moment(asked, "since") if asked["since"] else 0
        until = self._moment(asked, "until") if asked["until"] else FOREVER
        if since > until:
            raise BadInput("'since' lies after 'until': nothing can be between")
        return since, until

    def _moment(self, asked: Asked, name: str) -> int:
        text = asked[name]
        number = reading.moment(text)
        if number is not None:
            return number
        try:
            return reading.clamped(times.parse_time(reading.with_offset(text), now=self._now()))
        except UserError as error:
            raise BadInput(f"malformed parameter '{name}': {error}") from None


def wants_json(request: web.Request) -> bool:
    """Whether JSON is preferred to a page or a line of text."""
    accept = request.headers.get(hdrs.ACCEPT, "").lower()
    return "application/json" in accept and "text/html" not in accept
