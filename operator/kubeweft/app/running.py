"""``kubeweft run``: everything that one process does, put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from kubernetes_asyncio.client.configuration import Configuration
from prometheus_client import REGISTRY
from prometheus_client.registry import Collector as MetricsSource

from kubeweft.app.auditing import AuditInlet
from kubeweft.app.collecting import Collector, Place
from kubeweft.app.health import health_of
from kubeweft.app.metrics import ProcessCollector
from kubeweft.app.pipeline import Pipeline
from kubeweft.control.api import KubernetesControlApi
from kubeweft.control.compiling import Installation
from kubeweft.control.declarations import Declarations
from kubeweft.control.health import Health
from kubeweft.control.operator_thread import OperatorThread
from kubeweft.control.reporting import Reporter
from kubeweft.control.sweeping import Sweeper
from kubeweft.export.endpoints import parse_endpoint
from kubeweft.export.fleet import ExporterFleet
from kubeweft.export.metrics import ExportCollector
from kubeweft.kube.clients import ClusterClient, cluster_uid, connect
from kubeweft.kube.credentials import find_access
from kubeweft.kube.failures import ApiFailure
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan
from kubeweft.model.windows import NANOSECONDS
from kubeweft.runtime import clock
from kubeweft.runtime.status_server import StatusServer
from kubeweft.runtime.tasks import supervise
from kubeweft.runtime.telemetry import own_traces
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.settings import Settings, parse_address
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
LAST_CHECKPOINT = 3.0  # seconds


async def run_operator(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; raises ``UserError`` if it cannot start."""
    tune_interpreter()
    with own_traces():
        await _run_operator(settings)
    logger.info("stopped")


async def _run_operator(settings: Settings) -> None:
    async with _connected(settings) as client, _storing(settings) as (store, writer):
        operator = Operator(settings, store=store, writer=writer, client=client)
        await _until_signal(operator.run)
        await _flush_if_possible(operator.collector)


class Operator:
    """The parts of one running process and how they reach each other."""

    def __init__(
        self, settings: Settings, *, store: SqliteStore, writer: Writer, client: ClusterClient
    ) -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._client = client
        self._cluster_uid = ""  # until it has been asked for
        self._kinds = Kinds()
        window_length = settings.window_seconds * NANOSECONDS
        weaver = Weaver(window_length=window_length, kinds=self._kinds)
        for window in store.recent_windows(clock.now() - window_length):
            weaver.know_activity(window.key, window.start)
        self.pipeline = Pipeline(weaver, writer)
        self._store = store
        self.fleet = ExporterFleet(
            store,
            wait_beyond=writer.wait_beyond,
            newest=lambda: writer.statistics().position,
            save_position=writer.save_export_position,
            in_use=store.activate_exporters,
        )
        self.declarations = Declarations(
            _installation(settings), on_plan=self._use, on_types_changed=self._types_changed
        )
        self._control_api = KubernetesControlApi(client)
        self._sweeper = Sweeper(self.declarations, self._control_api)
        self.collector = Collector(
            client,
            place=Place(cluster=settings.cluster, observer=socket.gethostname(), window_length=window_length),
            memory=store,
            pipeline=self.pipeline,
            kinds=self._kinds,
            install_key=store.install_key,
            plan=self.declarations.plan,
        )
        self.audit = AuditInlet(
            settings, kinds=self._kinds, pipeline=self.pipeline, rules=self.collector.rules
        )

    async def run(self) -> None:
        """Start everything; ends only with an error or by cancellation."""
        async with (
            _measured(ExportCollector(self.fleet.states)),
            _measured(ProcessCollector(store=self._store.statistics, health=self.health)),
            _served(self._status_server()),
            self.audit.listening(),
            asyncio.TaskGroup() as group,
        ):

            def start(name: str, run: Callable[[], Awaitable[None]]) -> None:
                group.create_task(supervise(name, run), name=name)

            start("sweeper", self._sweeper.run)
            kopf = OperatorThread(self.declarations, self._login, served=self._control_api.served)
            start("kopf", kopf.run)
            logger.info("waiting for the cluster to say which policies there are")
            await self._sweeper.known.wait()
            self._use(self.declarations.plan)
            self.audit.open()
            self._announce()
            start("watches", self.collector.watch.run)
            start("checkpoints", self.collector.flush_now_and_then)
            start("exporters", self.fleet.run)
            start("reporter", Reporter(self.declarations, self._control_api, health=self.health).run)
            start("cluster identity", self._learn_cluster)

    def health(self) -> Health:
        """How everything is doing, for the status of policies."""
        return health_of(
            plan=self.collector.plan,
            watch=self.collector.watch,
            exporters=self.fleet.states(),
            store=self._store.statistics(),
            cluster_uid=self._cluster_uid,
            last_audit=self.audit.last_time,
        )

    def not_ready(self) -> str:
        """Why this process is not doing its work, or nothing."""
        if not self._sweeper.known.is_set():
            return "waiting for the cluster to say which policies there are"
        return self.collector.watch.health.message

    def _use(self, plan: Plan) -> None:
        self.collector.use(plan)
        self.audit.use(self.collector.rules)
        self.fleet.use(plan.exporters)

    def _types_changed(self) -> None:
        self.collector.watch.rediscover()

    def _announce(self) -> None:
        plan = self.collector.plan
        policies = sorted({scope.policy for scope in plan.scopes if scope.policy})
        if policies:
            logger.info("tracing by policies: %s", ", ".join(policies))
        elif plan.scopes:
            logger.info("no TracingPolicy: tracing everything (see --without-policy)")
        else:
            logger.info("no TracingPolicy selects anything: tracing nothing")

    async def _login(self) -> Configuration:
        access = await find_access(
            kubeconfig=self._settings.kubeconfig, context=self._settings.context, environ=os.environ
        )
        return access.configuration

    async def _learn_cluster(self) -> None:
        try:
            self._cluster_uid = await cluster_uid(self._client) or ""
        except ApiFailure as failure:
            logger.info("the cluster's identity is unknown: reason=%s", failure)

    def _status_server(self) -> StatusServer | None:
        if not self._settings.status_listen:
            return None
        host, port = parse_address(self._settings.status_listen)
        return StatusServer(host=host, port=port, ready=self.not_ready)


def _installation(settings: Settings) -> Installation:
    exporters = (parse_endpoint(settings.otlp),) if settings.otlp else ()
    return Installation(cluster=settings.cluster, without_policy=settings.without_policy, exporters=exporters)


@contextlib.asynccontextmanager
async def _storing(settings: Settings) -> AsyncIterator[tuple[SqliteStore, Writer]]:
    store = SqliteStore(
        settings.store, max_bytes=settings.store_max_bytes, max_pending=settings.max_pending_spans
    )
    try:
        async with Writer(store) as writer:
            yield store, writer
    finally:
        store.close()


@contextlib.asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[ClusterClient]:
    client = await connect(kubeconfig=settings.kubeconfig, context=settings.context)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _measured(collector: MetricsSource) -> AsyncIterator[None]:
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)


@contextlib.asynccontextmanager
async def _served(server: StatusServer | None) -> AsyncIterator[None]:
    if server is not None:
        await server.start()
    try:
        yield
    finally:
        if server is not None:
            await server.close()


async def _flush_if_possible(collector: Collector) -> None:
    """The last checkpoint, unless the store is full: then the next run begins at the one before, and repeats."""
    try:
        async with asyncio.timeout(LAST_CHECKPOINT):
            await collector.flush()
    except TimeoutError:
        logger.warning(
            "the last checkpoint cannot be written: the next start repeats what came since the one before"
        )


async def _until_signal(run: Callable[[], Awaitable[None]]) -> None:
    """Run until a signal asks to stop; errors of ``run`` itself come out as they are."""
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None
    asked = False

    def stop() -> None:
        nonlocal asked
        if not asked:
            asked = True
            logger.info("stopping")
            running.cancel()

    for name in STOP_SIGNALS:
        loop.add_signal_handler(name, stop)
    try:
        await run()
    except asyncio.CancelledError:
        if not asked:
            raise
        running.uncancel()
