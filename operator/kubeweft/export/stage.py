"""What happens to spans between the spool and the receiver, where a plan asks for more than sending them all.

In this order: sampling decides whether the tree goes, the exporter's scopes whether the span does, grouping into which
trace, and the cap whether there is room. An exporter that needs none of this has no stage at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kubeweft.export.arrivals import Arrivals
from kubeweft.export.capping import Cap
from kubeweft.export.forest import Forest, SpansOf, is_grouping
from kubeweft.export.grouping import Mover
from kubeweft.export.sampling import Sampler
from kubeweft.model.plan import Exporter
from kubeweft.model.spans import Span
from kubeweft.runtime import clock

SETTLE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """``now`` grows in seconds, ``wall`` is nanoseconds since the epoch; spans are ``settle`` seconds old when read."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], int] = clock.now
    settle: float = SETTLE_SECONDS


class Stage:
    """One run of one exporter; for one thread at a time."""

    def __init__(
        self,
        exporter: Exporter,
        *,
        arrivals: Arrivals,
        selects: Callable[[Span], bool],
        spans_of: SpansOf,
        grouped: bool,
        clocks: Clocks,
    ) -> None:
        """``grouped``: spans may go into the traces of other objects. ``spans_of`` reads whole traces."""
        sampling = exporter.sampling
        self._selects = selects
        self._forest = Forest(spans_of)
        self._sampler = Sampler(sampling, self._forest) if sampling.percent < 100 else None
        self._mover = Mover(self._forest) if grouped else None
        self.cap = (
            Cap(
                exporter.name,
                sampling.spans_per_second,
                arrivals=arrivals,
                now=clocks.now,
                clock=clocks.wall,
            )
            if sampling.spans_per_second
            else None
        )

    @property
    def settles(self) -> bool:
        """Whether spans have to be a little old before they are routed, because links decide about them."""
        return self._sampler is not None or self._mover is not None

    def route(self, span: Span, position: int) -> Iterator[Span]:
        """What is sent now that this span is read."""
        if self._mover is None and is_grouping(span):
            self._mover = Mover(self._forest)
        before = self._forest.learn(span) if self.settles else None
        admitted: Iterable[Span] = (
            (span,) if self._sampler is None else self._sampler.admit(span, before=before)
        )
        for one in admitted:
            if self._selects(one):
                for sent in (one,) if self._mover is None else self._mover.place(one):
                    if self.cap is None or self.cap.admits(sent, position):
                        yield sent

    def report(self) -> Iterator[Span]:
        """What the receiver is to be told about spans that it did not get."""
        return iter(()) if self.cap is None else self.cap.report()


def needs_stage(exporter: Exporter, *, grouped: bool) -> bool:
    """Whether this exporter does anything else than sending all it is to send."""
    return grouped or exporter.sampling.percent < 100 or exporter.sampling.spans_per_second > 0
