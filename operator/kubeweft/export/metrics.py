"""The exporters' states as Prometheus metrics: read from the states when asked, so nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kubeweft.export.standing import ExporterState

States = Callable[[], Mapping[str, ExporterState]]


class ExportCollector(Collector):
    """Register it once with a ``CollectorRegistry``; ``states`` gives the state of every exporter by its name."""

    def __init__(self, states: States) -> None:
        self._states = states

    def describe(self) -> Iterable[Metric]:
        """Known without asking, so that registering does not collect."""
        return _families()

    def collect(self) -> Iterator[Metric]:
        """One sample per exporter and metric."""
        sent, rejected, retries, dropped, behind, ready = families = _families()
        for name, state in self._states().items():
            sent.add_metric([name], state.sent)
            rejected.add_metric([name], state.rejected)
            retries.add_metric([name], state.retries)
            dropped.add_metric([name], state.dropped)
            behind.add_metric([name], state.behind)
            ready.add_metric([name], state.ready)
        yield from families


def _families() -> tuple[
    CounterMetricFamily,
    CounterMetricFamily,
    CounterMetricFamily,
    CounterMetricFamily,
    GaugeMetricFamily,
    GaugeMetricFamily,
]:
    labels = ["exporter"]
    return (
        CounterMetricFamily("kubeweft_export_spans", "Spans that the receiver accepted.", labels=labels),
        CounterMetricFamily(
            "kubeweft_export_rejected_spans", "Spans that the receiver refused for good.", labels=labels
        ),
        CounterMetricFamily("kubeweft_export_retries", "Attempts that had to be repeated.", labels=labels),
        CounterMetricFamily(
            "kubeweft_export_dropped_spans",
            "Spans not sent because there were more a second than the policy allows.",
            labels=labels,
        ),
        GaugeMetricFamily(
            "kubeweft_export_behind_spans", "Spans that wait in the spool, at most.", labels=labels
        ),
        GaugeMetricFamily(
            "kubeweft_export_ready", "Whether the receiver takes spans (1) or not (0).", labels=labels
        ),
    )
