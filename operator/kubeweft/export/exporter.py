"""Drains the spool to one receiver: read, encode, deliver, remember how far; for ever.

At least once and in order of arrival: the position is saved only after the receiver accepted all spans up to it, so
after a crash some spans are sent again, with the same bytes. The spool is read and written in a thread, because it
is a file. Nothing is held in memory but the batch at hand: a receiver that is down costs disk, not memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from kubeweft.export.backoff import Backoff
from kubeweft.export.carriers import Carrier, OtlpCarrier
from kubeweft.export.delivery import Delivery, Pause, Placed
from kubeweft.export.sending import check_exporter, open_sender
from kubeweft.export.standing import ExporterState, Standing
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import NotNow
from kubeweft.model.plan import Exporter
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanSpool

LONGEST_WAIT: Final = 10.0  # seconds; then the spool is looked at: another process may have written to it

logger = logging.getLogger(__name__)

SavePosition = Callable[[str, int], Awaitable[object]]
OpenCarrier = Callable[[], Carrier[Any, Any]]


class WaitBeyond(Protocol):
    """Waits until the spool holds spans after ``position``, at most ``timeout`` seconds."""

    def __call__(self, position: int, *, timeout: float) -> Awaitable[object]: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request holds. gRPC receivers refuse messages over 4 MiB; a single large span goes alone."""

    spans: int = 512
    bytes: int = 1024 * 1024


class _Read(NamedTuple):
    """What was read: ``end`` is the last position looked at, selected or not."""

    end: int
    batches: list[list[Placed[Any]]]


class SpoolExporter:
    """One exporter of the plan, over OTLP unless another carrier is given."""

    def __init__(
        self,
        spool: SpanSpool,
        exporter: Exporter,
        *,
        wait_beyond: WaitBeyond,
        newest: Callable[[], int] | None = None,
        save_position: SavePosition | None = None,
        open_carrier: OpenCarrier | None = None,
        on_change: Callable[[ExporterState], None] | None = None,
        backoff: Backoff | None = None,
        limits: Limits = Limits(),
        pause: Pause = asyncio.sleep,
    ) -> None:
        """UserError if the exporter cannot work as it is declared.

        ``newest()`` is the last position of the spool. ``save_position(name, position)`` may save together with
        other writing; without it each acceptance is a write of its own. ``open_carrier`` is called by each ``run``.
        """
        if open_carrier is None:
            check_exporter(exporter)
        self._spool = spool
        self._name = exporter.name
        self._wait_beyond = wait_beyond
        self._save_position = save_position or self._save_in_thread
        self._unsaved = False
        self._open_carrier = open_carrier or (lambda: OtlpCarrier(open_sender(exporter)))
        self._backoff = backoff or Backoff()
        self._limits = limits
        self._pause = pause
        self._selects = _selector(exporter)
        self._read_until = 0
        self._standing = Standing(
            exporter.name, newest=newest or (lambda: self._read_until), changed=on_change or (lambda _: None)
        )

    @property
    def state(self) -> ExporterState:
        """How the exporter stands now."""
        return self._standing.state

    async def run(self) -> None:
        """Export until cancelled. What the spool raises ends the task; it may be started again."""
        self._standing.moved(await asyncio.to_thread(self._begin))
        carrier = self._open_carrier()
        delivery = Delivery(
            carrier, standing=self._standing, confirm=self._confirm, backoff=self._backoff, pause=self._pause
        )
        try:
            while True:
                await self._turn(carrier, delivery)
        finally:
            await carrier.close()

    async def _turn(self, carrier: Carrier[Any, Any], delivery: Delivery[Any, Any]) -> None:
        position = self.state.position
        read = await asyncio.to_thread(self._read, position, carrier)
        self._read_until = read.end
        if read.end == position:
            self._standing.idle()
            await self._wait_beyond(position, timeout=LONGEST_WAIT)
        elif await delivery.deliver(read.batches) and self.state.position < read.end:
            await self._confirm(read.end)  # the last ones were not selected

    def _begin(self) -> int:
        """The position to start from: saved at once, or a restart before the first acceptance would start later."""
        position = self._spool.export_position(self._name)
        self._spool.save_export_position(self._name, position)
        return max(position, self.state.position)  # this process may know better than what could be saved

    def _read(self, position: int, carrier: Carrier[Any, Any]) -> _Read:
        batches: list[list[Placed[Any]]] = []
        room, end = 0, position
        for end, span in self._spool.spans_after(position, limit=self._limits.spans):
            if not self._selects(span):
                continue
            piece = carrier.prepare(span)
            size = carrier.size(piece)
            if size > room:
                batches.append([])
                room = self._limits.bytes
            batches[-1].append(Placed(end, piece, f"{span.span_id.hex()} of trace {span.trace_id.hex()}"))
            room -= size
        return _Read(end, batches)

    async def _confirm(self, position: int) -> None:
        """A position that cannot be saved now is no reason to stop: a full store needs its spans to go out."""
        try:
            await self._save_position(self._name, position)
            self._unsaved = False
        except NotNow as error:
            if not self._unsaved:
                logger.warning("exporter %s: its position is not saved: %s", self._name, error)
            self._unsaved = True
        self._standing.moved(position)

    async def _save_in_thread(self, name: str, position: int) -> None:
        await asyncio.to_thread(self._spool.save_export_position, name, position)


def _selector(exporter: Exporter) -> Callable[[Span], bool]:
    """Whether an exporter wants a span."""

    def selects(span: Span) -> bool:
        verb, user = span.attributes.get(v.VERB, ""), span.attributes.get(v.USER, "")
        return exporter.wants_span(span.key, span.source, verb=str(verb), user=str(user))

    return selects if exporter.scopes else lambda _: True
