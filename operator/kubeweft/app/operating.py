"""The parts of one running process and how they reach each other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from kubernetes_asyncio.client.configuration import Configuration
from prometheus_client import REGISTRY
from prometheus_client.registry import Collector as MetricsSource

from kubeweft.app.auditing import AuditInlet, Bookmarks
from kubeweft.app.collecting import Collector, Place
from kubeweft.app.exporting import Exports
from kubeweft.app.health import cluster_health, health_of
from kubeweft.app.identifying import Identities
from kubeweft.app.joining import ClusterSet
from kubeweft.app.membership import Relink, Shared
from kubeweft.app.metrics import ProcessCollector
from kubeweft.app.pipeline import Pipeline
from kubeweft.control.admission.addresses import reached_at
from kubeweft.control.admission.judging import Judge
from kubeweft.control.admission.setting_up import Admission
from kubeweft.control.api import KubernetesControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.secrets import SecretBook
from kubeweft.control.judging.health import Health
from kubeweft.control.reporting import Reporter
from kubeweft.control.sweeping import Sweeper
from kubeweft.control.watching.operator_thread import OperatorThread
from kubeweft.export.endpoints import parse_endpoint
from kubeweft.export.fleet import ExporterFleet
from kubeweft.export.metrics import ExportCollector
from kubeweft.kube.clients import ClusterClient, read_secret
from kubeweft.kube.collection import Recognise
from kubeweft.kube.credentials import find_access
from kubeweft.links.linker import Linker
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import AuditInlet as Way
from kubeweft.model.plan import Plan, Scope
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS
from kubeweft.runtime import clock
from kubeweft.runtime.status_server import StatusServer
from kubeweft.runtime.tasks import supervise
from kubeweft.settings import Settings, parse_address
from kubeweft.store.retention import Retainer
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

logger = logging.getLogger(__name__)

SECRET_DEADLINE = 8.0  # seconds
KINDS_EVERY = 2.0  # seconds
SECRETS_FIRST = 10.0  # seconds that the start waits for them


class Operator:
    """One process: made, then run."""

    def __init__(
        self, settings: Settings, *, store: SqliteStore, writer: Writer, client: ClusterClient
    ) -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._client = client
        self._store = store
        self._kinds = Kinds()
        self._window_length = settings.window_seconds * NANOSECONDS
        self.pipeline = Pipeline(self._weaver(), writer)
        self.linker = Linker(self._kinds)
        self.fleet = ExporterFleet(
            store,
            wait_beyond=writer.wait_beyond,
            newest=lambda: writer.statistics().position,
            save_position=writer.save_export_position,
            in_use=store.activate_exporters,
            is_chosen=self._is_chosen,
        )
        self.exports = Exports(self.fleet, objects_are_known=lambda: self.clusters.know_objects)
        self.retainer = Retainer(store, lambda: self.clusters.plan.retention, now=clock.now)
        self.secrets = SecretBook(self._read_secret)
        self.declarations = Declarations(
            _installation(settings),
            on_plan=self._use,
            on_types_changed=self._types_changed,
            secrets=self.secrets,
        )
        self._admission = self._admission_webhook()
        self._control_api = KubernetesControlApi(client)
        self._sweeper = Sweeper(self.declarations, self._control_api)
        self.clusters = ClusterSet(
            settings.cluster,
            connect=self._local,
            plan=self.declarations.plan,
            shared=Shared(
                identities=Identities(store, local=settings.cluster, write=writer.write),
                pipeline=self.pipeline,
                install_key=store.install_key,
                collect=self._collect,
                forget=self._forget,
                observer=socket.gethostname(),
            ),
        )
        self.audit = AuditInlet(
            settings,
            rules_of=self.clusters.rules_of,
            kinds_of=self._kinds_of,
            pipeline=self.pipeline,
            bookmarks=Bookmarks(load=store.bookmark, save=writer.save_bookmark),
        )

    async def run(self) -> None:
        """Start everything; ends only with an error or by cancellation."""
        async with (
            _measured(ExportCollector(self.fleet.states)),
            _measured(
                ProcessCollector(
                    store=self._store.statistics,
                    health=self.health,
                    retention=self.retainer.statistics,
                )
            ),
            _served(self._status_server()),
            self.audit.listening(),
            asyncio.TaskGroup() as group,
        ):

            def start(name: str, run: Callable[[], Awaitable[None]]) -> None:
                group.create_task(supervise(name, run), name=name)

            start("sweeper", self._sweeper.run)
            kopf = OperatorThread(
                self.declarations,
                self._login,
                served=self._control_api.served,
                admission=self._admission,
            )
            start("kopf", kopf.run)
            logger.info("waiting for the cluster to say which policies there are")
            await self._sweeper.known.wait()
            await self._read_secrets_once()
            self._use(self.declarations.plan)
            self.audit.open()
            self._announce()
            start("clusters", self.clusters.run)
            start("rules", self._link_what_became_known)
            start("secrets", self.secrets.run)
            start("audit log", self.audit.follow_log)
            start("exporters", self.fleet.run)
            start("exporters that wait", self.exports.run)
            start("retention", self.retainer.run)
            start("reporter", Reporter(self.declarations, self._control_api, health=self.health).run)

    def health(self) -> Health:
        """How everything is doing, for the status of policies."""
        return health_of(
            plan=self.clusters.plan,
            members=self.clusters.members().values(),
            last_audit=self.audit.last_time,
            exporters=self.fleet.states(),
            store=self._store.statistics(),
            rules=self.linker.statistics(),
        )

    def not_ready(self) -> str:
        """Why this process is not doing its work, or nothing. Joined clusters that are down do not hold it up."""
        if not self._sweeper.known.is_set():
            return "waiting for the cluster to say which policies there are"
        local = self.clusters.local
        if not local.trouble.message and local.collector is None:
            return "the cluster has not been asked yet"
        return cluster_health(local, 0).unreachable

    def _use(self, plan: Plan) -> None:
        labels = {cluster.name: dict(cluster.labels) for cluster in plan.clusters}
        labels[self._settings.cluster] = dict(plan.labels)
        changed = self.linker.use(plan.rules, clusters=labels)
        self.clusters.use(plan, relink=_concerned(changed))
        self.audit.use(plan.clusters, audited=plan.audited)
        self.exports.use(plan)

    async def _link_what_became_known(self) -> None:
        """Rules may have waited for a kind that any of the clusters has told of meanwhile."""
        while True:
            await asyncio.sleep(KINDS_EVERY)
            waited = self.linker.kinds_grown()
            if waited:
                self.clusters.relink(_concerned(waited))

    def _is_chosen(self, scope: Scope, key: ObjectKey) -> bool:
        """Whether an exporter's policy selects an object by what is in it, as far as that is known."""
        return self.clusters.rules_of(key.cluster).is_chosen(scope, key)

    def _types_changed(self) -> None:
        self.clusters.rediscover()

    def _announce(self) -> None:
        plan = self.clusters.plan
        policies = sorted({scope.policy for scope in plan.scopes if scope.policy})
        if policies:
            logger.info("tracing by policies: %s", ", ".join(policies))
        elif plan.scopes:
            logger.info("no TracingPolicy: tracing everything (see --without-policy)")
        else:
            logger.info("no TracingPolicy selects anything: tracing nothing")

    def _weaver(self) -> Weaver:
        weaver = Weaver(window_length=self._window_length, kinds=self._kinds)
        for window in self._store.recent_windows(clock.now() - self._window_length):
            weaver.know_activity(window.key, window.start, active=window.active)
        return weaver

    def _kinds_of(self, _cluster: str) -> Kinds:
        """One table for all clusters: where two serve a type of one name and group, they mean the same type."""
        return self._kinds

    def _collect(self, cluster: str, client: ClusterClient, plan: Plan, recognise: Recognise) -> Collector:
        return Collector(
            client,
            place=Place(cluster=cluster, observer=socket.gethostname(), window_length=self._window_length),
            memory=self._store,
            pipeline=self.pipeline,
            kinds=self._kinds_of(cluster),
            install_key=self._store.install_key,
            plan=plan,
            linker=self.linker,
            recognise=recognise,
        )

    async def _forget(self, cluster: str) -> None:
        """A cluster is left: its objects count for no rule any more."""
        self.pipeline.forget_cluster(cluster)
        await self.pipeline.deliver(self.linker.forget_cluster(cluster, time=clock.now()))

    @contextlib.asynccontextmanager
    async def _local(self) -> AsyncIterator[ClusterClient]:
        """The client of the local cluster, which others use too: it is closed at the very end."""
        yield self._client

    async def _read_secrets_once(self) -> None:
        """Joined clusters and exporters are better known from the start; but not at any price."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECRETS_FIRST):
                await self.secrets.refresh()

    async def _read_secret(self, name: str) -> Mapping[str, bytes]:
        return await read_secret(self._client, self._settings.namespace, name, deadline=SECRET_DEADLINE)

    async def _login(self) -> Configuration:
        access = await find_access(
            kubeconfig=self._settings.kubeconfig, context=self._settings.context, environ=os.environ
        )
        return access.configuration

    def _admission_webhook(self) -> Admission | None:
        if not self._settings.admission_listen:
            return None
        address = reached_at(
            listen=parse_address(self._settings.admission_listen),
            host=self._settings.admission_host,
            service=self._settings.admission_service,
        )
        judge = Judge(
            self.declarations.objects, _installation(self._settings), secrets=lambda: self.secrets.known
        )
        return Admission(address=address, judge=judge)

    def _status_server(self) -> StatusServer | None:
        if not self._settings.status_listen:
            return None
        host, port = parse_address(self._settings.status_listen)
        return StatusServer(host=host, port=port, ready=self.not_ready)


def _concerned(types: frozenset[tuple[str, str]]) -> Relink:
    def concerns(group: str, resource: str) -> bool:
        return ("*", "*") in types or (group, resource) in types

    return concerns


def _installation(settings: Settings) -> Installation:
    ways: dict[Way, str] = {"Webhook": settings.audit_listen, "LogFile": settings.audit_log}
    return Installation(
        cluster=settings.cluster,
        without_policy=settings.without_policy,
        exporters=(parse_endpoint(settings.otlp),) if settings.otlp else (),
        namespace=settings.namespace,
        audit_inlets=frozenset(way for way, place in ways.items() if place),
    )


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
