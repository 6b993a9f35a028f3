"""kube-apiserver's own OpenTelemetry spans, sent to ``kubeweft run``, stand under the requests that they belong to."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from cluster_requests import Cluster, Json, config_map
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import AuditTarget, wait_until
from kubeweft.app.serving import ServeOptions
from kubeweft.model import vocabulary as v
from kubeweft.model.timestamps import format_timestamp
from operator_process import OperatorProcess, kubeweft, listening_at, shown
from rollout import Rollout
from served_stores import served

SERVICE = "apiserver"
PATIENCE = 15  # probes, of which about two are made in a second: the server sends what it has every 5 s


@dataclass(frozen=True)
class Traced:
    """What is shown of a Deployment that was rolled out while everybody traced."""

    store: Path
    namespace: str
    spans: list[Json]
    refused: float
    metrics: str

    def foreign(self) -> list[Json]:
        return [span for span in self.spans if span["source"] == "foreign"]


@pytest.fixture(scope="module")
def otlp_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def control_plane(plane_folder: Path, audit_target: AuditTarget, otlp_port: int) -> Iterator[ControlPlane]:
    if "E2E_KUBECONFIG" in os.environ:
        pytest.skip(
            "needs a control plane whose API server traces itself, and E2E_KUBECONFIG names another cluster"
        )
    plane = ControlPlane(
        plane_folder,
        nodes=1,
        audit_webhook=audit_target.url,
        audit_webhook_token=audit_target.token,
        tracing=f"127.0.0.1:{otlp_port}",
    )
    with plane:
        yield plane


@pytest.fixture(scope="module")
def traced(
    control_plane: ControlPlane,
    audit_target: AuditTarget,
    otlp_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    options = {**listening_at(audit_target, folder / "token"), "otlp-listen": f"127.0.0.1:{otlp_port}"}
    with (
        Cluster(control_plane.kubeconfig) as cluster,
        OperatorProcess(folder, control_plane.kubeconfig, options=options) as operator,
        cluster.namespace() as namespace,
    ):
        made: list[str] = []

        def catches_up() -> bool:
            """At first the server's queue is full of spans from its start, and it drops what finds no room there."""
            made.append(f"probe-{len(made)}")
            cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(made[-1]))
            if len(made) <= PATIENCE:
                return False
            spans = shown(operator.store, f"configmap/{made[-PATIENCE]}", "-n", namespace)["spans"]
            return bool(_writes(spans)) and not _untraced(spans)

        wait_until(catches_up, "the API server to send what it does now", seconds=60)
        create, scale_up, *_ = Rollout(cluster.api, namespace=namespace).steps()
        for step in (create, scale_up):
            step.act()

        def all_traced() -> bool:
            document = shown(operator.store, "deployment/demo", "-n", namespace)
            return not _untraced(document["spans"]) and len(_writes(document["spans"])) > 5

        wait_until(all_traced, "the API server's spans of all writes", seconds=60)
        yield Traced(
            store=operator.store,
            namespace=namespace,
            spans=shown(operator.store, "deployment/demo", "-n", namespace)["spans"],
            refused=operator.metric('kubeweft_otlp_requests_total{outcome="later",protocol="grpc"}'),
            metrics=operator.ask("/metrics")[1],
        )


def _writes(spans: list[Json]) -> list[Json]:
    return [span for span in spans if span["source"] == "request"]


def _untraced(spans: list[Json]) -> list[Json]:
    traced = {span["parent_span_id"] for span in spans if span["source"] == "foreign"}
    return [span for span in _writes(spans) if span["span_id"] not in traced]


def test_every_request_has_the_servers_own_spans_under_it(traced: Traced) -> None:
    by_id = {span["span_id"]: span for span in traced.spans}
    assert len(by_id) == len(traced.spans), "a span ID is there twice"
    assert _untraced(traced.spans) == []
    entries = [s for s in traced.foreign() if by_id[s["parent_span_id"]]["source"] == "request"]
    assert entries
    for entry in entries:
        request = by_id[entry["parent_span_id"]]
        assert entry["attributes"][v.SERVICE_NAME] == SERVICE
        assert entry["attributes"][v.AUDIT_ID] == request["attributes"][v.AUDIT_ID]
        assert entry["object"] == request["object"]
    asked = {span["attributes"][v.AUDIT_ID] for span in _writes(traced.spans)}
    told = {s["attributes"].get(v.AUDIT_ID) for s in traced.foreign()} - {None}
    assert told == asked, "spans of other requests, or none of some"


def test_what_the_server_did_lies_below_down_to_etcd(traced: Traced) -> None:
    by_id = {span["span_id"]: span for span in traced.spans}

    def request_of(span: Json) -> Json:
        while span["source"] == "foreign":
            span = by_id[span["parent_span_id"]]
        return span

    etcd = [span for span in traced.foreign() if span["name"].startswith("etcdserverpb.KV/")]
    assert etcd, Counter(span["name"] for span in traced.foreign())
    assert all(request_of(span)["source"] == "request" for span in traced.foreign())
    created = [span for span in _writes(traced.spans) if span["attributes"][v.VERB] == "create"]
    wrote = {request_of(span)["span_id"] for span in etcd if span["name"] == "etcdserverpb.KV/Txn"}
    assert [span["object"] for span in created if span["span_id"] not in wrote] == []


def test_spans_lie_in_the_time_of_their_request(traced: Traced) -> None:
    by_id = {span["span_id"]: span for span in traced.spans}
    apart = [
        (span["name"], span["start"], by_id[span["parent_span_id"]]["start"])
        for span in traced.foreign()
        if by_id[span["parent_span_id"]]["source"] == "request"
        and not (
            span["start"] <= by_id[span["parent_span_id"]]["end"]
            and span["end"] >= by_id[span["parent_span_id"]]["start"]
        )
    ]
    assert apart == []


def test_the_terminal_tells_them_in_every_view(traced: Traced) -> None:
    for view in ("tree", "timeline", "tracing", "grouping", "actors"):
        text = kubeweft("show", "deployment/demo", "-n", traced.namespace, "--view", view, store=traced.store)
        assert f"{SERVICE}: " in text, view
        assert "etcdserverpb.KV/Txn" in text, view


def test_a_trace_viewer_gets_them_as_a_service_of_their_own(traced: Traced) -> None:
    with served(ServeOptions(store=str(traced.store), http="127.0.0.1:0")) as where:
        query = f"resource=deployment&namespace={traced.namespace}&name=demo"
        with urllib.request.urlopen(f"{where.url}/redirect?{query}", timeout=20) as page:
            trace_id = page.url.rpartition("/")[2].partition("?")[0]
        with urllib.request.urlopen(f"{where.url}/api/traces/{trace_id}", timeout=20) as answer:
            [trace] = json.load(answer)["data"]
    services = {name: process["serviceName"] for name, process in trace["processes"].items()}
    told = [span["operationName"] for span in trace["spans"] if services[span["processID"]] == SERVICE]
    assert len(told) == len(traced.foreign())
    assert any(words.startswith("etcdserverpb.KV/Txn") for words in told)


def test_a_running_pods_program_is_shown_though_nothing_happens_to_the_pod(
    traced: Traced, otlp_port: int
) -> None:
    pod = next(span for span in traced.spans if span["object"].startswith("pods/") and _uid(span))
    provider = TracerProvider(resource=Resource({v.SERVICE_NAME: "shop", "k8s.pod.uid": _uid(pod)}))
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{otlp_port}", insecure=True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    began = time.time_ns()
    provider.get_tracer("test").start_span("pay").end()
    provider.shutdown()
    name, since = pod["object"].rpartition("/")[2], format_timestamp(began)

    def told(*options: str) -> list[Json]:
        spans = shown(traced.store, f"pod/{name}", "-n", traced.namespace, *options)["spans"]
        return [span for span in spans if span["attributes"].get(v.SERVICE_NAME) == "shop"]

    wait_until(told, "the Pod's own span", seconds=20)
    for options in ([], ["--since", since], ["--select", "object"], ["--view", "tracing"]):
        [span] = told(*options)
        assert (span["name"], span["start"] >= since) == ("pay", True), options
    assert (
        kubeweft(
            "show", "deployment/demo", "-n", traced.namespace, "--since", since, store=traced.store
        ).count("shop: pay")
        == 1
    )


def _uid(span: Json) -> str:
    return str(span["attributes"].get(v.UID, "")) if span["source"] == "change" else ""


def test_nothing_was_refused_or_lost(traced: Traced) -> None:
    assert traced.refused == 0
    assert "kubeweft_otlp_refused_spans_total{" not in traced.metrics
