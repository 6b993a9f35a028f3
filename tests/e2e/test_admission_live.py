"""Admission on a real API server: what it refuses, and that it can never be in anybody's way."""

import asyncio
import base64
import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from kubernetes_asyncio.client.configuration import Configuration

from cluster_requests import POLICIES as POLICY_PATH
from cluster_requests import RBAC, Cluster, Json, policy, read_manifests
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import wait_until
from kubeweft.control.admission.addresses import Address
from kubeweft.control.admission.configuration import HOLDER, PATH
from kubeweft.control.admission.judging import Judge
from kubeweft.control.admission.rotation import LIFETIME
from kubeweft.control.admission.setting_up import Admission
from kubeweft.control.api import KubernetesControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.watching.operator_thread import OperatorThread
from kubeweft.kube import clients, credentials
from kubeweft.model.windows import NANOSECONDS
from operator_process import OperatorProcess

RULE_PATH = "/apis/kubeweft.io/v1alpha1/linkrules"
STOP_SECONDS = 10
WARNING = "Warning"


class Checking:
    """``with Checking(kubeconfig)``: Kopf with admission in a thread of its own, and none of the data path."""

    def __init__(
        self,
        kubeconfig: Path,
        *,
        service: tuple[str, str] | None = None,
        lifetime: int = LIFETIME,
        look_every: float = 1.0,
    ) -> None:
        self._kubeconfig = str(kubeconfig)
        address = Address(listen_host="127.0.0.1", port=free_ports(1)[0], service=service)
        judge = Judge(lambda resource: {}, Installation())
        self._admission = Admission(
            address=address, judge=judge, lifetime=lifetime, look_every=look_every, again_after=0.2
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="checking")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self.seen: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), "it has not stopped"

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()

        async def log_in() -> Configuration:
            found = await credentials.find_access(kubeconfig=self._kubeconfig, context="", environ={})
            return found.configuration

        async with await clients.connect(kubeconfig=self._kubeconfig) as client:
            served = KubernetesControlApi(client).served
            thread = OperatorThread(self, log_in, served=served, admission=self._admission)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(thread.run())
                await self._stop.wait()
                running.cancel()

    def policy_seen(self, name: str, body: Any) -> None:
        self.seen.append(name)

    def link_rule_seen(self, name: str, body: Any) -> None:
        self.seen.append(name)

    def types_changed(self) -> None:
        """Not looked at here."""

    def ready(self) -> None:
        """Not looked at here."""

    def failed(self, reason: str) -> None:
        self.failures.append(reason)


@pytest.fixture
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    with Cluster(kubeconfig) as cluster:
        cluster.install_crds()
        yield cluster
        cluster.attempt("DELETE", PATH)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """For an object of either type; both are deleted after the test."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    for path in (POLICY_PATH, RULE_PATH):
        cluster.attempt("DELETE", f"{path}/{name}")


def rule(name: str, **spec: Any) -> Json:
    target = {
        "name": "node",
        "type": "FieldPath",
        "resource": {"resource": "nodes"},
        "fieldPath": {"name": "spec.nodeName"},
    }
    source = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
    return {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "LinkRule",
        "metadata": {"name": name},
        "spec": {"source": source, "targets": [target], **spec},
    }


def cel_rule(name: str, expression: str) -> Json:
    target = {
        "name": "t",
        "type": "CEL",
        "resource": {"resource": "nodes"},
        "cel": {"expression": expression},
    }
    return rule(name, targets=[target])


def is_registered(cluster: Cluster) -> bool:
    return cluster.attempt("GET", PATH)[0] == 200


def try_out(cluster: Cluster, body: Json) -> tuple[int, str]:
    """Create for trial only."""
    path = POLICY_PATH if body["kind"] == "TracingPolicy" else RULE_PATH
    return cluster.attempt("POST", f"{path}?dryRun=All", body)


def wait_checked(cluster: Cluster) -> None:
    """Until a bad rule is refused: an API server takes a moment to see a new configuration."""
    wait_until(lambda: try_out(cluster, cel_rule("probe", "object.("))[0] == 422, "admission to be in force")


def authorities(cluster: Cluster) -> int:
    (webhook,) = cluster.get(PATH)["webhooks"]
    return base64.b64decode(webhook["clientConfig"]["caBundle"]).count(b"BEGIN")


# -------------------------------------------------------------------------------------------------------- the answers


def test_a_bad_rule_is_refused_and_a_good_one_is_stored(
    kubeconfig: Path, cluster: Cluster, name: str
) -> None:
    with Checking(kubeconfig) as checking:
        wait_checked(cluster)
        status, told = cluster.attempt("POST", RULE_PATH, cel_rule(name, "object.metadata.name +"))
        assert status == 422
        assert 'admission webhook \\"admission.kubeweft.io\\" denied the request' in told
        assert "spec.targets[t].cel.expression" in told
        created = cluster.create(RULE_PATH, cel_rule(name, "object.metadata.name"))
        wait_until(lambda: name in checking.seen, "Kopf to tell of the rule")
        replaced = {"op": "replace", "path": "/spec", "value": cel_rule(name, "1 +")["spec"]}
        headers = {"Content_Type": "application/json-patch+json"}
        assert cluster.attempt("PATCH", f"{RULE_PATH}/{name}", [replaced], **headers)[0] == 422
        stored = cluster.get(f"{RULE_PATH}/{name}")
        assert stored["spec"] == created["spec"]
        assert "finalizers" not in stored["metadata"]
        assert "annotations" not in stored["metadata"]
    assert not is_registered(cluster)
    assert checking.failures == []


BAD_POLICIES: list[tuple[Json, str]] = [
    (
        {"match": {"matchConditions": [{"name": "c", "expression": "object."}]}},
        "spec.match.matchConditions",
    ),
    ({"redaction": {"patterns": [{"name": "p", "regex": "("}]}}, "spec.redaction.patterns"),
]


def test_bad_policies_are_refused_with_the_field(kubeconfig: Path, cluster: Cluster) -> None:
    with Checking(kubeconfig):
        wait_checked(cluster)
        for spec, field in BAD_POLICIES:
            status, told = try_out(cluster, policy("bad", **spec))
            assert status == 422, told
            assert field in told
        assert try_out(cluster, policy("good"))[0] == 201


def test_what_is_missing_is_warned_about(kubeconfig: Path, cluster: Cluster) -> None:
    spec = {"clusters": [{"name": "away", "kubeconfigSecretRef": {"name": "no-such-secret"}}]}
    with Checking(kubeconfig):
        wait_checked(cluster)
        answer = cluster.api.session.post(
            f"{cluster.api.url}{POLICY_PATH}?dryRun=All", json=policy("warned", **spec), timeout=30
        )
    assert answer.status_code == 201, answer.text
    assert "no-such-secret" in answer.headers[WARNING]


def test_a_bad_object_can_still_be_labelled_and_deleted(
    kubeconfig: Path, cluster: Cluster, name: str
) -> None:
    cluster.create(RULE_PATH, cel_rule(name, "1 +"))
    with Checking(kubeconfig):
        wait_checked(cluster)
        labelled = {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/wait"]}}
        cluster.merge(f"{RULE_PATH}/{name}", labelled)
        cluster.delete(f"{RULE_PATH}/{name}")
        cluster.merge(f"{RULE_PATH}/{name}", {"metadata": {"finalizers": []}})
        assert cluster.attempt("GET", f"{RULE_PATH}/{name}")[0] == 404


def test_a_service_can_stand_before_it(kubeconfig: Path, cluster: Cluster) -> None:
    """Here none can be reached, as nothing routes to Services; and then nothing is in the way."""
    with Checking(kubeconfig, service=("kubeweft-system", "kubeweft")):
        wait_until(lambda: is_registered(cluster), "the configuration")
        (webhook,) = cluster.get(PATH)["webhooks"]
        assert webhook["clientConfig"]["service"]["name"] == "kubeweft"
        assert try_out(cluster, policy("good"))[0] == 201


# --------------------------------------------------------------------------------------------------- never in the way


def test_the_process_checks_and_removes_itself_when_it_stops(
    kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    options = {"admission-listen": f"127.0.0.1:{free_ports(1)[0]}"}
    with OperatorProcess(tmp_path, kubeconfig, options=options, watched=()):
        wait_checked(cluster)
    assert not is_registered(cluster)


def test_without_the_process_policies_can_be_applied_and_the_next_one_takes_over(
    kubeconfig: Path, cluster: Cluster, tmp_path: Path, name: str
) -> None:
    options = {"admission-listen": f"127.0.0.1:{free_ports(1)[0]}"}
    operator = OperatorProcess(tmp_path, kubeconfig, options=options, watched=())
    with operator:
        wait_checked(cluster)
        operator.kill()
        assert is_registered(cluster)
        began = time.monotonic()
        cluster.create(RULE_PATH, cel_rule(name, "1 +"))
        cluster.create(POLICY_PATH, policy(name))
        assert time.monotonic() - began < 10
    left = cluster.get(PATH)["metadata"]["annotations"][HOLDER]
    with OperatorProcess(tmp_path, kubeconfig, options=options, watched=()):
        wait_checked(cluster)
        assert cluster.get(PATH)["metadata"]["annotations"][HOLDER] != left
    assert not is_registered(cluster)


def test_a_configuration_that_somebody_deletes_comes_back(kubeconfig: Path, cluster: Cluster) -> None:
    with Checking(kubeconfig, look_every=0.2):
        wait_checked(cluster)
        version = cluster.get(PATH)["metadata"]["resourceVersion"]
        cluster.delete(PATH)
        wait_until(lambda: is_registered(cluster), "the configuration to come back")
        assert cluster.get(PATH)["metadata"]["resourceVersion"] != version
        wait_checked(cluster)


def test_a_configuration_that_is_right_is_not_written_again(kubeconfig: Path, cluster: Cluster) -> None:
    with Checking(kubeconfig, look_every=0.05):
        wait_checked(cluster)
        (managed,) = cluster.get(PATH)["metadata"]["managedFields"]
        version = cluster.get(PATH)["metadata"]["resourceVersion"]
        for _ in range(20):
            wait_checked(cluster)
        assert cluster.get(PATH)["metadata"]["resourceVersion"] == version
        assert managed["operation"] == "Apply"


def test_certificates_change_while_objects_are_applied(kubeconfig: Path, cluster: Cluster) -> None:
    """Every bad object of several lives of certificates is refused: one that is not could not be asked about."""
    passed: list[str] = []
    bundles: set[int] = set()
    with Checking(kubeconfig, lifetime=6 * NANOSECONDS):
        wait_checked(cluster)
        until, asked = time.monotonic() + 16, 0
        while time.monotonic() < until:
            status, told = try_out(cluster, cel_rule("rotated", "1 +"))
            asked += 1
            if status != 422:
                passed.append(told)
            bundles.add(authorities(cluster))
    assert asked > 50
    assert bundles == {1, 2}
    assert passed == []


# ----------------------------------------------------------------------------------------------------------- the rights


@contextlib.contextmanager
def granted(cluster: Cluster, user: str, files: Callable[[Path], bool]) -> Iterator[None]:
    """The shipped rights in these files, for a user instead of the service account."""
    folder = Path(__file__).parents[2] / "config/rbac"
    made: list[str] = []
    for file in filter(files, sorted(folder.glob("*.yaml"))):
        for document in read_manifests(str(file)):
            plural = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}.get(
                document["kind"]
            )
            if plural is None:
                continue
            document["metadata"]["name"] += f"-{user}"
            if plural == "clusterrolebindings":
                document["roleRef"]["name"] += f"-{user}"
                document["subjects"] = [
                    {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
                ]
            cluster.apply(f"{RBAC}/{plural}", document)
            made.append(f"{RBAC}/{plural}/{document['metadata']['name']}")
    try:
        yield
    finally:
        for path in made:
            cluster.attempt("DELETE", path)


def test_the_shipped_rights_are_enough(control_plane: ControlPlane, cluster: Cluster) -> None:
    user = f"admitting-{secrets.token_hex(3)}"
    with granted(cluster, user, lambda file: True), Checking(control_plane.kubeconfig_for(user)):
        wait_checked(cluster)
    assert not is_registered(cluster)


def test_without_the_right_all_the_rest_works(
    control_plane: ControlPlane, cluster: Cluster, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = f"watching-{secrets.token_hex(3)}"
    with (
        granted(cluster, user, lambda file: file.name != "admission.yaml"),
        Checking(control_plane.kubeconfig_for(user)) as checking,
    ):
        wait_until(lambda: "not checked at admission" in caplog.text, "the reason to be told")
        cluster.create(RULE_PATH, cel_rule(name, "1 +"))
        wait_until(lambda: name in checking.seen, "Kopf to tell of the rule")
        assert not is_registered(cluster)
    told = [r.getMessage() for r in caplog.records if "not checked at admission" in r.getMessage()]
    assert len(told) == 1
    assert "apply config/rbac/admission.yaml" in told[0]
    assert checking.failures == []
