"""``kubeweft run``: the process around the operator: its store, its connection, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from kubeweft.app.foreign_spans import receiving_foreign
from kubeweft.app.operating import Operator
from kubeweft.app.serving import serve_options, serving
from kubeweft.kube.clients import ClusterClient, connect
from kubeweft.runtime.loop_errors import quieten
from kubeweft.runtime.signals import until_signal
from kubeweft.runtime.telemetry import own_traces
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.settings import Settings
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer

logger = logging.getLogger(__name__)


async def run_operator(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; raises ``UserError`` if it cannot start."""
    tune_interpreter()
    quieten(asyncio.get_running_loop())
    with own_traces():
        async with _connected(settings) as client, _storing(settings) as (store, writer):
            operator = Operator(settings, store=store, writer=writer, client=client)
            foreign = receiving_foreign(
                settings,
                writer.write,
                hiding=lambda: operator.clusters.rules_of(settings.cluster).redactor,
                is_open=lambda: operator.audit.is_open,
            )
            served = serving(serve_options(settings), home=client, others=operator.clusters.clients)
            async with served, foreign:
                await until_signal(operator.run)
    logger.info("stopped")


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
