"""From the spool to what is delivered next: reads on, lets a stage decide, encodes, and keeps what is not delivered.

Memory is bounded by what one delivery holds: a tree that has to be sent again as a whole is read trace by trace, as
the receiver takes it. All of this is synchronous and belongs into a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol

from kubeweft.export.arrivals import Arrivals
from kubeweft.export.carriers import Carrier, Payload, Piece
from kubeweft.export.delivery import Placed
from kubeweft.export.forest import is_grouping
from kubeweft.export.stage import Clocks, Stage, needs_stage
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Exporter, Scope
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanSpool

_MOST_PROBES: Final = 20


# Whether what a scope says about the inside of objects holds for one.
IsChosen = Callable[[Scope, ObjectKey], bool]


class Spool(SpanSpool, Protocol):
    """A spool that also gives whole traces, whatever of them has been drained."""

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """All spans of these traces, each trace in order of arrival; unknown IDs are skipped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request holds. gRPC receivers refuse messages over 4 MiB; a single large span goes alone."""

    spans: int = 512
    bytes: int = 1024 * 1024


class Intake(Generic[Piece, Payload]):
    """One run of one exporter, from a position on. ``end`` is the last position of which nothing is left to send."""

    def __init__(
        self,
        spool: Spool,
        exporter: Exporter,
        *,
        position: int,
        newest: int,
        carrier: Carrier[Piece, Payload],
        limits: Limits,
        grouped: bool,
        clocks: Clocks,
        is_chosen: IsChosen | None = None,
    ) -> None:
        """``newest`` is the spool's last position now; ``grouped``: rules put spans into traces of other objects."""
        self.end = position
        self.waiting: list[Placed[Piece]] = []
        self.arrivals = Arrivals(position, backlog=newest, now=clocks.now)
        self._spool = spool
        self._exporter = exporter
        self._carrier = carrier
        self._limits = limits
        self._clocks = clocks
        self._selects = _selector(exporter, is_chosen)
        self._reached = position  # the position of the last span that was placed
        self._open: Iterator[Placed[Piece]] | None = None
        self._stage = self._make_stage(grouped=grouped) if needs_stage(exporter, grouped=grouped) else None

    @property
    def is_staged(self) -> bool:
        """Whether arrivals have to be noted."""
        return self._stage is not None

    @property
    def dropped(self) -> int:
        """Spans over the cap since this run began."""
        return 0 if self._stage is None or self._stage.cap is None else self._stage.cap.dropped

    @property
    def is_settling(self) -> bool:
        """Whether spans have arrived that are still too young."""
        return self._stage is not None and self._stage.settles and self.arrivals.newest > self.end

    def until_due(self) -> float | None:
        """Seconds until there is something to do though nothing arrives; None if there is nothing."""
        if self._stage is None:
            return None
        dues = [
            self.arrivals.until_settled(self._clocks.settle, self.end) if self._stage.settles else None,
            self._stage.cap.until_report() if self._stage.cap is not None else None,
        ]
        return min([due for due in dues if due is not None], default=None)

    def fill(self) -> list[list[Placed[Piece]]]:
        """Read on, one chunk at most; gives all that waits, in batches."""
        if self._stage is not None and len(self.waiting) < self._limits.spans:
            self.waiting += [self._placed(self._reached, span) for span in self._stage.report()]
        before = len(self.waiting)
        self._pull()
        if len(self.waiting) == before:
            self._pull()  # there may have been nothing left of the last chunk
        return self._batches()

    def _pull(self) -> None:
        if self._open is None:
            self._open = self._chunk()
        while len(self.waiting) < self._limits.spans:
            placed = next(self._open, None)
            if placed is None:
                self._open = None
                return
            self._reached = placed.position
            self.waiting.append(placed)

    def _chunk(self) -> Iterator[Placed[Piece]]:
        spans = self._read()
        if self._stage is None:
            for at, span in spans:
                if self._stage is None and is_grouping(span):
                    self._stage = self._make_stage(grouped=True)
                if self._stage is not None:
                    yield from self._routed(self._stage, at, span)
                elif self._selects(span):
                    yield self._placed(at, span)
        else:
            for at, span in spans:
                yield from self._routed(self._stage, at, span)
                self.end = at
        if spans:
            self.end = spans[-1][0]
            self.arrivals.forget(self.end)

    def _read(self) -> list[tuple[int, Span]]:
        """The next spans that may be looked at."""
        if self._stage is None:
            return self._spool.spans_after(self.end, limit=self._limits.spans)
        edge = None
        if self._stage.settles:
            edge = self.arrivals.settled(self._clocks.settle, self.end)
            if edge == self.end:
                self._probe()
                return []
        spans = self._spool.spans_after(self.end, limit=self._limits.spans)
        if spans:
            self.arrivals.note(spans[-1][0])
        return spans if edge is None else [(at, span) for at, span in spans if at <= edge]

    def _probe(self) -> None:
        """Note what another process has written: of that nobody tells."""
        if self.arrivals.newest > self.end:
            return
        for _ in range(_MOST_PROBES):
            beyond = max(self.arrivals.newest, self.end)
            spans = self._spool.spans_after(beyond, limit=self._limits.spans)
            if spans:
                self.arrivals.note(spans[-1][0])
            if len(spans) < self._limits.spans:
                return

    def _routed(self, stage: Stage, at: int, span: Span) -> Iterator[Placed[Piece]]:
        """Only the last one reaches the position: a crash in between has to repeat them all."""
        last: Span | None = None
        before = self._reached
        for sent in stage.route(span, at):
            if last is not None:
                yield self._placed(before, last)
            last = sent
        if last is not None:
            yield self._placed(at, last)

    def _placed(self, position: int, span: Span) -> Placed[Piece]:
        label = f"{span.span_id.hex()} of trace {span.trace_id.hex()}"
        return Placed(position, self._carrier.prepare(span), label)

    def _batches(self) -> list[list[Placed[Piece]]]:
        batches: list[list[Placed[Piece]]] = []
        room = 0
        for placed in self.waiting:
            size = self._carrier.size(placed.piece)
            if size > room:
                batches.append([])
                room = self._limits.bytes
            batches[-1].append(placed)
            room -= size
        return batches

    def _make_stage(self, *, grouped: bool) -> Stage:
        return Stage(
            self._exporter,
            arrivals=self.arrivals,
            selects=self._selects,
            spans_of=self._spool.spans_of,
            grouped=grouped,
            clocks=self._clocks,
        )


def _selector(exporter: Exporter, is_chosen: IsChosen | None) -> Callable[[Span], bool]:
    """Whether an exporter wants a span."""
    looks = any(scope.looks_into_objects for scope in exporter.scopes)
    chosen = is_chosen if looks else None

    def selects(span: Span) -> bool:
        verb, user = span.attributes.get(v.VERB, ""), span.attributes.get(v.USER, "")
        return exporter.wants_span(span.key, span.source, verb=str(verb), user=str(user), is_chosen=chosen)

    return selects if exporter.scopes else lambda _: True
