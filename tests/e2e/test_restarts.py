"""Nothing is lost and nothing is doubled, whoever goes down meanwhile: the operator, its twin, or the API server.

Two operators with a store each see the same cluster. One of them is maltreated; afterwards both have to hold the same
bytes, and what the audit log and a watch of our own tell.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_tee import AuditTee
from cluster_requests import Cluster, config_map
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import wait_until
from independent_watch import IndependentWatch, namespaced
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from ledger import Ledger, StoredSpans, make_ledger, stored_spans, wait_until_stored, written_in
from operator_process import OperatorProcess, kubeweft, shown
from rollout import Rollout

WRITTEN = ("deployments.apps", "replicasets.apps", "pods", "configmaps")
ROLLOUT = ("deployments.apps", "replicasets.apps", "pods")
LONGEST_CATCHING_UP = 60
NO_TRACE, NO_SPAN = b"", b""


@dataclass(frozen=True)
class Pair:
    """Two operators on one control plane; ``twin`` is never touched."""

    plane: ControlPlane
    cluster: Cluster
    operator: OperatorProcess
    twin: OperatorProcess
    tee: AuditTee

    def ledger(self, namespace: str, watch: IndependentWatch) -> Ledger:
        """What has happened in a namespace, among the types that a rollout writes."""
        lines = [line for line in list(watch.lines) if line.name != "kube-root-ca.crt"]
        return make_ledger(written_in(self.plane.audit_log, namespace, WRITTEN), lines)

    def wait_for_both(self, namespace: str, watch: IndependentWatch) -> None:
        """Wait until both stores hold everything that has happened."""
        for each in (self.operator, self.twin):
            wait_until_stored(
                lambda: self.ledger(namespace, watch), each.store, namespace, seconds=LONGEST_CATCHING_UP
            )

    def check_both(self, namespace: str, watch: IndependentWatch) -> None:
        """Each holds everything once, and both hold the same."""
        ledger = self.ledger(namespace, watch)
        assert len(ledger.writes) > 50
        assert len(ledger.versions) > 50
        for each in (self.operator, self.twin):
            ledger.check(of_rollouts(stored_spans(each.store, namespace)))
        assert comparable(stored_spans(self.operator.store, namespace)) == comparable(
            stored_spans(self.twin.store, namespace)
        )


def of_rollouts(spans: Iterable[Span]) -> list[Span]:
    """Without types that our own watch does not follow, and what the namespace itself brings."""
    resources = {resource.partition(".")[0] for resource in WRITTEN}
    return [
        s
        for s in spans
        if s.source != "change" or (s.key.resource in resources and s.key.name != "kube-root-ca.crt")
    ]


def comparable(spans: Iterable[Span]) -> dict[tuple[bytes, bytes], Span]:
    """Spans as two observers must agree on them: by trace and span ID, all fields.

    Gaps belong to one observer. The deletion of an object that tells no time of it has the time of receipt (decision
    006): such a span agrees in everything but time, and so perhaps window.
    """
    agreed = [at_no_time(s) if is_of_receipt(s) else s for s in spans if s.source != "gap"]
    by_id = {(span.trace_id, span.span_id): span for span in agreed}
    assert len(by_id) == len(agreed), "one span is stored twice"
    return by_id


def is_of_receipt(span: Span) -> bool:
    return span.attributes.get(v.TIME_SOURCE) == "receipt"


def at_no_time(span: Span) -> Span:
    assert span.attributes[v.CHANGE_TYPE] == "Deleted", "only deletions may have the time of receipt"
    return msgspec.structs.replace(span, trace_id=NO_TRACE, parent_span_id=NO_SPAN, start=0, end=0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A control plane of our own, whose API server may be killed, and two operators that watch it."""
    folder = tmp_path_factory.mktemp("restarts")
    tee_port, *ports = free_ports(3)
    names = ("operator", "twin")
    listening = {name: f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
    with (
        AuditTee(tee_port, {name: f"http://{place}/audit" for name, place in listening.items()}) as tee,
        ControlPlane(
            folder / "plane",
            nodes=2,
            audit_webhook=f"http://127.0.0.1:{tee_port}/audit",
            apiserver_flags=["--audit-webhook-initial-backoff=500ms"],
        ) as plane,
        Cluster(plane.kubeconfig) as cluster,
    ):
        operator, twin = (
            OperatorProcess(folder, plane.kubeconfig, name=name, options={"audit-listen": place})
            for name, place in listening.items()
        )
        twin.start()  # at the same time as the other
        with operator, twin:
            yield Pair(plane, cluster, operator, twin, tee)


@contextlib.contextmanager
def rolling_out(cluster: Cluster, namespace: str, names: Iterable[str]) -> Iterator[threading.Thread]:
    """Rollouts one after the other in a thread; at the end of the block they are waited for."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for name in names:
                Rollout(cluster.api, namespace=namespace, name=name).run()
        except BaseException as error:  # noqa: BLE001  whatever it is, the test tells it
            failures.append(error)

    thread = threading.Thread(target=run, name="rollouts")
    thread.start()
    try:
        yield thread
    finally:
        thread.join(120)
    assert not thread.is_alive(), "the rollouts do not end"
    if failures:
        raise failures[0]


# ----------------------------------------------------------------------------------------------------------- tests


def test_two_replicas_at_once_hold_the_same_bytes(pair: Pair) -> None:
    with pair.cluster.namespace() as namespace:
        with IndependentWatch(pair.plane.kubeconfig, namespaced(namespace)) as watch:
            Rollout(pair.cluster.api, namespace=namespace).run()
            pair.wait_for_both(namespace, watch)
        pair.check_both(namespace, watch)


def test_kills_in_the_middle_of_rollouts_lose_and_double_nothing(pair: Pair) -> None:
    """Killed at random moments, once while it is catching up; what it missed has to be there soon after."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    with pair.cluster.namespace() as namespace:
        with IndependentWatch(pair.plane.kubeconfig, namespaced(namespace)) as watch:
            for number in range(3):
                moment = len(watch.lines) + chance.randrange(1, 120)
                with rolling_out(pair.cluster, namespace, [f"round-{number}-{n}" for n in range(2)]):
                    wait_until(lambda: len(watch.lines) >= moment, f"line {moment} (seed {seed})")  # noqa: B023
                    pair.operator.kill()
                    pair.operator.start()
                    if number == 1:
                        kill_while_catching_up(pair.operator)
            pair.wait_for_both(namespace, watch)
        pair.check_both(namespace, watch)
    assert pair.tee.refused["operator"] > 0, "no audit batch met the operator while it was away"
    assert "Traceback" not in pair.operator.log_text()


def kill_while_catching_up(operator: OperatorProcess) -> None:
    """Kill it as soon as it writes again, and start it once more."""
    before = len(stored_spans(operator.store))
    wait_until(lambda: len(stored_spans(operator.store)) > before, "the operator to write again")
    operator.kill()
    operator.start()


def test_an_api_server_that_is_killed_and_comes_back(pair: Pair) -> None:
    """What happens afterwards arrives by watch and by webhook, and the outage is a gap."""
    with pair.cluster.namespace() as namespace:
        with IndependentWatch(pair.plane.kubeconfig, namespaced(namespace)) as before:
            Rollout(pair.cluster.api, namespace=namespace, name="before").run()
            pair.wait_for_both(namespace, before)
        pair.plane.kill_apiserver()
        pair.plane.restart_apiserver()
        with IndependentWatch(pair.plane.kubeconfig, namespaced(namespace)) as after:
            Rollout(pair.cluster.api, namespace=namespace, name="after").run()
            pair.wait_for_both(namespace, after)
        after.lines[:0] = before.lines
        pair.check_both(namespace, after)
    for each in (pair.operator, pair.twin):
        assert each.ask("/readyz")[0] == 200
        assert ("apps", "deployments", "") in {s.key[1:4] for s in gaps(each.store)}


def gaps(store: Path) -> list[Span]:
    return [span for span in stored_spans(store) if span.source == "gap"]


def test_what_was_deleted_while_nobody_watched_and_history_was_lost(pair: Pair) -> None:
    """The version reached is compacted away (410): the deletion is concluded from a new list, and marked by a gap."""
    operator, cluster = pair.operator, pair.cluster
    with cluster.namespace(pods=False) as namespace:
        maps = f"/api/v1/namespaces/{namespace}/configmaps"
        for name in ("doomed", "changed", "quiet"):
            cluster.create(maps, config_map(name, state="known"))
        known = StoredSpans(operator.store, namespace)
        wait_until(
            lambda: {"doomed", "changed", "quiet"} <= changed_names(known.now()), "all three to be known"
        )
        operator.interrupt()
        for state in ("unseen", "seen"):
            cluster.merge(f"{maps}/changed", {"data": {"state": state}})
        cluster.delete(f"{maps}/doomed")
        compact_etcd(pair.plane)
        pair.plane.restart_apiserver()
        operator.start_watching()
        wait_until(lambda: "doomed" in changed_names(known.now(), "Deleted"), "the deletion to be concluded")
        wait_until(lambda: "changed" in changed_names(known.now(), "Modified"), "the larger step")
        spans = known.now()
        told = shown(operator.store, "configmap/doomed", "-n", namespace)
        text = kubeweft("show", "configmap/changed", "-n", namespace, store=operator.store)
    (deletion,) = (s for s in spans if s.attributes.get(v.CHANGE_TYPE) == "Deleted")
    assert (deletion.key.name, deletion.attributes[v.TIME_SOURCE]) == ("doomed", "receipt")
    assert json.loads(deletion.body)["data"] == {"state": "known"}
    own_gaps = {s.key.name: s for s in spans if s.source == "gap"}
    assert own_gaps.keys() == {"doomed", "changed"}
    assert all(s.start < s.end <= deletion.end for s in own_gaps.values())
    assert all(s.attributes[v.GAP_REASON] == "Expired" for s in own_gaps.values())
    assert {"gap", "change"} <= {span["source"] for span in told["spans"]}
    assert "data.state known → seen" in text
    assert changed_names(stored_spans(pair.twin.store, namespace), "Deleted") == {"doomed"}


def changed_names(spans: Iterable[Span], change: str = "Added") -> set[str]:
    return {
        s.key.name
        for s in spans
        if s.attributes.get(v.CHANGE_TYPE) == change and s.key.resource == "configmaps"
    }


def compact_etcd(plane: ControlPlane) -> None:
    """Forget every version but the newest, by etcd's own JSON gateway."""
    key = {"key": base64.b64encode(b"/registry/").decode()}
    revision = ask_etcd(plane, "/v3/kv/range", key)["header"]["revision"]
    ask_etcd(plane, "/v3/kv/compaction", {"revision": revision})


def ask_etcd(plane: ControlPlane, path: str, body: dict[str, Any]) -> dict[str, Any]:
    flags = plane.components["etcd"].command
    (url,) = [flag.partition("=")[2] for flag in flags if flag.startswith("--listen-client-urls=")]
    request = urllib.request.Request(url + path, data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.loads(answer.read()))
