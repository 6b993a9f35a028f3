"""How full the store is, how the clusters and the watches are doing, as Prometheus metrics: read when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kubeweft.control.judging.health import ClusterHealth, Health
from kubeweft.store.interfaces import StoreStatistics
from kubeweft.store.retention import RetentionStatistics

MOST_CLUSTERS = 100  # with a label of their own; a policy's author may name any number
OTHERS = "(others)"


class ProcessCollector(Collector):
    """Register it once; it asks the store and the health of the process at each scrape."""

    def __init__(
        self,
        *,
        store: Callable[[], StoreStatistics],
        health: Callable[[], Health],
        retention: Callable[[], RetentionStatistics],
    ) -> None:
        self._store = store
        self._health = health
        self._retention = retention

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
        yield from _of_retention(self._retention())
        yield from _of_clusters(list(self._health().clusters.values()))


def _of_retention(removed: RetentionStatistics) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "kubeweft_retention_removed_spans", "Spans that retention has removed.", value=removed.spans
    )
    yield CounterMetricFamily(
        "kubeweft_retention_removed_windows", "Traces that retention has removed.", value=removed.windows
    )
    yield _gauge(
        "kubeweft_retention_held_windows",
        "Traces that are too old or too many, but not sent by all exporters yet.",
        removed.held_windows,
    )
    yield CounterMetricFamily(
        "kubeweft_retention_seconds", "Time that retention has kept writers waiting.", value=removed.seconds
    )


def _of_clusters(clusters: list[ClusterHealth]) -> Iterator[Metric]:
    watches = GaugeMetricFamily(
        "kubeweft_watched_resources", "Resource types by how their watch is doing.", labels=["phase"]
    )
    by_phase = Counter(type_.phase for cluster in clusters for type_ in cluster.types)
    for phase, count in sorted(by_phase.items()):
        watches.add_metric([phase], count)
    yield watches
    reachable, unreachable = Counter[str](), Counter[str]()
    watched: Counter[tuple[str, str]] = Counter()
    for number, cluster in enumerate(clusters):
        label = cluster.name if number < MOST_CLUSTERS else OTHERS
        (unreachable if cluster.unreachable else reachable)[label] += 1
        watched.update((label, type_.phase) for type_ in cluster.types)
    up = GaugeMetricFamily(
        "kubeweft_cluster_reachable", "1 while a cluster can be reached and is traced.", labels=["cluster"]
    )
    for label in sorted({*reachable, *unreachable}):
        up.add_metric([label], not unreachable[label])
    yield up
    types = GaugeMetricFamily(
        "kubeweft_cluster_watched_resources",
        "Resource types of a cluster by how their watch is doing.",
        labels=["cluster", "phase"],
    )
    for labels, count in sorted(watched.items()):
        types.add_metric(list(labels), count)
    yield types


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)
