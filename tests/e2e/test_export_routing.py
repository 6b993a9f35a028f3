"""What of a real cluster leaves by a policy's sampling, and where the spans of grouped objects arrive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster_requests import Cluster, Json, config_map, owner
from controlplane.testing import wait_until
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from ledger import stored_spans
from operator_process import OperatorProcess
from otlp_recording import ReceivedSpan
from receiver_thread import ReceiverThread

LINK_RULES = "/apis/kubeweft.io/v1alpha1/linkrules"
PROTOCOL = "HTTPProtobuf"
PARENT = "example.org/part-of"
Id = tuple[bytes, bytes]


@dataclass(frozen=True)
class Rig:
    """An operator that watches, a receiver, and a cluster to change."""

    cluster: Cluster
    operator: OperatorProcess
    receiver: ReceiverThread

    def received(self) -> list[ReceivedSpan]:
        """All spans that the receiver has accepted."""
        requests = list(self.receiver.recording.requests)
        return [span for request in requests if request.accepted for span in request.spans]

    def stored(self, namespace: str, *names: str) -> list[Span]:
        """What the store has of some ConfigMaps."""
        spans = stored_spans(self.operator.store, namespace)
        return [span for span in spans if span.key.resource == "configmaps" and span.key.name in names]

    def wait_stored(self, namespace: str, *names: str) -> None:
        """Wait until the creation of each is a span."""

        def made() -> bool:
            spans = self.stored(namespace, *names)
            return {span.key.name for span in spans if span.source == "change"} == set(names)

        wait_until(made, f"the creation of {', '.join(names)} to be stored")

    def wait_received(self, wanted: Iterable[Id]) -> None:
        """Wait until the receiver has these."""
        missing = set(wanted)
        wait_until(
            lambda: missing <= {(span.trace_id, span.span_id) for span in self.received()},
            f"{len(missing)} spans to arrive",
        )

    @contextlib.contextmanager
    def exporting(self, namespace: str, **spec: object) -> Iterator[None]:
        """A policy for one namespace that exports to the receiver."""
        otlp = {
            "endpoint": self.receiver.endpoint(PROTOCOL),
            "protocol": PROTOCOL,
            "tls": {"mode": "Disabled"},
        }
        exporters = [{"name": "otlp", "otlp": otlp}]
        match = {"namespaces": [namespace]}
        with self.cluster.policy(exporters=exporters, match=match, **spec) as policy:
            self.cluster.wait_in_force(policy)
            yield


@pytest.fixture(scope="module")
def rig(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("routing")
    with ReceiverThread() as receiver, Cluster(kubeconfig) as cluster:
        cluster.install_crds()
        with OperatorProcess(folder, kubeconfig) as operator:
            yield Rig(cluster, operator, receiver)


def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def tell(cluster: Cluster, namespace: str, about: Json) -> None:
    """A Kubernetes Event of type Warning."""
    name = about["metadata"]["name"]
    cluster.create(
        f"/api/v1/namespaces/{namespace}/events",
        {
            "metadata": {"name": f"{name}.failed", "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": namespace,
                "name": name,
                "uid": about["metadata"]["uid"],
            },
            "type": "Warning",
            "reason": "Broken",
            "message": "it does not work",
            "source": {"component": "test"},
            "count": 1,
        },
    )


def family(cluster: Cluster, namespace: str, name: str) -> Json:
    """A ConfigMap that controls another one; gives the other one."""
    parent = cluster.create(maps(namespace), config_map(name))
    parent |= {"apiVersion": "v1", "kind": "ConfigMap"}
    return cluster.create(
        maps(namespace), config_map(f"{name}-child", owners=(owner(parent, controller=True),))
    )


def ids(spans: Iterable[Span]) -> set[Id]:
    return {(span.trace_id, span.span_id) for span in spans}


def test_of_a_sampled_policy_only_trees_with_errors_leave_and_those_whole(rig: Rig) -> None:
    with (
        rig.cluster.namespace(pods=False) as namespace,
        rig.exporting(namespace, sampling={"percent": 0, "keepErrors": True}),
    ):
        family(rig.cluster, namespace, "quiet")
        child = family(rig.cluster, namespace, "loud")
        rig.wait_stored(namespace, "quiet", "quiet-child", "loud", "loud-child")
        tell(rig.cluster, namespace, child)
        wait_until(
            lambda: any(span.source == "event" for span in rig.stored(namespace, "loud-child")),
            "the Event to be stored",
        )
        rig.wait_received(ids(rig.stored(namespace, "loud", "loud-child")))
        names = {
            span.resource[v.NAME] for span in rig.received() if span.resource.get(v.NAMESPACE) == namespace
        }
        assert names == {"loud", "loud-child"}


def grouping_rule(name: str) -> Json:
    """ConfigMaps go into the trace of the one that an annotation names."""
    return {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "LinkRule",
        "metadata": {"name": name},
        "spec": {
            "source": {"resources": [{"apiGroups": [""], "resources": ["configmaps"]}]},
            "targets": [
                {
                    "name": "whole",
                    "resource": {"group": "", "resource": "configmaps"},
                    "type": "Annotation",
                    "annotation": {"key": PARENT, "format": "Name"},
                }
            ],
            "link": {"role": "Parent", "class": "PartOf", "grouping": "SameTrace"},
        },
    }


@contextlib.contextmanager
def rule(cluster: Cluster, declared: Json) -> Iterator[None]:
    """A LinkRule for the length of the block."""
    cluster.apply(LINK_RULES, declared)
    path = f"{LINK_RULES}/{declared['metadata']['name']}"

    def is_ready() -> bool:
        conditions = (cluster.get(path).get("status") or {}).get("conditions", [])
        return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)

    try:
        wait_until(is_ready, "the rule to be accepted")
        yield
    finally:
        cluster.delete(path)


def test_grouped_objects_are_one_trace_at_the_receiver(rig: Rig) -> None:
    """Three maps, one part of the other: the store keeps three traces, the receiver has one and two signposts."""
    with (
        rig.cluster.namespace(pods=False) as namespace,
        rule(rig.cluster, grouping_rule(f"grouping-{namespace}")),
        rig.exporting(namespace),
    ):
        parts = ("whole", "part", "piece")
        for name, above in zip(parts, ("", "whole", "part"), strict=True):
            made = config_map(name)
            if above:
                made["metadata"]["annotations"] = {PARENT: above}
            rig.cluster.create(maps(namespace), made)
        rig.wait_stored(namespace, *parts)
        spans = rig.stored(namespace, *parts)
        traces = {span.key.name: span.trace_id for span in spans}
        roots = {span.key.name: span.span_id for span in spans if span.source == "object"}
        assert len(set(traces.values())) == 3
        rig.wait_received((traces["whole"], span.span_id) for span in spans if span.source == "change")
        got = {(span.trace_id, span.span_id): span for span in rig.received()}
        for name, above in (("part", "whole"), ("piece", "part")):
            moved = got[traces["whole"], roots[name]].message
            assert bytes(moved.parent_span_id) == roots[above]
            signpost = got[traces[name], roots[name]].message
            assert bytes(signpost.links[-1].trace_id) == traces["whole"]
            assert {span_id for trace, span_id in got if trace == traces[name]} == {roots[name]}
