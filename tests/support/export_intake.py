"""The inside of an exporter without a network: what would leave for the receiver, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.export.intake import Intake, Limits
from kubeweft.export.outcomes import Outcome
from kubeweft.export.stage import Clocks
from kubeweft.model.plan import Exporter
from kubeweft.model.spans import Span
from memory_spool import MemorySpool

SETTLE = 2.0
EPOCH = 1_795_000_000_000_000_000


class AsTheyAre:
    """A carrier that leaves spans as they are."""

    def prepare(self, span: Span) -> Span:
        return span

    def size(self, piece: Span) -> int:
        return 1

    def pack(self, pieces: list[Span]) -> list[Span]:
        return pieces

    async def send(self, payload: list[Span], count: int) -> Outcome:
        raise AssertionError("nothing is sent here")

    async def close(self) -> None:
        pass


class Outlet:
    """One exporter on a spool; ``received`` is all that has left, in order. ``restart`` is a crash that loses nothing.

    Batches are small, so that a tree that is sent as a whole takes several.
    """

    def __init__(
        self, spool: MemorySpool, exporter: Exporter, *, grouped: bool = False, limit: int = 7
    ) -> None:
        self.received: list[Span] = []
        self.position = 0
        self.dropped = 0
        self.time = 1000.0
        self._spool, self._exporter, self._grouped = spool, exporter, grouped
        self._limits = Limits(spans=limit)
        self.restart()

    def restart(self) -> None:
        """What was not confirmed is forgotten, and so is everything that was remembered."""
        self._intake: Intake[Span, list[Span]] = Intake(
            self._spool,
            self._exporter,
            position=self.position,
            newest=self._spool.newest(),
            carrier=AsTheyAre(),
            limits=self._limits,
            grouped=self._grouped,
            clocks=Clocks(now=lambda: self.time, wall=lambda: EPOCH + int(self.time * 1e9), settle=SETTLE),
        )

    def arrive(self, spans: Iterable[Span]) -> None:
        """Spans are written now."""
        self._spool.add(spans)
        self._intake.arrivals.note(self._spool.newest())

    def turn(self, *, accepts: int | None = None) -> bool:
        """One delivery; the receiver takes so many of the spans. Whether there was anything to do."""
        before = self._intake.end
        waiting = [placed for batch in self._intake.fill() for placed in batch]
        taken = waiting[:accepts]
        self.received += [placed.piece for placed in taken]
        self._intake.waiting = waiting[len(taken) :]
        self.position = max([self.position, *(placed.position for placed in taken)])
        self.dropped = self._intake.dropped
        if not self._intake.waiting:
            self.position = max(self.position, self._intake.end)
        return bool(waiting) or self._intake.end > before

    def settle(self, *, seconds: float = SETTLE) -> None:
        """Let time pass, then send all that is old enough."""
        self.time += seconds
        while self.turn():
            pass

    @property
    def forms(self) -> dict[tuple[bytes, bytes], list[Span]]:
        """What the receiver has, by trace and span ID: in more than one form where a span was changed."""
        forms: dict[tuple[bytes, bytes], list[Span]] = {}
        for span in self.received:
            known = forms.setdefault((span.trace_id, span.span_id), [])
            if span not in known:
                known.append(span)
        return forms
