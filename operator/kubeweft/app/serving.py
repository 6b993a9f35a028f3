"""What ``serve`` does, and ``run`` beside its work: answers for trace viewers, over gRPC and HTTP, out of one store.

By default everybody who reaches an address may ask, so that only this machine does: an address that others reach needs
to know who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.app.access import Gate, open_gate
from kubeweft.app.extensions import extensions_of
from kubeweft.app.kind_table import StoredKinds
from kubeweft.app.listening import Protection
from kubeweft.display.extensions.joining import Extensions
from kubeweft.display.serving.access import AllowedReader
from kubeweft.display.serving.answers import StoryAnswers
from kubeweft.display.serving.http.application import build_application
from kubeweft.display.serving.http.assets import UserInterface
from kubeweft.display.serving.http.server import QueryServer, is_loopback
from kubeweft.display.serving.stopping import StoppableReader
from kubeweft.display.serving.storage_v2.server import Certificate, storage_server
from kubeweft.display.serving.working import Workshop
from kubeweft.display.views.definitions import Views
from kubeweft.display.views.loading import views_with
from kubeweft.model.errors import UserError
from kubeweft.model.windows import DEFAULT_WINDOW_SECONDS
from kubeweft.runtime.loop_errors import quieten
from kubeweft.runtime.signals import until_signal
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.settings import Settings, parse_address
from kubeweft.store.interfaces import SpanReader
from kubeweft.store.opening import open_reader

logger = logging.getLogger(__name__)

NO_TRACE = bytes(16)  # the ID of none: to look for it costs little in any store

Auth = Literal["none", "kubernetes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What is served where: the file ``store``, or instead another ``source``, which may be remote.

    An empty address serves nothing. ``views`` is a file, or what a file would say, and so are ``extensions``.
    With ``auth`` the API server of ``cluster`` (by ``kubeconfig`` and ``context``) is asked who somebody is. Others are
    asked about their objects where they are said to know the same people: ``shared_identities``, or by their ``contexts``.
    ``allow_hosts``, ``allow_origins``, ``base_path`` and ``trace_page`` are as for :func:`build_application`, but where
    ``http`` is no loopback address, no ``allow_hosts`` allow any. ``flags`` is how the names of all these begin where
    they were given, so that errors name what can be typed.
    """

    flags: str = "--"
    store: str = "kubeweft.db"
    source: str = ""
    source_token_file: str = ""
    source_ca_file: str = ""
    source_window_seconds: int = DEFAULT_WINDOW_SECONDS
    grpc: str = ""
    http: str = ""
    views: str | Mapping[str, Any] = ""
    extensions: str | Mapping[str, Any] = ""
    auth: Auth = "none"
    ui: str = ""
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    base_path: str = ""
    trace_page: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    without_auth: bool = False
    without_tls: bool = False
    cluster: str = "local"
    kubeconfig: str = ""
    context: str = ""
    contexts: Mapping[str, str] = field(default_factory=dict)
    shared_identities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the servers of a process listen, ``HOST:PORT`` each; empty where there is none."""

    grpc: str = ""
    http: str = ""
    tls: bool = False
    base_path: str = ""

    @property
    def url(self) -> str:
        """Where a browser finds the query API; empty where there is none."""
        return f"http{'s' if self.tls else ''}://{self.http}{self.base_path}" if self.http else ""


AnswersFor = Callable[[str | None], Awaitable[StoryAnswers]]
"""Answers for whoever has a bearer token, or none."""


def serve_options(settings: Settings) -> ServeOptions:
    """What ``run`` serves beside its work."""
    return ServeOptions(
        flags="--serve-",
        store=settings.store,
        grpc=settings.serve_grpc,
        http=settings.serve_http,
        views=settings.views,
        extensions=settings.extensions,
        auth=settings.serve_auth,
        ui=settings.serve_ui,
        allow_hosts=settings.serve_allow_host,
        allow_origins=settings.serve_allow_origin,
        base_path=settings.serve_base_path,
        trace_page=settings.serve_trace_page,
        tls_cert=settings.serve_tls_cert,
        tls_key=settings.serve_tls_key,
        without_auth=settings.serve_insecure_no_auth,
        without_tls=settings.serve_insecure_no_tls,
        shared_identities=settings.serve_shared_identities,
        cluster=settings.cluster,
        kubeconfig=settings.kubeconfig,
        context=settings.context,
    )


async def serve_until_signal(options: ServeOptions, ready: Callable[[Serving], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is told where, once everything listens. Raises ``UserError``."""

    async def serve() -> None:
        async with serving(options) as served:
            ready(served)
            await asyncio.Event().wait()

    if not options.grpc and not options.http:
        raise UserError("there is nothing to serve: give an address with --grpc or --http")
    tune_interpreter()
    quieten(asyncio.get_running_loop())
    await until_signal(serve)


@contextlib.asynccontextmanager
async def serving(
    options: ServeOptions,
    *,
    home: ApiClient | None = None,
    others: Mapping[str, ApiClient] | None = None,
    extensions: Extensions | None = None,
) -> AsyncIterator[Serving]:
    """Serve within the block; raises ``UserError`` where that cannot be done, or should not be.

    ``home`` and ``others`` are clients of the cluster of the options and of further ones, where somebody has them already.
    ``extensions`` fetch spans of other systems into what is opened, where they are not those of the options.
    """
    check_exposure(options)
    views = views_of(options.views)
    async with contextlib.AsyncExitStack() as stack:
        if not options.grpc and not options.http:
            yield Serving()
            return
        reader = stack.enter_context(_reader(options))
        _protection(options).context()  # what is wrong with the certificate is told before anything listens
        extensions = extensions or extensions_of(options.extensions, reader)
        answers_for = await stack.enter_async_context(
            _answering(reader, views, options, _gate(options, home, others), extensions)
        )
        workshop = stack.enter_context(contextlib.closing(Workshop()))
        grpc = http = ""
        if options.grpc:
            asked = _address(options.grpc, parse_address(options.grpc)[1])
            with _told_by(f"{options.flags}grpc"):
                port = await stack.enter_async_context(
                    storage_server(answers_for, asked, workshop, certificate=_certificate(options))
                )
            grpc = _address(options.grpc, port)
            logger.info("serving Jaeger's storage API (gRPC) at %s", grpc)
        if options.http:
            port = await stack.enter_async_context(_query_server(answers_for, options, workshop, reader))
            http = _address(options.http, port)
            logger.info("serving the query API%s at %s", " and the UI" if options.ui else "", http)
        yield Serving(grpc, http, bool(options.tls_cert), options.base_path)


@contextlib.asynccontextmanager
async def _query_server(
    answers_for: AnswersFor, options: ServeOptions, workshop: Workshop, reader: SpanReader
) -> AsyncIterator[int]:
    host, port = parse_address(options.http)
    application = build_application(
        answers_for,
        workshop=workshop,
        try_store=functools.partial(reader.window_of, NO_TRACE),
        ui=UserInterface(folder=Path(options.ui)) if options.ui else None,
        base_path=options.base_path,
        trace_page=options.trace_page,
        allow_hosts=options.allow_hosts or (() if is_loopback(host) else None),
        allow_origins=options.allow_origins,
    )
    server = QueryServer(application, certificate=_protection(options).context())
    with _told_by(f"{options.flags}http"):
        await server.start(host, port)
    try:
        yield server.port
    finally:
        await server.close()


def check_exposure(options: ServeOptions) -> None:
    """Raise ``UserError`` where an address is none, or strangers could read everything."""
    for option, address in (("grpc", options.grpc), ("http", options.http)):
        if address:
            _protection(options).check(options.flags + option, address)


def _protection(options: ServeOptions) -> Protection:
    return Protection(
        options=options.flags,
        ask=f"{options.flags}auth kubernetes",
        everybody="may see everything",
        secrets="the tokens of people",
        asked=options.auth != "none",
        without_auth=options.without_auth,
        without_tls=options.without_tls,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
    )


def views_of(own: str | Mapping[str, Any]) -> Views:
    """The shipped views and those of an installation: a file, or a section of the settings."""
    if not own:
        return views_with([])
    if isinstance(own, Mapping):
        return views_with([("settings: views", yaml.safe_dump(dict(own), allow_unicode=True))])
    try:
        return views_with([(own, Path(own).read_text(encoding="utf-8"))])
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the views in {own}: {error}") from None


@contextlib.asynccontextmanager
async def _answering(
    reader: SpanReader,
    views: Views,
    options: ServeOptions,
    opened: contextlib.AbstractAsyncContextManager[Gate],
    extensions: Extensions | None,
) -> AsyncIterator[AnswersFor]:
    """Answers for everybody, or for each what Kubernetes lets them read."""
    kinds, stoppable = StoredKinds(reader), StoppableReader(reader)
    if options.auth == "none":
        join = extensions.join if extensions else None
        answers = StoryAnswers(stoppable, views=views, kinds=kinds, join=join)

        async def for_everybody(_: str | None) -> StoryAnswers:
            return answers

        yield for_everybody
        return
    restricted = extensions.restricted().join if extensions else None
    async with opened as gate:

        async def for_one(token: str | None) -> StoryAnswers:
            viewer = await gate.viewer_for(token)
            reader = AllowedReader(stoppable, viewer)
            return StoryAnswers(reader, views=views, kinds=kinds, join=restricted)

        yield for_one


@contextlib.asynccontextmanager
async def _gate(
    options: ServeOptions, home: ApiClient | None, others: Mapping[str, ApiClient] | None
) -> AsyncIterator[Gate]:
    if home is not None:
        yield Gate(home, cluster=options.cluster, others=others, shared=options.shared_identities)
        return
    async with open_gate(
        cluster=options.cluster,
        kubeconfig=options.kubeconfig,
        context=options.context,
        shared=options.contexts,
    ) as gate:
        yield gate


def _reader(options: ServeOptions) -> contextlib.AbstractContextManager[SpanReader]:
    if not options.source:
        return open_reader(options.store)
    return open_reader(
        options.source,
        window_seconds=options.source_window_seconds,
        token_file=options.source_token_file,
        ca_file=options.source_ca_file,
    )


def _certificate(options: ServeOptions) -> Certificate | None:
    files = _protection(options).certificate()
    return None if files is None else Certificate(*files)


@contextlib.contextmanager
def _told_by(option: str) -> Iterator[None]:
    """Say which option takes another address where one cannot be had."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}; choose another {option}") from error


def _address(asked: str, port: int) -> str:
    host, _ = parse_address(asked)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
