"""Spans of other components in a real Jaeger v2, fetched into the tree of what they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from controlplane.testing import wait_until
from kubeweft.display.extensions.configuring import parse_extensions, sources_of
from kubeweft.display.extensions.joining import Extensions
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import Fact, Tree, facts_of
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from memory_reader import MemoryReader
from span_builders import at, key, request, uid, weave
from trace_stores import TraceStore, export, running_jaeger

pytestmark = pytest.mark.jaeger

POD = key("pods", "web-1")
SPANS = weave(request(POD, "create", "10:00:01", uid=uid(1), version="5"))
AUDIT_ID = next(str(span.attributes[v.AUDIT_ID]) for span in SPANS if span.source == "request")
MILLISECOND = 1_000_000


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    with running_jaeger(tmp_path_factory.mktemp("jaeger")) as store:
        export(store.receiver, SPANS)  # an installation may well send its own spans there too
        tell(store, "apiserver", {"audit-id": AUDIT_ID}, {}, below="etcdserverpb.KV/Txn")
        tell(store, "apiserver", {"audit-id": "another"}, {}, below="stranger")
        tell(store, "kubelet", {}, {"k8s.pod.uid": uid(1)}, below="pull")
        tell(store, "shop", {}, {"k8s.pod.uid": uid(1)}, below="pay", clock="14:00:00")
        tell(store, "shop", {}, {"k8s.pod.uid": uid(1)}, below="ship", clock="16:00:00")
        yield store


def tell(
    store: TraceStore, service: str, attributes: Any, resource: Any, *, below: str, clock: str = "10:00:01"
) -> None:
    """One trace of a service: a server span, and a failed one below."""
    start = at(clock)
    provider = TracerProvider(resource=Resource({"service.name": service, **resource}))
    address = urlsplit(store.receiver).netloc or store.receiver
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://{address}", insecure=True)))
    tracer = provider.get_tracer("test")
    entry = tracer.start_span(
        f"work of {service}",
        kind=trace.SpanKind.SERVER,
        attributes={**attributes, "code": 201},
        start_time=start,
    )
    inner = tracer.start_span(below, context=trace.set_span_in_context(entry), start_time=start + MILLISECOND)
    inner.set_status(trace.StatusCode.ERROR, "no leader")
    inner.end(start + 2 * MILLISECOND)
    entry.end(start + 3 * MILLISECOND)
    provider.shutdown()


def query_url(store: TraceStore) -> str:
    return f"http://{urlsplit(store.address).netloc}"


def joined(store: TraceStore, *, since: int = 0, **more: Any) -> Tree:
    section = {"sources": [{"type": "jaeger", "url": query_url(store), **more}], "timeout": "10s"}
    settings = parse_extensions(section, "test")
    sources = sources_of(settings, hiding=Redactor(Redaction(), b""), where="test")
    extensions = Extensions(sources, limits=settings.limits, now=lambda: at("15:00:00"))
    return read_story(MemoryReader(SPANS), POD, since=since, extensions=extensions)


def foreign(tree: Tree) -> dict[str, Fact]:
    return {fact.span.name: fact for fact in facts_of(tree.root.facts) if fact.span.source == "foreign"}


@pytest.mark.parametrize("services", [[], ["apiserver", "kubelet", "shop"]])
def test_a_real_jaegers_spans_stand_where_they_belong(jaeger: TraceStore, services: list[str]) -> None:
    wanted = {"work of apiserver", "etcdserverpb.KV/Txn", "work of kubelet", "pull", "work of shop", "pay"}
    wait_until(lambda: foreign(joined(jaeger, services=services)).keys() >= wanted, "Jaeger to find them")
    tree = joined(jaeger, services=services)
    assert tree.truncated == ()
    found = foreign(tree)
    assert found.keys() == wanted
    entry, inner = found["work of apiserver"], found["etcdserverpb.KV/Txn"]
    created = next(fact for fact in tree.root.facts if fact.span.source == "request")
    assert entry in created.children
    assert inner in entry.children
    assert (entry.text("span.kind"), entry.number("code"), entry.text(v.SERVICE_NAME)) == (
        "server",
        201,
        "apiserver",
    )
    assert inner.span.error == "no leader"
    assert (entry.start, entry.end - entry.start) == (at("10:00:01"), 3 * MILLISECOND)
    assert found["work of kubelet"] in tree.root.facts
    assert tree.root.end == found["work of shop"].end == at("14:00:00") + 3 * MILLISECOND
