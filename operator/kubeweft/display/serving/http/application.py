"""The HTTP application: all routes, and what happens to every request before and after its handler.

Who may see what is decided by whoever gives the answers (``AnswersFor``), once for each request.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from importlib.metadata import version

from aiohttp import hdrs, web

from kubeweft.display.serving.http import metrics
from kubeweft.display.serving.http.assets import Assets, UserInterface
from kubeweft.display.serving.http.describing import Answer, Asked, QueryAnswers, Route
from kubeweft.display.serving.http.failing import Dialect, error_response, status_of
from kubeweft.display.serving.http.guarding import Guard
from kubeweft.display.serving.http.landing import Landing, own_trace_page
from kubeweft.display.serving.http.old_dialect import old_routes
from kubeweft.display.serving.http.openapi import describe
from kubeweft.display.serving.http.readiness import TryStore, readiness_route
from kubeweft.display.serving.http.redirecting import TRACE_ID, redirect_route, wants_json
from kubeweft.display.serving.http.schemas import reference
from kubeweft.display.serving.http.v3_dialect import v3_routes
from kubeweft.display.serving.http.writing import send_json
from kubeweft.display.serving.working import Workshop
from kubeweft.model.errors import UserError
from kubeweft.runtime import clock

logger = logging.getLogger(__name__)

AnswersFor = Callable[[str | None], Awaitable[QueryAnswers]]
"""The answers for who sends this bearer token, or none; raises :class:`failing.Refused`."""

ROUTES: web.AppKey[tuple[Route, ...]] = web.AppKey("routes", tuple)
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_ORIGIN = re.compile(r"\*|https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
PROBED = ("/healthz", "/readyz")  # also found without the base path: a kubelet knows no proxy
_LARGEST_BODY = 1024  # bytes; nothing here reads one


def everybody(answers: QueryAnswers) -> AnswersFor:
    """The same answers for all, without asking who they are."""

    async def same(_: str | None) -> QueryAnswers:
        return answers

    return same


def build_application(
    answers: AnswersFor,
    *,
    ui: UserInterface | None = None,
    base_path: str = "",
    trace_page: str = "",
    allow_hosts: Collection[str] | None = (),
    allow_origins: Sequence[str] = (),
    workshop: Workshop | None = None,
    try_store: TryStore = lambda: None,
    now: Callable[[], int] = clock.now,
) -> web.Application:
    """The query API, and a UI if there is one; raises ``UserError`` where the settings are wrong.

    ``base_path`` stands before every path. ``trace_page`` is where a trace is shown, with ``{trace_id}`` in it; here
    unless told. ``workshop`` is that of the process; one that is made here is closed with the application. ``try_store``
    decides about ``/readyz``. ``allow_hosts`` are names of this server beside its addresses and localhost (None: any, which
    is right where it does not listen on the loopback alone), ``allow_origins`` pages of other servers that may read answers.
    """
    _check(base_path, trace_page)
    _check_names(allow_hosts or (), allow_origins)
    guard = Guard(hosts=allow_hosts, origins=tuple([origin.lower() for origin in allow_origins]))
    is_own = workshop is None
    workshop = workshop or Workshop()
    routes = (
        *old_routes(workshop, now),
        *v3_routes(workshop, now),
        redirect_route(workshop, now, trace_page=trace_page or own_trace_page(base_path)),
        readiness_route(workshop, try_store),
    )
    routes = (*routes, *_own_routes(routes, base_path))
    application = web.Application(middlewares=[_middleware(guard)], client_max_size=_LARGEST_BODY)
    application[ROUTES] = routes
    application.on_response_prepare.append(guard.finish_headers)
    if is_own:
        application.cleanup_ctx.append(_closing(workshop))
    for route in routes:
        application.router.add_get(base_path + route.path, _handler(route, answers), name=route.name)
    if base_path:
        for route in filter(lambda route: route.path in PROBED, routes):
            application.router.add_get(route.path, _handler(route, answers))
    pages = (
        Assets(ui, base_path=base_path, frame_ancestors=guard.frame_ancestors())
        if ui is not None
        else Landing(routes, base_path=base_path)
    )
    application.router.add_get(base_path + "/{path:.*}", pages.serve, name="pages")
    return application


def _check(base_path: str, trace_page: str) -> None:
    if not _BASE_PATH.fullmatch(base_path):
        raise UserError(
            f"the base path '{base_path}' has to be like /kubeweft: a slash before each part, none at its end"
        )
    if trace_page and TRACE_ID not in trace_page:
        raise UserError(f"the address of a trace's page, '{trace_page}', has to hold {TRACE_ID}")


def _check_names(hosts: Collection[str], origins: Sequence[str]) -> None:
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise UserError(f"'{host}' is no name of a host: write traces.example, without scheme and port")
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise UserError(
                f"'{origin}' is no origin: write https://grafana.example or http://localhost:3000, nothing after it, or *"
                " for all"
            )


def _own_routes(routes: tuple[Route, ...], base_path: str) -> tuple[Route, ...]:
    async def openapi(asked: Asked) -> web.StreamResponse:
        return send_json(asked.request, document)

    async def healthz(_: Asked) -> web.StreamResponse:
        return web.Response(text="ok\n")

    own = (
        Route(
            path="/openapi.json",
            name="openapi",
            group="Kubeweft",
            title="This description",
            handler=openapi,
            dialect="plain",
            guarded=False,
            answers=(Answer(status=200, means="OpenAPI 3.1.", schema=reference("Description")),),
        ),
        Route(
            path="/healthz",
            name="healthz",
            group="Kubeweft",
            title="Whether the server lives",
            handler=healthz,
            dialect="plain",
            guarded=False,
            answers=(Answer(status=200, means="It does.", media="text/plain"),),
        ),
    )
    document = describe((*routes, *own), version=version("kubeweft"), base_path=base_path)
    return own


def _handler(route: Route, answers_for: AnswersFor) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        allowed = await answers_for(bearer_token(request)) if route.guarded else None
        return await route.handler(Asked(request, route.values(request), allowed))

    return handle


def bearer_token(request: web.Request) -> str | None:
    """The token of ``Authorization: Bearer …``; None where there is none."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _middleware(guard: Guard) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def answer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        name = request.match_info.route.name or "none"
        with metrics.SECONDS.labels(route=name).time():
            response = await _answer(guard, request, handler)
        metrics.REQUESTS.labels(route=name, status=str(response.status)).inc()
        return response

    return answer


async def _answer(
    guard: Guard, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        guard.check_host(request)
        if request.method == hdrs.METH_OPTIONS:
            return guard.options(request)
        return await handler(request)
    except ConnectionError:  # the client has gone: there is nobody to tell
        raise
    except Exception as error:  # the root of a request: what failed is told to who asked, and logged
        if status_of(error) == 500:
            logger.exception("a request failed: path=%s", request.path)
        return error_response(error, _dialect_of(request), wants_json=wants_json(request))


def _dialect_of(request: web.Request) -> Dialect:
    """The dialect of a path, also of one that is not served."""
    if "/api/v3/" in request.path:
        return "v3"
    return "old" if "/api/" in request.path else "plain"


def _closing(workshop: Workshop) -> Callable[[web.Application], AsyncIterator[None]]:
    async def close(_: web.Application) -> AsyncIterator[None]:
        yield
        workshop.close()

    return close
