"""All exporters that the plan names: started, stopped and replaced as the plan changes, each on its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from kubeweft.export.exporter import SavePosition, SpoolExporter, WaitBeyond
from kubeweft.export.standing import ExporterState
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter
from kubeweft.runtime.tasks import supervise
from kubeweft.store.interfaces import SpanSpool

logger = logging.getLogger(__name__)


class ExporterFleet:
    """Keeps one supervised task per exporter. ``use`` may be called at any time; ``run`` does the work."""

    def __init__(
        self,
        spool: SpanSpool,
        *,
        wait_beyond: WaitBeyond,
        newest: Callable[[], int],
        save_position: SavePosition,
        in_use: Callable[[Sequence[str]], None],
    ) -> None:
        """``in_use`` is told, in a thread, the names of the exporters whenever they change."""
        self._spool = spool
        self._wait_beyond = wait_beyond
        self._newest = newest
        self._save_position = save_position
        self._in_use = in_use
        self._wanted: tuple[Exporter, ...] = ()
        self._running: dict[Exporter, asyncio.Task[None]] = {}
        self._exporters: dict[Exporter, SpoolExporter] = {}
        self._refused: dict[Exporter, ExporterState] = {}
        self._changed = asyncio.Event()

    def use(self, exporters: Sequence[Exporter]) -> None:
        """From now on, these."""
        self._wanted = tuple(exporters)
        self._changed.set()

    def states(self) -> Mapping[str, ExporterState]:
        """How each exporter stands, by its name."""
        running = {exporter.name: drain.state for exporter, drain in self._exporters.items()}
        refused = {exporter.name: state for exporter, state in self._refused.items()}
        return {**refused, **running}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                wanted = self._wanted
                for leaving in [e for e in self._running if e not in wanted]:
                    await self._stop(leaving)
                self._refused = {e: state for e, state in self._refused.items() if e in wanted}
                await asyncio.to_thread(self._in_use, [exporter.name for exporter in wanted])
                for exporter in wanted:
                    if exporter not in self._running and exporter not in self._refused:
                        self._start(group, exporter)
                await self._changed.wait()

    def _start(self, group: asyncio.TaskGroup, exporter: Exporter) -> None:
        try:
            drain = SpoolExporter(
                self._spool,
                exporter,
                wait_beyond=self._wait_beyond,
                newest=self._newest,
                save_position=self._save_position,
            )
        except UserError as error:
            logger.error(
                "an exporter cannot work as it is declared: exporter=%s reason=%s", exporter.name, error
            )
            self._refused[exporter] = ExporterState(reason="Rejected", message=str(error))
            return
        self._exporters[exporter] = drain
        name = f"exporter {exporter.name}"
        self._running[exporter] = group.create_task(supervise(name, drain.run), name=name)

    async def _stop(self, exporter: Exporter) -> None:
        task = self._running.pop(exporter)
        self._exporters.pop(exporter)
        task.cancel()
        await asyncio.wait((task,), timeout=5.0)
