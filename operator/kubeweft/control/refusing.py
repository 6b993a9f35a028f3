"""What a policy may say but this version does not do: each is refused with a reason, because ignoring it would deceive.

A feature that gets built loses its function here and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubeweft.control.schema import Cluster, ExporterSpec, PolicySpec
from kubeweft.control.verdicts import Problem

LOCAL = "local"


def unsupported(spec: PolicySpec, *, cluster: str) -> Iterator[Problem]:
    """Everything in the spec that this version cannot do; ``cluster`` is the name of the cluster it runs in."""
    yield from _clusters(spec.clusters, cluster)
    yield from _match(spec)
    yield from _sources(spec)
    yield from _amounts(spec)
    for exporter in spec.exporters:
        yield from _secrets(exporter)


def _clusters(clusters: tuple[Cluster, ...], own: str) -> Iterator[Problem]:
    if not clusters:
        yield Problem("InvalidSpec", "spec.clusters", "must not be empty; leave it out for the local cluster")
    if len(clusters) > 1:
        yield _no("spec.clusters", "only the cluster that Kubeweft runs in is traced: name that one alone")
    for cluster in clusters:
        field = f"spec.clusters[{cluster.name}]"
        if cluster.kubeconfig_secret_ref:
            yield _no(f"{field}.kubeconfigSecretRef", "other clusters cannot be joined yet: remove it")
        elif cluster.name not in (LOCAL, own):
            yield Problem(
                "InvalidSpec",
                f"{field}.name",
                f"the cluster that Kubeweft runs in is called {own!r}: name that",
            )
        if cluster.context:
            yield _no(
                f"{field}.context", "it chooses within a kubeconfig, which cannot be given yet: remove it"
            )
        if cluster.labels:
            yield _no(f"{field}.labels", "nothing selects clusters by label yet: remove them")


def _match(spec: PolicySpec) -> Iterator[Problem]:
    match = spec.match
    if match.namespace_selector is not None:
        yield _no("spec.match.namespaceSelector", "namespaces are selected by name only: use 'namespaces'")
    if match.object_selector is not None:
        yield _no("spec.match.objectSelector", "objects are not selected by label yet: remove it")
    if match.match_conditions:
        yield _no("spec.match.matchConditions", "expressions are not evaluated yet: remove them")


def _sources(spec: PolicySpec) -> Iterator[Problem]:
    if spec.sources.objects.mode == "Metadata":
        yield _no("spec.sources.objects.mode", "only whole objects can be compared yet: use Full or Disabled")
    if spec.sources.audit.mode == "LogFile":
        yield _no(
            "spec.sources.audit.mode", "log files are read by 'kubeweft import' only: use Webhook or Disabled"
        )


def _amounts(spec: PolicySpec) -> Iterator[Problem]:
    if spec.priority:
        yield _no("spec.priority", "policies add up and none comes first yet: leave it at 0")
    if spec.sampling.percent != 100:
        yield _no("spec.sampling.percent", "every trace is kept: leave it at 100")
    if spec.sampling.max_spans_per_second is not None:
        yield _no("spec.sampling.maxSpansPerSecond", "spans are not capped yet: remove it")
    if spec.retention.history is not None:
        yield _no("spec.retention.history", "how long versions are held cannot be set yet: remove it")
    if spec.retention.deleted_objects is not None:
        yield _no(
            "spec.retention.deletedObjects", "how long deleted objects are known cannot be set yet: remove it"
        )


def _secrets(exporter: ExporterSpec) -> Iterator[Problem]:
    if exporter.otlp is None:
        return
    field = f"spec.exporters[{exporter.name}].otlp"
    for name, reference in (
        ("headersSecretRef", exporter.otlp.headers_secret_ref),
        ("tls.caSecretRef", exporter.otlp.tls.ca_secret_ref),
        ("tls.certSecretRef", exporter.otlp.tls.cert_secret_ref),
    ):
        if reference:
            yield _no(f"{field}.{name}", "Secrets are not read for exporters yet: remove it")


def _no(field: str, message: str) -> Problem:
    return Problem("Unsupported", field, message)
