"""Drains the spool to one receiver: read, route, encode, deliver, remember how far; for ever.

At least once and in order of arrival: the position is saved only after the receiver accepted all spans up to it, so
after a crash some spans are sent again, with the same bytes. The spool is read and written in a thread, because it
is a file. Nothing is held in memory but the batch at hand: a receiver that is down costs disk, not memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from kubeweft.export.backoff import Backoff
from kubeweft.export.carriers import Carrier, OtlpCarrier
from kubeweft.export.delivery import Delivery, Pause
from kubeweft.export.intake import Intake, IsChosen, Limits, Spool
from kubeweft.export.sending import check_exporter, open_sender
from kubeweft.export.stage import Clocks
from kubeweft.export.standing import ExporterState, Standing
from kubeweft.model.errors import NotNow
from kubeweft.model.plan import Exporter

__all__ = ["Limits", "SpoolExporter"]

LONGEST_WAIT: Final = 10.0  # seconds; then the spool is looked at: another process may have written to it
_SHORTEST_WAIT: Final = 0.01
DEFAULT_LIMITS: Final = Limits()
REAL_CLOCKS: Final = Clocks()

logger = logging.getLogger(__name__)

SavePosition = Callable[[str, int], Awaitable[object]]
OpenCarrier = Callable[[], Carrier[Any, Any]]


class WaitBeyond(Protocol):
    """Waits until the spool holds spans after ``position``, at most ``timeout`` seconds."""

    def __call__(self, position: int, *, timeout: float) -> Awaitable[object]: ...


class SpoolExporter:
    """One exporter of the plan, over OTLP unless another carrier is given."""

    def __init__(
        self,
        spool: Spool,
        exporter: Exporter,
        *,
        wait_beyond: WaitBeyond,
        newest: Callable[[], int] | None = None,
        save_position: SavePosition | None = None,
        open_carrier: OpenCarrier | None = None,
        on_change: Callable[[ExporterState], None] | None = None,
        backoff: Backoff | None = None,
        limits: Limits = DEFAULT_LIMITS,
        pause: Pause = asyncio.sleep,
        grouped: bool = False,
        is_chosen: IsChosen | None = None,
        clocks: Clocks = REAL_CLOCKS,
    ) -> None:
        """UserError if the exporter cannot work as it is declared.

        ``newest()`` is the last position of the spool. ``save_position(name, position)`` may save together with
        other writing; without it each acceptance is a write of its own. ``open_carrier`` is called by each ``run``.
        ``grouped`` says that rules put spans into traces of other objects; found in the spool, such links tell so too.
        ``is_chosen`` is asked, in a thread, for scopes that look into objects.
        """
        if open_carrier is None:
            check_exporter(exporter)
        self._spool = spool
        self._exporter = exporter
        self._wait_beyond = wait_beyond
        self._save_position = save_position or self._save_in_thread
        self._unsaved = False
        self._open_carrier = open_carrier or (lambda: OtlpCarrier(open_sender(exporter)))
        self._backoff = backoff or Backoff()
        self._limits = limits
        self._pause = pause
        self._grouped = grouped
        self._is_chosen = is_chosen
        self._clocks = clocks
        self._read_until = 0
        self._newest = newest or (lambda: self._read_until)
        self._standing = Standing(exporter.name, newest=self._newest, changed=on_change or (lambda _: None))

    @property
    def state(self) -> ExporterState:
        """How the exporter stands now."""
        return self._standing.state

    async def run(self) -> None:
        """Export until cancelled. What the spool raises ends the task; it may be started again."""
        self._standing.moved(await asyncio.to_thread(self._begin))
        carrier = self._open_carrier()
        try:
            await self._drain(carrier)
        finally:
            await carrier.close()

    async def _drain(self, carrier: Carrier[Any, Any]) -> None:
        intake = Intake(
            self._spool,
            self._exporter,
            position=self.state.position,
            newest=self._newest(),
            carrier=carrier,
            limits=self._limits,
            grouped=self._grouped,
            is_chosen=self._is_chosen,
            clocks=self._clocks,
        )

        async def pause(seconds: float) -> None:
            await self._pause(seconds)
            self._note(intake)

        delivery = Delivery(
            carrier, standing=self._standing, confirm=self._confirm, backoff=self._backoff, pause=pause
        )
        while True:
            await self._turn(intake, delivery)

    async def _turn(self, intake: Intake[Any, Any], delivery: Delivery[Any, Any]) -> None:
        self._note(intake)
        dropped = intake.dropped
        batches = await asyncio.to_thread(intake.fill)
        self._read_until = intake.end
        self._standing.capped(intake.dropped - dropped)
        if batches:
            intake.waiting = await delivery.deliver(batches)
        if not intake.waiting and self.state.position < intake.end:
            await self._confirm(intake.end)  # the last ones were not selected
        elif not batches:
            self._standing.idle()
            await self._wait(intake)

    def _note(self, intake: Intake[Any, Any]) -> None:
        if intake.is_staged:
            intake.arrivals.note(self._newest())

    async def _wait(self, intake: Intake[Any, Any]) -> None:
        due = intake.until_due()
        timeout = LONGEST_WAIT if due is None else min(max(due, _SHORTEST_WAIT), LONGEST_WAIT)
        if intake.is_settling:
            await asyncio.sleep(timeout)  # whatever arrives meanwhile is younger still
        else:
            await self._wait_beyond(intake.end, timeout=timeout)

    def _begin(self) -> int:
        """The position to start from: saved at once, or a restart before the first acceptance would start later."""
        name = self._exporter.name
        position = self._spool.export_position(name)
        self._spool.save_export_position(name, position)
        return max(position, self.state.position)  # this process may know better than what could be saved

    async def _confirm(self, position: int) -> None:
        """A position that cannot be saved now is no reason to stop: a full store needs its spans to go out."""
        if position <= self.state.position:
            return  # one of several spans for one place in the spool
        name = self._exporter.name
        try:
            await self._save_position(name, position)
            self._unsaved = False
        except NotNow as error:
            if not self._unsaved:
                logger.warning("exporter %s: its position is not saved: %s", name, error)
            self._unsaved = True
        self._standing.moved(position)

    async def _save_in_thread(self, name: str, position: int) -> None:
        await asyncio.to_thread(self._spool.save_export_position, name, position)
