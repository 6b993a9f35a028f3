"""Spans leave by OTLP while things happen: all of them, in order, the same bytes each time, whoever goes down meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from cluster_requests import Cluster, Json
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from independent_watch import IndependentWatch, namespaced
from ledger import Ledger, make_ledger, stored_spans, wait_until_stored, written_in
from operator_process import OperatorProcess, listening_at
from otlp_recording import ReceivedRequest, ReceivedSpan
from otlp_script import UNAVAILABLE, Rule
from receiver_thread import ReceiverThread
from rollout import Rollout

WRITTEN = ("deployments.apps", "replicasets.apps", "pods")
OUTAGE_SECONDS = 10
CATCHING_UP_SECONDS = 90
BY_FLAG, BY_POLICY = "GRPC", "HTTPProtobuf"  # how each exporter is declared, and what it speaks
Id = tuple[bytes, bytes]


@dataclass(frozen=True)
class Rig:
    """An operator with two exporters to one receiver: by gRPC for everything, and by HTTP as a policy says."""

    plane: ControlPlane
    cluster: Cluster
    operator: OperatorProcess
    receiver: ReceiverThread
    policy: str

    def accepted(self, protocol: str) -> list[ReceivedRequest]:
        """The requests that the receiver has accepted, in their order."""
        requests = list(self.receiver.recording.requests)
        return [request for request in requests if request.accepted and request.protocol == protocol]

    def received(self, protocol: str) -> Counter[Id]:
        """How often each span has been accepted."""
        return Counter(id_of(span) for request in self.accepted(protocol) for span in request.spans)

    def check_order(self, protocol: str) -> None:
        """Requests follow each other in the order of the store, and so do the spans of one resource in a request.

        OTLP groups the spans of a request by resource. What is sent again does not count.
        """
        requests = self.accepted(protocol)
        places = {span: place for place, span in enumerate(self.stored())}  # after them: they go on coming
        reached = -1
        for request in requests:
            by_resource: dict[bytes, list[int]] = {}
            for span in request.spans:
                by_resource.setdefault(span.raw_resource, []).append(places[id_of(span)])
            assert all(those == sorted(those) for those in by_resource.values())
            news = [place for those in by_resource.values() for place in those if place > reached]
            if protocol == BY_FLAG:
                assert sorted(news) == list(range(reached + 1, reached + 1 + len(news))), (
                    "a span was passed over"
                )
            reached = max([reached, *news])

    def forms(self) -> dict[Id, set[tuple[bytes, bytes]]]:
        """Every form in which each span was ever sent, by whichever protocol, accepted or not."""
        forms: dict[Id, set[tuple[bytes, bytes]]] = {}
        for request in list(self.receiver.recording.requests):
            for span in request.spans:
                forms.setdefault(id_of(span), set()).add((span.raw_resource, span.raw))
        return forms

    def roll_out(self, namespace: str, *names: str) -> None:
        """Rollouts, and everything of them is stored when this returns."""
        with IndependentWatch(self.plane.kubeconfig, namespaced(namespace)) as watch:
            for name in names:
                Rollout(self.cluster.api, namespace=namespace, name=name).run()

            def ledger() -> Ledger:
                lines = [line for line in list(watch.lines) if line.resource != "configmaps"]
                return make_ledger(written_in(self.plane.audit_log, namespace, WRITTEN), lines)

            wait_until_stored(ledger, self.operator.store, namespace)

    def stored(self, *namespaces: str) -> list[Id]:
        """All spans by trace and span ID, in the order in which they were stored."""
        return [(s.trace_id, s.span_id) for s in stored_spans(self.operator.store, *namespaces)]

    def wait_received(self, protocol: str, wanted: Iterable[Id]) -> None:
        """Wait until all of these have been accepted."""
        missing = set(wanted)
        wait_until(
            lambda: missing <= self.received(protocol).keys(),
            f"{len(missing)} spans to arrive by {protocol}",
            seconds=CATCHING_UP_SECONDS,
        )


def id_of(span: ReceivedSpan) -> Id:
    return span.trace_id, span.span_id


def by_http(receiver: ReceiverThread) -> list[Json]:
    """The exporters of a policy."""
    otlp = {"endpoint": receiver.endpoint(BY_POLICY), "protocol": BY_POLICY, "tls": {"mode": "Disabled"}}
    return [{"name": "archive", "otlp": otlp}]


@pytest.fixture(scope="module")
def rig(
    control_plane: ControlPlane, audit_target: AuditTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """The policy, and so its exporter, is added while the operator runs."""
    folder = tmp_path_factory.mktemp("export")
    kubeconfig = control_plane.kubeconfig
    with ReceiverThread() as receiver, Cluster(kubeconfig) as cluster:
        cluster.install_crds()
        options = listening_at(audit_target, folder / "token") | {
            "otlp": f"grpc://{receiver.endpoint(BY_FLAG)}"
        }
        with (
            OperatorProcess(folder, kubeconfig, options=options) as operator,
            cluster.policy(exporters=by_http(receiver)) as policy,
        ):
            cluster.wait_in_force(policy)
            yield Rig(control_plane, cluster, operator, receiver, policy)


def test_everything_arrives_through_an_outage_a_refusal_and_a_kill(rig: Rig) -> None:
    """Down for ten seconds under load, then refusing, and the operator is killed while it catches up."""
    receiver, operator = rig.receiver, rig.operator
    with rig.cluster.namespace() as namespace:
        rig.roll_out(namespace, "before")
        rig.wait_received(BY_FLAG, rig.stored(namespace))
        receiver.go_away()
        back = time.monotonic() + OUTAGE_SECONDS
        rig.roll_out(namespace, "during-0")
        number = 0
        while time.monotonic() < back:
            number += 1
            rig.roll_out(namespace, f"during-{number}")
        waiting = set(rig.stored(namespace)) - rig.received(BY_FLAG).keys()
        assert len(waiting) > 500, "there was no load"
        seen = len(receiver.recording.requests)
        receiver.rules.append(Rule(UNAVAILABLE, times=2))
        receiver.come_back()
        wait_until(
            lambda: len(receiver.recording.requests) > seen + 2, "the receiver to be found again", seconds=60
        )
        operator.kill()
        operator.start_watching()
        rig.roll_out(namespace, "after")
        everything = rig.stored()
        rig.wait_received(BY_FLAG, everything)
        rig.wait_received(BY_POLICY, rig.stored(namespace))
    arrived = rig.received(BY_FLAG)
    assert arrived.keys() <= set(rig.stored()), "something was sent that is not stored"
    rig.check_order(BY_FLAG)
    rig.check_order(BY_POLICY)
    assert {span: len(forms) for span, forms in rig.forms().items() if len(forms) != 1} == {}
    refused = [request for request in receiver.recording.requests if not request.accepted]
    assert refused, "nothing had to be sent twice, so nothing is proved"


def test_a_policys_exporter_obeys_its_scope_and_goes_without_a_restart(rig: Rig) -> None:
    cluster, policy = rig.cluster, rig.policy
    with cluster.namespace() as inside, cluster.namespace() as outside:
        cluster.change_policy(policy, exporters=by_http(rig.receiver), match={"namespaces": [inside]})
        cluster.wait_in_force(policy)
        before = rig.received(BY_POLICY).keys()
        maps = f"/api/v1/namespaces/{outside}/configmaps"
        cluster.create(maps, {"metadata": {"name": "outside"}})
        rig.roll_out(inside, "inside")
        rig.wait_received(BY_POLICY, rig.stored(inside))
        assert rig.received(BY_POLICY).keys() - before <= set(rig.stored(inside))

        cluster.change_policy(policy)
        cluster.wait_in_force(policy)
        at_the_end = len(rig.accepted(BY_POLICY))
        rig.roll_out(outside, "outside")
        rig.wait_received(BY_FLAG, rig.stored(outside))
        assert len(rig.accepted(BY_POLICY)) == at_the_end
    assert "Traceback" not in rig.operator.log_text()
