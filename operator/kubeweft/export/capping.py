"""At most so many spans a second to one receiver: what exceeds is dropped and counted, and the receiver is told.

Spans are counted when they arrive, not when they are sent. So a receiver that was down gets all that waited for it,
however fast that goes, and two runs over the same arrivals drop the same spans. What had arrived before the start is
of unknown age, and passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kubeweft.export.arrivals import Arrival, Arrivals
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS, window_start

REPORT_EVERY: Final = 10.0  # seconds between two gap spans
GAP_REASON: Final = "OverCap"
BURST_SECONDS: Final = 1.0


class Cap:
    """The token bucket of one exporter. ``dropped`` grows since it was made."""

    def __init__(
        self,
        exporter: str,
        spans_per_second: int,
        *,
        arrivals: Arrivals,
        now: Callable[[], float],
        clock: Callable[[], int],
    ) -> None:
        """``now`` is a clock in seconds that only grows, ``clock`` the time of day in nanoseconds since the epoch."""
        self.dropped = 0
        self._exporter = exporter
        self._rate = spans_per_second
        self._arrivals = arrivals
        self._now = now
        self._clock = clock
        self._tokens = spans_per_second * BURST_SECONDS
        self._arrival: Arrival | None = None
        self._told = 0
        self._report_at = 0.0
        self._begun = 0
        self._cluster = ""
        self._window = -1

    def admits(self, span: Span, position: int) -> bool:
        """Whether a span that arrived at ``position`` may go; positions never go back."""
        if self._arrival is None or position > self._arrival.position:
            arrival = self._arrivals.of(position)
            if arrival is not None:
                self._enter(arrival)
        if self._arrival is None or position <= self._arrivals.backlog:
            return True
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        self._drop(span)
        return False

    def until_report(self) -> float | None:
        """Seconds until there is something to tell the receiver; None if there is nothing."""
        return max(self._report_at - self._now(), 0.0) if self.dropped > self._told else None

    def report(self) -> Iterator[Span]:
        """A gap span that tells how many have been dropped since the last one, if it is time; its root before it."""
        if self.until_report() != 0.0:
            return
        end, count = self._clock(), self.dropped - self._told
        self._told = self.dropped
        key = ObjectKey(self._cluster, "", "exporters", "", self._exporter)
        window = window_start(self._begun, DEFAULT_WINDOW)
        trace = identity.trace_id(key, window, DEFAULT_WINDOW)
        if window != self._window:
            self._window = window
            yield _root_span(trace, key, window)
        yield _gap_span(trace, key, start=self._begun, end=end, count=count, rate=self._rate)

    def _enter(self, arrival: Arrival) -> None:
        """The bucket fills with time; an arrival that took long may bring as much as that time allows."""
        if self._arrival is not None:
            self._tokens += self._rate * (arrival.ended - self._arrival.ended)
        most = max(BURST_SECONDS, arrival.ended - arrival.begun) * self._rate
        self._tokens = min(self._tokens, most)
        self._arrival = arrival

    def _drop(self, span: Span) -> None:
        if self.dropped == self._told:
            self._report_at = self._now() + REPORT_EVERY
            self._begun = self._clock()
            self._cluster = span.key.cluster
        self.dropped += 1


def _root_span(trace: bytes, key: ObjectKey, window: int) -> Span:
    return Span(
        trace,
        identity.object_span_id(trace),
        b"",
        "object",
        key,
        str(key),
        window,
        window + DEFAULT_WINDOW,
        {v.WINDOW_SECONDS: DEFAULT_WINDOW // NANOSECONDS},
    )


def _gap_span(trace: bytes, key: ObjectKey, *, start: int, end: int, count: int, rate: int) -> Span:
    message = f"{count} spans were not sent: more than {rate} a second (maxSpansPerSecond)"
    span_id = identity.gap_span_id(
        cluster=key.cluster, observer=key.name, what="\0".join((*key, GAP_REASON)), start=start, end=end
    )
    attributes: dict[str, str | int | float | bool] = {
        v.GAP_REASON: GAP_REASON,
        v.GAP_MESSAGE: message,
        v.GAP_OBSERVER: key.name,
        v.GAP_COUNT: count,
    }
    parent = identity.object_span_id(trace)
    return Span(trace, span_id, parent, "gap", key, "gap", start, end, attributes, (), message)
