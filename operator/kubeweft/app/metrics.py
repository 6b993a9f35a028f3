"""How full the store is and how the watches are doing, as Prometheus metrics: read when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kubeweft.control.health import Health
from kubeweft.store.interfaces import StoreStatistics


class ProcessCollector(Collector):
    """Register it once; it asks the store and the health of the process at each scrape."""

    def __init__(self, *, store: Callable[[], StoreStatistics], health: Callable[[], Health]) -> None:
        self._store = store
        self._health = health

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before the process runs."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One reading of each."""
        store = self._store()
        yield _gauge("kubeweft_store_spans", "Spans in the store.", store.spans)
        yield _gauge(
            "kubeweft_store_windows", "Traces in the store: one per object and window.", store.windows
        )
        yield _gauge("kubeweft_store_bytes", "Size of the store on disk.", store.bytes)
        yield _gauge("kubeweft_store_max_bytes", "Size at which writing stops.", store.max_bytes)
        yield _gauge("kubeweft_store_full", "1 while spans are refused for want of room.", store.full)
        yield _gauge(
            "kubeweft_store_pending_spans", "What the slowest exporter has still to send.", store.pending
        )
        watches = GaugeMetricFamily(
            "kubeweft_watched_resources", "Resource types by how their watch is doing.", labels=["phase"]
        )
        for phase, count in sorted(Counter(t.phase for t in self._health().types).items()):
            watches.add_metric([phase], count)
        yield watches


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)
