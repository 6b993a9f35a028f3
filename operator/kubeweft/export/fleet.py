"""All exporters that the plan names: started, stopped and replaced as the plan changes, each on its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kubeweft.export.exporter import SavePosition, SpoolExporter, WaitBeyond
from kubeweft.export.intake import IsChosen, Spool
from kubeweft.export.standing import ExporterState
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter
from kubeweft.runtime.tasks import supervise

logger = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    """What makes one task: if any of it changes, another one takes its place."""

    exporter: Exporter
    grouped: bool


class ExporterFleet:
    """Keeps one supervised task per exporter. ``use`` may be called at any time; ``run`` does the work."""

    def __init__(
        self,
        spool: Spool,
        *,
        wait_beyond: WaitBeyond,
        newest: Callable[[], int],
        save_position: SavePosition,
        in_use: Callable[[Sequence[str]], None],
        is_chosen: IsChosen | None = None,
    ) -> None:
        """``in_use`` is told, in a thread, the names of the exporters whenever they change; so is ``is_chosen`` asked."""
        self._is_chosen = is_chosen
        self._spool = spool
        self._wait_beyond = wait_beyond
        self._newest = newest
        self._save_position = save_position
        self._in_use = in_use
        self._wanted: tuple[_Wanted, ...] = ()
        self._waiting: tuple[str, ...] = ()
        self._running: dict[_Wanted, asyncio.Task[None]] = {}
        self._exporters: dict[_Wanted, SpoolExporter] = {}
        self._refused: dict[_Wanted, ExporterState] = {}
        self._changed = asyncio.Event()

    def use(
        self, exporters: Sequence[Exporter], *, grouped: bool = False, waiting: Sequence[str] = ()
    ) -> None:
        """From now on, these; ``grouped`` says that a rule puts spans into the traces of other objects.

        Spans are kept for those that are ``waiting`` to begin, by their names.
        Only those that differ from before are stopped and started: also where but a header or a certificate differs.
        """
        self._wanted = tuple(_Wanted(exporter, grouped) for exporter in exporters)
        self._waiting = tuple(waiting)
        self._changed.set()

    def states(self) -> Mapping[str, ExporterState]:
        """How each exporter stands, by its name."""
        running = {wanted.exporter.name: drain.state for wanted, drain in self._exporters.items()}
        refused = {wanted.exporter.name: state for wanted, state in self._refused.items()}
        return {**refused, **running}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                wanted = self._wanted
                for leaving in [w for w in self._running if w not in wanted]:
                    await self._stop(leaving)
                self._refused = {w: state for w, state in self._refused.items() if w in wanted}
                await asyncio.to_thread(self._in_use, [*(w.exporter.name for w in wanted), *self._waiting])
                for coming in wanted:
                    if coming not in self._running and coming not in self._refused:
                        self._start(group, coming)
                await self._changed.wait()

    def _start(self, group: asyncio.TaskGroup, wanted: _Wanted) -> None:
        exporter = wanted.exporter
        try:
            drain = SpoolExporter(
                self._spool,
                exporter,
                wait_beyond=self._wait_beyond,
                newest=self._newest,
                save_position=self._save_position,
                grouped=wanted.grouped,
                is_chosen=self._is_chosen,
            )
        except UserError as error:
            logger.error(
                "an exporter cannot work as it is declared: exporter=%s reason=%s", exporter.name, error
            )
            self._refused[wanted] = ExporterState(reason="Rejected", message=str(error))
            return
        self._exporters[wanted] = drain
        name = f"exporter {exporter.name}"
        self._running[wanted] = group.create_task(supervise(name, drain.run), name=name)

    async def _stop(self, leaving: _Wanted) -> None:
        task = self._running.pop(leaving)
        self._exporters.pop(leaving)
        task.cancel()
        await asyncio.wait((task,), timeout=5.0)
