"""The audit log file of a real API server: followed for the local cluster, beside the webhook that others may send to."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_requests import Cluster, Json, config_map
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from joined_clusters import CONFIG_MAPS, Home, Seen
from operator_process import OperatorProcess, listening_at

ACCEPTED = 'kubeweft_audit_events_total{outcome="accepted"}'
REQUESTS_ONLY: Json = {"objects": {"mode": "Disabled"}, "events": {"mode": "Disabled"}}


@pytest.fixture
def home(control_plane: ControlPlane) -> Home:
    return Home(Cluster(control_plane.kubeconfig))


def operator(plane: ControlPlane, folder: Path, **options: object) -> OperatorProcess:
    """One that follows the audit log of its cluster."""
    given = {"audit-log": plane.audit_log, **options}
    return OperatorProcess(folder, plane.kubeconfig, options=given, watched=())


def test_requests_come_from_the_log_and_go_on_after_a_restart(
    control_plane: ControlPlane, home: Home, tmp_path: Path
) -> None:
    sources = {"audit": {"mode": "LogFile"}, **REQUESTS_ONLY}
    with (
        home.cluster.policy(match=CONFIG_MAPS, sources=sources) as policy,
        home.cluster.namespace(pods=False) as namespace,
    ):
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        with operator(control_plane, tmp_path) as running:
            home.cluster.wait_in_force(policy)
            home.cluster.create(path, config_map("first"))
            Seen(running, namespace).wait(("local", "first"), source="request")
            home.wait_state(policy, "local", lambda state: state.get("lastAuditTime"), seconds=60)
        home.cluster.create(path, config_map("while-away"))
        with operator(control_plane, tmp_path) as running:
            home.cluster.create(path, config_map("afterwards"))
            seen = Seen(running, namespace)
            seen.wait(("local", "while-away"), ("local", "afterwards"), source="request")
            names = [s.key.name for s in seen.spans("request") if s.key.name != "kube-root-ca.crt"]
            assert sorted(names) == ["afterwards", "first", "while-away"]
            assert seen.spans("change") == []


def test_a_policy_names_the_inlet_that_its_requests_come_by(
    control_plane: ControlPlane, audit_target: AuditTarget, home: Home, tmp_path: Path
) -> None:
    """The API server tells both; what a policy does not want from one of them makes no span."""
    by_webhook = {"audit": {"mode": "Webhook"}, **REQUESTS_ONLY}
    by_log = {"audit": {"mode": "LogFile"}, **REQUESTS_ONLY}
    secrets = {"resources": [{"apiGroups": [""], "resources": ["secrets"]}]}
    with (
        home.cluster.policy(match=CONFIG_MAPS, sources=by_webhook) as policy,
        home.cluster.policy(match=secrets, sources=by_log) as other,
        home.cluster.namespace(pods=False) as namespace,
    ):
        path = f"/api/v1/namespaces/{namespace}"
        with operator(control_plane, tmp_path) as running:  # it has no webhook
            home.cluster.wait_in_force(policy)
            home.cluster.wait_in_force(other)
            assert "Webhook" in home.condition(policy, "Accepted")["message"]
            home.cluster.create(f"{path}/configmaps", config_map("by-log-only"))
            home.cluster.create(f"{path}/secrets", {"metadata": {"name": "after-it"}})
            seen = Seen(running, namespace)
            wait_until(
                lambda: "after-it" in {s.key.name for s in seen.spans("request")}, "the request on the Secret"
            )
            assert seen.places("request") == set()
        home.cluster.change_policy(other, match=CONFIG_MAPS, sources=by_log)
        options = listening_at(audit_target, tmp_path / "token")
        with operator(control_plane, tmp_path, **options) as running:
            home.cluster.wait_in_force(policy)
            home.cluster.wait_in_force(other)
            before = running.metric(ACCEPTED)
            home.cluster.create(f"{path}/configmaps", config_map("by-both"))
            wait_until(lambda: running.metric(ACCEPTED) >= before + 2, "both to tell of the request")
            seen = Seen(running, namespace)
            assert len([s for s in seen.spans("request") if s.key.name == "by-both"]) == 1
