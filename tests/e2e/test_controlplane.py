"""The control plane itself: pods run for real, the audit log is whole, identities have only their rights, nothing stays behind."""

import contextlib
import http.server
import json
import queue
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykube
import pytest

from controlplane.cluster import Cluster
from controlplane.plane import ControlPlane, ControlPlaneError
from controlplane.testing import AuditTarget, wait_until

SUPPORT = Path(__file__).parents[1] / "support"


def deployment(name: str, namespace: str, *, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"containers": [{"name": "web", "image": "registry.example/web:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def audit_events(plane: ControlPlane, *, resource: str, namespace: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
    return [
        event
        for event in events
        if (event.get("objectRef") or {}).get("resource") == resource
        and event["objectRef"].get("namespace") == namespace
    ]


def processes_with(directory: Path) -> list[str]:
    """Command lines of living processes that name the directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line:
                found.append(line)
    return found


def test_a_deployment_rolls_out_and_the_audit_log_holds_it(
    control_plane: ControlPlane, api: pykube.HTTPClient, namespace: str
) -> None:
    web = pykube.Deployment(api, deployment("web", namespace, replicas=2))
    web.create()

    def rolled_out() -> bool:
        web.reload()
        return bool(web.obj["status"].get("readyReplicas") == 2)

    wait_until(rolled_out, "two ready replicas")
    pods = list(pykube.Pod.objects(api).filter(namespace=namespace))
    assert len(pods) == 2
    assert all(pod.ready and pod.obj["spec"]["nodeName"].startswith("node-") for pod in pods)
    web.delete(propagation_policy="Foreground")
    wait_until(lambda: not list(pykube.Pod.objects(api).filter(namespace=namespace)), "the pods to be gone")

    created = next(
        event
        for event in audit_events(control_plane, resource="deployments", namespace=namespace)
        if event["verb"] == "create"
    )
    assert created["user"]["username"] == "kubernetes-admin"
    assert created["responseObject"]["metadata"]["uid"] == web.obj["metadata"]["uid"]
    assert "managedFields" not in created["responseObject"]["metadata"]
    writers = {
        event["user"]["username"]
        for event in audit_events(control_plane, resource="pods", namespace=namespace)
        if event["verb"] == "create" and event["objectRef"].get("subresource") is None
    }
    assert writers == {"system:serviceaccount:kube-system:replicaset-controller"}


def test_bodies_of_secrets_stay_out_of_the_audit_log(
    control_plane: ControlPlane, api: pykube.HTTPClient, namespace: str
) -> None:
    canary = "canary-4f1c9e7d2b8a6035"
    content = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "password", "namespace": namespace},
        "stringData": {"password": canary},
    }
    pykube.Secret(api, content).create()
    events = audit_events(control_plane, resource="secrets", namespace=namespace)
    assert [(event["verb"], event["level"]) for event in events] == [("create", "Metadata")]
    assert canary not in control_plane.audit_log.read_text()


def test_another_identity_has_no_rights_at_first(control_plane: ControlPlane, namespace: str) -> None:
    config = pykube.KubeConfig.from_file(str(control_plane.kubeconfig_for("viewer", groups=["readers"])))
    viewer = pykube.HTTPClient(config)
    with contextlib.closing(viewer.session):
        answer = viewer.get(url="pods", namespace=namespace)
    assert answer.status_code == 403
    assert 'User "viewer" cannot list resource "pods"' in answer.json()["message"]


@contextlib.contextmanager
def listening(target: AuditTarget, received: "queue.Queue[tuple[str, dict[str, Any]]]") -> Iterator[None]:
    """An HTTPS server that answers 200 and passes on the Authorization header and the body of each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((self.headers["Authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer((target.host, target.port), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(target.certificate, target.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_the_audit_webhook_is_called_though_it_began_to_listen_late(
    control_plane: ControlPlane, api: pykube.HTTPClient, namespace: str, audit_target: AuditTarget
) -> None:
    received: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    with listening(audit_target, received):
        content = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "late", "namespace": namespace},
        }
        pykube.ConfigMap(api, content).create()
        while True:
            authorization, batch = received.get(timeout=20)
            assert authorization == f"Bearer {audit_target.token}"
            assert batch["kind"] == "EventList"
            references = [event.get("objectRef") or {} for event in batch["items"]]
            if {
                "resource": "configmaps",
                "namespace": namespace,
                "name": "late",
                "apiVersion": "v1",
            } in references:
                break


def test_a_killed_api_server_comes_back_with_its_data(tmp_path: Path) -> None:
    with ControlPlane(tmp_path, controllers=False) as plane:
        with contextlib.closing(Cluster(plane.kubeconfig)) as cluster:
            cluster.create_nodes(1)
            plane.kill_apiserver()
            assert not cluster.ready()
            plane.restart_apiserver()
            answer = pykube.HTTPClient(pykube.KubeConfig.from_file(str(plane.kubeconfig)))
            with contextlib.closing(answer.session):
                assert (
                    pykube.Node.objects(answer).get(name="node-1").obj["metadata"]["labels"]["type"] == "kwok"
                )
        with pytest.raises(ControlPlaneError, match="another control plane runs in"):
            ControlPlane(tmp_path).start()
        assert cluster.ready()
    assert processes_with(tmp_path) == []


def test_a_kept_folder_goes_on_with_its_cluster_and_its_kubeconfigs(tmp_path: Path) -> None:
    with ControlPlane(tmp_path, controllers=False) as plane:
        first_url = plane.url
        with contextlib.closing(Cluster(plane.kubeconfig)) as cluster:
            cluster.create_nodes(1)
        viewer = plane.kubeconfig_for("viewer", groups=["system:masters"])
    written = plane.audit_log.read_bytes()
    with ControlPlane(tmp_path, controllers=False, fresh=False) as plane:
        assert plane.url == first_url
        api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(viewer)))
        with contextlib.closing(api.session):
            assert [node.name for node in pykube.Node.objects(api)] == ["node-1"]
            pykube.Node.objects(api).get(name="node-1").patch({"metadata": {"labels": {"again": "yes"}}})
        audited = plane.audit_log.read_bytes()
        assert audited.startswith(written)
        assert b'"again":"yes"' in audited[len(written) :]
    with ControlPlane(tmp_path, controllers=False) as plane:
        api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(plane.kubeconfig)))
        with contextlib.closing(api.session):
            assert list(pykube.Node.objects(api)) == []


def start_in_foreground(directory: Path) -> "subprocess.Popen[str]":
    """`python -m controlplane`, after its last line."""
    command = [sys.executable, "-m", "controlplane", "--directory", str(directory), "--nodes", "1"]
    child = subprocess.Popen(
        command, cwd=SUPPORT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    ready = child.stdout.readline()
    assert ready == f"ready kubeconfig={directory}/kubeconfig audit_log={directory}/audit/audit.log\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_it_stays_until_a_signal_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    with start_in_foreground(tmp_path) as child:
        child.send_signal(number)
        assert child.wait(timeout=30) == 0
        assert child.stdout is not None
        assert child.stdout.read() == ""
    assert processes_with(tmp_path) == []


def test_nothing_survives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with start_in_foreground(tmp_path) as child:
        assert len(processes_with(tmp_path)) == 6
        child.kill()
    wait_until(lambda: not processes_with(tmp_path), "the components to be killed by the kernel", seconds=5)


def test_a_token_that_would_not_be_sent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match="over https only"):
        ControlPlane(tmp_path, audit_webhook="http://127.0.0.1:9", audit_webhook_token="secret")
