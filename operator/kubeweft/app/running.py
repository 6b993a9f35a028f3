"""``kubeweft run``: the process around the operator: its store, its connection, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

from kubeweft.app.operating import Operator
from kubeweft.kube.clients import ClusterClient, connect
from kubeweft.runtime.loop_errors import quieten
from kubeweft.runtime.telemetry import own_traces
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.settings import Settings
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def run_operator(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; raises ``UserError`` if it cannot start."""
    tune_interpreter()
    quieten(asyncio.get_running_loop())
    with own_traces():
        async with _connected(settings) as client, _storing(settings) as (store, writer):
            operator = Operator(settings, store=store, writer=writer, client=client)
            await _until_signal(operator.run)
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
