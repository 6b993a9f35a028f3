"""OTLP receivers as policies name them, and what has arrived of a namespace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster_requests import Json
from controlplane.testing import wait_until
from joined_clusters import Home
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from otlp_recording import ReceivedRequest, ReceivedSpan
from policy_stage import CONFIG_MAPS, Stage
from receiver_thread import ReceiverThread

GRPC, HTTP = "GRPC", "HTTPProtobuf"
PLAIN: Json = {"tls": {"mode": "Disabled"}}
Id = tuple[bytes, bytes]


@dataclass
class Target:
    """A receiver, and what it has accepted."""

    receiver: ReceiverThread = field(default_factory=ReceiverThread)

    def exporter(self, name: str, protocol: str = HTTP, **otlp: Any) -> Json:
        """An entry of ``spec.exporters`` that leads here; without TLS unless something else is given."""
        given = {"endpoint": self.receiver.endpoint(protocol), "protocol": protocol, **(otlp or PLAIN)}
        return {"name": name, "otlp": given}

    def requests(self, protocol: str = "") -> list[ReceivedRequest]:
        """Those accepted, by one protocol or any."""
        requests = list(self.receiver.recording.requests)
        return [r for r in requests if r.accepted and (not protocol or r.protocol == protocol)]

    def spans(self, namespace: str, protocol: str = "") -> list[ReceivedSpan]:
        """What has arrived about objects in a namespace."""
        spans = (span for request in self.requests(protocol) for span in request.spans)
        return [span for span in spans if span.resource.get(v.NAMESPACE) == namespace]

    def names(self, namespace: str) -> set[str]:
        """The objects in a namespace that anything has arrived about."""
        return {str(span.resource[v.NAME]) for span in self.spans(namespace)}

    def wait(self, namespace: str, spans: Iterable[Span], protocol: str = "", *, seconds: float = 30) -> None:
        """Wait until all of these have arrived."""
        wanted = {(span.trace_id, span.span_id) for span in spans}
        assert wanted, "nothing is waited for"
        wait_until(
            lambda: wanted <= {id_of(span) for span in self.spans(namespace, protocol)},
            f"{len(wanted)} spans to arrive {protocol}",
            seconds=seconds,
        )


@dataclass(frozen=True)
class Rig:
    """An operator, the namespace of its Secrets, and policies that export."""

    stage: Stage
    home: Home

    @contextlib.contextmanager
    def exporting(
        self, namespace: str, *exporters: Json, reason: str = "Tracing", **spec: object
    ) -> Iterator[str]:
        """A policy for the ConfigMaps of one namespace; gives its path."""
        spec = {"match": {"resources": [CONFIG_MAPS], "namespaces": [namespace]}} | spec
        with self.stage.policy(reason=reason, exporters=list(exporters), **spec) as path:
            yield path

    def write(self, namespace: str, name: str) -> list[Span]:
        """Create a ConfigMap and stir it; gives all that is stored of it, once everything is."""
        self.stage.create(namespace, name)
        self.stage.wait(self.stage.stir(namespace, name))
        return list(self.stage.spans(namespace, name))

    def exporter_states(self, path: str) -> dict[str, Json]:
        """What the status of a policy says about its exporters, by name."""
        status = self.stage.cluster.get(path).get("status") or {}
        return {entry["name"]: entry for entry in status.get("exporters") or []}

    def wait_exporters(self, path: str, **reasons: str) -> None:
        """Wait until the status says so of all exporters of a policy; only those that export are ready."""
        wanted = {name.replace("_", "-"): (why, why == "Exporting") for name, why in reasons.items()}

        def found() -> dict[str, tuple[str, bool]]:
            return {name: (e["reason"], e["ready"]) for name, e in self.exporter_states(path).items()}

        try:
            wait_until(lambda: found() == wanted, "the exporters in the status")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.exporter_states(path)}") from None


def id_of(span: ReceivedSpan) -> Id:
    """By which a span is known."""
    return span.trace_id, span.span_id
