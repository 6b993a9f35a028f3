"""Under the shipped rights, which allow reading only, the operator does its work and writes to nothing foreign.

Proved from the control plane's audit log, which here holds every request of the operator's user, reads included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from acting_alone import is_allowed, log_everything_of
from cluster_requests import RBAC, ROOT, Cluster, Json, read_manifests
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import wait_until
from independent_watch import IndependentWatch, namespaced
from ledger import Ledger, audit_entries, make_ledger, wait_until_stored, written_in
from operator_process import OperatorProcess, found, shown
from rollout import Rollout

USER = "kubeweft"
SOON = 20
ROLLOUT = ("deployments.apps", "replicasets.apps", "pods")


@dataclass(frozen=True)
class Outcome:
    """What the operator's user did, what the policy said meanwhile, and the store that came of it."""

    requests: list[Json]
    agents: set[str]
    policy: Json
    ready: tuple[int, str]
    store: Path
    namespace: str


def grant_shipped_rights(cluster: Cluster, user: str) -> None:
    """``kubectl apply -k config/rbac``, with the user in place of the service account."""
    for file in sorted((ROOT / "config/rbac").glob("*.yaml")):
        for document in read_manifests(str(file)):
            if document["kind"] == "ClusterRoleBinding":
                subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
                document["subjects"] = [subject]
                cluster.apply(f"{RBAC}/clusterrolebindings", document)
            elif document["kind"] == "ClusterRole":
                cluster.apply(f"{RBAC}/clusterroles", document)
    summed = f"{RBAC}/clusterroles/kubeweft-watcher"
    wait_until(lambda: cluster.get(summed).get("rules"), "the ClusterRoles to be summed up")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that logs every request of our user, and sends its audit events to a port that may listen."""
    folder = tmp_path_factory.mktemp("read-only-plane")
    plane = ControlPlane(
        folder / "plane",
        nodes=1,
        audit_webhook=f"http://127.0.0.1:{free_ports(1)[0]}/audit",
        audit_policy=log_everything_of(USER, folder),
    )
    with plane:
        yield plane


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane) -> Iterator[Cluster]:
    with Cluster(plane.kubeconfig) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcome(plane: ControlPlane, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A rollout and a policy, traced by an operator that may only read."""
    folder = tmp_path_factory.mktemp("read-only")
    grant_shipped_rights(cluster, USER)
    cluster.install_crds()
    with (
        OperatorProcess(folder, plane.kubeconfig_for(USER), options=webhook_of(plane)) as operator,
        cluster.namespace() as namespace,
        cluster.policy() as path,
    ):
        cluster.wait_in_force(path)
        trace_rollout(plane, cluster, operator, namespace)
        cluster.change_policy(path, diff={"maxBytes": 2048})
        cluster.wait_in_force(path)
        declared, ready = cluster.get(path), operator.ask("/readyz")
    entries = list(audit_entries(plane.audit_log))
    return Outcome(
        requests=[e for e in entries if e["user"]["username"] == USER],
        agents={e["user"]["username"] for e in entries if "kubeweft" in e.get("userAgent", "").lower()},
        policy=declared,
        ready=ready,
        store=operator.store,
        namespace=namespace,
    )


def webhook_of(plane: ControlPlane) -> dict[str, object]:
    """The options with which an operator listens where this control plane sends its audit events."""
    flags = plane.components["kube-apiserver"].command
    (file,) = [flag.partition("=")[2] for flag in flags if flag.startswith("--audit-webhook-config-file=")]
    url = yaml.safe_load(Path(file).read_text())["clusters"][0]["cluster"]["server"]
    return {"audit-listen": str(url).removeprefix("http://").removesuffix("/audit")}


def trace_rollout(plane: ControlPlane, cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    with IndependentWatch(plane.kubeconfig, namespaced(namespace)) as watch:
        Rollout(cluster.api, namespace=namespace).run()

        def ledger() -> Ledger:
            return make_ledger(written_in(plane.audit_log, namespace, ROLLOUT), list(watch.lines))

        wait_until_stored(ledger, operator.store, namespace)


def test_every_request_of_the_operator_is_a_read_or_our_own_status(outcome: Outcome) -> None:
    verbs = Counter(request["verb"] for request in outcome.requests)
    assert verbs["watch"] > 40, verbs
    assert verbs["patch"] >= 2, "the status of the policy was never written"
    assert [request for request in outcome.requests if not is_allowed(request)] == []


def test_every_right_that_is_used_was_granted(outcome: Outcome) -> None:
    """What is forbidden to it are Secrets, and nothing else."""
    forbidden = {
        (request.get("objectRef") or {}).get("resource", request["requestURI"])
        for request in outcome.requests
        if request.get("responseStatus", {}).get("code") == 403
    }
    assert forbidden == {"secrets"}


def test_nobody_else_acts_in_its_name(outcome: Outcome) -> None:
    assert outcome.agents == {USER}


def test_forbidden_types_are_named_and_others_go_on(outcome: Outcome) -> None:
    conditions = {c["type"]: c for c in outcome.policy["status"]["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "Tracing")
    reachable = conditions["ClustersReachable"]
    assert (reachable["status"], reachable["reason"]) == ("True", "Forbidden")
    assert "list and watch secrets;" in reachable["message"]
    assert outcome.policy["status"]["tracedResources"] > 40
    assert outcome.ready == (200, "ok\n")


def test_the_rollout_is_traced_all_the_same(outcome: Outcome) -> None:
    spans = shown(outcome.store, "deployment/demo", "-n", outcome.namespace)["spans"]
    kinds = Counter(span["object"].partition("/")[0] for span in spans if span["source"] == "object")
    assert kinds["replicasets.apps"] == 2
    assert kinds["pods"] >= 8
    assert {"request", "change", "event"} <= {span["source"] for span in spans}
    assert found(outcome.store, "--kind", "secret") == []


def test_a_policy_takes_effect_soon_though_its_crds_came_late(
    plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """As in the README: the operator runs, then somebody installs the definitions and applies a policy."""
    for plural in ("tracingpolicies", "linkrules"):
        cluster.remove_crd(f"{plural}.kubeweft.io")
    with OperatorProcess(tmp_path, plane.kubeconfig):
        cluster.install_crds()
        with cluster.policy() as path:
            cluster.wait_in_force(path, seconds=SOON)
