"""Secrets go through a real API server in every form, and nothing that leaves or stays with us holds one.

The audit policy of this control plane is the worst there can be: bodies of everything, Secrets and tokens included.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from canaries import Canaries, in_base64
from cluster_requests import CRDS, JSON_PATCH, MERGE, STRATEGIC, Cluster, Json, config_map
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import wait_until
from independent_watch import IndependentWatch
from kubeweft.store.sqlite_reader import SqliteReader
from ledger import Ledger, make_ledger, wait_until_stored, written_in
from operator_process import CLUSTER, OperatorProcess, kubeweft
from receiver_thread import ReceiverThread
from store_contents import decoded

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
VISIBLE = "this-is-no-secret-and-stays"
AUDITED = ("secrets", "configmaps", "pods", "serviceaccounts", "bundles.secrets.example.com")
WATCHED = {"secrets": "secrets", "configmaps": "configmaps", "events": "events", "pods": "pods"}
REMEMBERED = (("", "secrets"), ("", "configmaps"), ("", "pods"), ("secrets.example.com", "bundles"))


@dataclass(frozen=True)
class Aftermath:
    """Where the canaries have been, and all that is left of it."""

    canaries: Canaries
    namespace: str
    operator: OperatorProcess
    audit_log: Path
    log: str
    metrics: str
    policy: Json
    sent: list[bytes]


# --------------------------------------------------------------------------------------------- planting, by place


class Planter:
    """Puts canaries into one namespace, once more under each prefix."""

    def __init__(self, cluster: Cluster, canaries: Canaries, *, namespace: str, prefix: str) -> None:
        self._cluster, self._canaries = cluster, canaries
        self._prefix = prefix
        self._core = f"/api/v1/namespaces/{namespace}"
        self._events = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        self._bundles = f"/apis/secrets.example.com/v1/namespaces/{namespace}/bundles"

    def plant(self) -> None:
        """Everywhere."""
        self.in_secrets()
        self.in_patches()
        self.in_annotations()
        self.in_tokens()
        self.in_helm_releases()
        self.in_config_maps()
        self.in_events()
        self.in_pods()
        self.in_custom_resources()
        self.in_requests()

    def _new(self, place: str, **more: int) -> str:
        return self._canaries.new(f"{self._prefix}: {place}", **more)

    def _encoded(self, place: str) -> str:
        return in_base64(self._new(place))

    def _named(self, name: str, **metadata: object) -> Json:
        return {"metadata": {"name": f"{self._prefix}-{name}", **metadata}}

    def in_secrets(self) -> None:
        data = {key: self._encoded(f"data of a Secret, {key}") for key in "abc"}
        texts = {key: self._new(f"stringData of a Secret, {key}") for key in "abc"}
        self._cluster.create(f"{self._core}/secrets", {**self._named("data"), "data": data})
        self._cluster.create(f"{self._core}/secrets", {**self._named("string-data"), "stringData": texts})
        dry = {**self._named("dry"), "stringData": {"a": self._new("a Secret by dry run")}}
        self._cluster.send("POST", f"{self._core}/secrets", dry, dryRun="All")
        wrong = {**self._named("wrong"), "data": {"a": "no base64!", "b": self._encoded("a refused Secret")}}
        code, _ = self._cluster.attempt("POST", f"{self._core}/secrets", wrong)
        assert code == 400

    def in_patches(self) -> None:
        path = f"{self._core}/secrets/{self._prefix}-data"
        send = self._cluster.send
        send("PATCH", path, {"data": {"m": self._encoded("a merge patch")}}, kind=MERGE)
        send("PATCH", path, {"stringData": {"s": self._new("a strategic patch")}}, kind=STRATEGIC)
        operations = [
            {"op": "add", "path": "/data/j", "value": self._encoded("a JSON patch")},
            {"op": "add", "path": "/stringData", "value": {"k": self._new("a JSON patch of stringData")}},
        ]
        send("PATCH", path, operations, kind=JSON_PATCH)
        applied = {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": self._new("an applied Secret")}}
        self._cluster.apply(f"{self._core}/secrets", {**applied, **self._named("applied")})
        stored = self._cluster.get(path)
        self._cluster.send("PUT", path, {**stored, "stringData": {"u": self._new("an updated Secret")}})
        self._cluster.delete(path)

    def in_annotations(self) -> None:
        """As ``kubectl apply`` leaves them, and a URL with a password."""
        before = {"data": {"a": self._encoded("last-applied, data")}, "kind": "Secret"}
        before["stringData"] = {"b": self._new("last-applied, stringData")}
        annotations = {LAST_APPLIED: json.dumps(before)}
        secret = {
            **self._named("last-applied", annotations=annotations),
            "stringData": {"a": self._new("a Secret")},
        }
        self._cluster.create(f"{self._core}/secrets", secret)
        url = f"https://robot:{self._new('a URL in an annotation')}@git.example.com/repo"
        applied = json.dumps({"kind": "ConfigMap", "data": {"a": self._new("last-applied of a ConfigMap")}})
        described = {"example.com/source": url, LAST_APPLIED: applied}
        self._cluster.create(f"{self._core}/configmaps", {**self._named("annotated", annotations=described)})

    def in_tokens(self) -> None:
        self._cluster.create(f"{self._core}/serviceaccounts", self._named("account"))
        path = f"{self._core}/serviceaccounts/{self._prefix}-account/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": ["test"]},
        }
        token = str(self._cluster.create(path, request)["status"]["token"])
        for number, part in enumerate(token.split(".")[1:]):
            self._canaries.take(f"{self._prefix}: a requested token, part {number}", part)
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        spec = {"spec": {"token": self._new("a reviewed token")}}
        self._cluster.create("/apis/authentication.k8s.io/v1/tokenreviews", {**review, **spec})

    def in_helm_releases(self) -> None:
        labels = {"owner": "helm", "name": "shop", "status": "deployed", "version": "1"}
        name = f"sh.helm.release.v1.{self._prefix}.v1"
        for path, resource in (("secrets", "Secret"), ("configmaps", "ConfigMap")):
            release = self._release(f"a Helm release in a {resource}")
            data = {"release": in_base64(release) if resource == "Secret" else release}
            body: Json = {"metadata": {"name": name, "labels": labels}, "data": data}
            if resource == "Secret":
                body["type"] = "helm.sh/release.v1"
            self._cluster.create(f"{self._core}/{path}", body)

    def _release(self, place: str) -> str:
        """The text that Helm stores; compressed, a value in it cannot be recognised, so the text is the canary."""
        packed = gzip.compress(json.dumps({"config": {"password": self._new(f"{place}, a value")}}).encode())
        return self._canaries.take(f"{self._prefix}: {place}", base64.b64encode(packed).decode())

    def in_config_maps(self) -> None:
        url = f"postgres://shop:{self._new('a URL in a ConfigMap')}@db.example.com:5432/shop"
        key = self._canaries.private_key(f"{self._prefix}: a private key")
        hidden = self._canaries.private_key(f"{self._prefix}: an encoded private key")
        body = {**self._named("texts"), "data": {"url": url, "tls.key": key, "plain": VISIBLE}}
        self._cluster.create(f"{self._core}/configmaps", {**body, "binaryData": {"key": in_base64(hidden)}})
        changed = f"redis://:{self._new('a URL in a changed ConfigMap')}@cache.example.com"
        self._cluster.merge(f"{self._core}/configmaps/{self._prefix}-texts", {"data": {"url": changed}})

    def in_events(self) -> None:
        about = {"kind": "ConfigMap", "apiVersion": "v1", "name": f"{self._prefix}-texts"}
        about["namespace"] = self._core.rpartition("/")[2]
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        token = self._canaries.token(f"{self._prefix}: a token in an Event")
        old = {**self._named("old"), "involvedObject": about, "reason": "Refused", "type": "Warning"}
        message = f"cannot log in with {token}"
        self._cluster.create(f"{self._core}/events", {**old, "message": message, "firstTimestamp": None})
        url = f"https://user:{self._new('a URL in an Event')}@example.com/"
        new = {
            **self._named("new"),
            "regarding": about,
            "reason": "Refused",
            "type": "Warning",
            "action": "Testing",
        }
        told = {"note": f"cannot reach {url}", "eventTime": now, "reportingInstance": "test"}
        self._cluster.create(self._events, {**new, **told, "reportingController": "example.com/test"})

    def in_pods(self) -> None:
        env = [{"name": "AWS_SECRET_ACCESS_KEY", "value": self._new("an AWS secret key", length=40)}]
        container = {"name": "web", "image": "nginx", "env": env}
        spec = {"containers": [container], "automountServiceAccountToken": False}
        self._cluster.create(f"{self._core}/pods", {**self._named("pod"), "spec": spec})
        code, _ = self._cluster.attempt(
            "POST",
            f"{self._core}/pods/{self._prefix}-pod/exec?command=login&command={self._new('a command')}",
        )
        assert code == 400, "the Pod is on no node"

    def in_custom_resources(self) -> None:
        inner = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"annotations": {LAST_APPLIED: self._new("last-applied inside a custom resource")}},
            "data": {"a": self._encoded("a Secret inside a custom resource, data")},
            "stringData": {"b": self._new("a Secret inside a custom resource, stringData")},
        }
        kind = {"apiVersion": "secrets.example.com/v1", "kind": "Bundle"}
        self._cluster.create(self._bundles, {**kind, **self._named("bundle"), "spec": {"template": inner}})

    def in_requests(self) -> None:
        """In what a request is called, rather than in what it holds."""
        query = f"token={self._new('a proxied query')}&page=1"
        code, _ = self._cluster.attempt("POST", f"{self._core}/services/nobody/proxy/login?{query}")
        assert code in (404, 503)
        agent = f"robot/1.0 ({self._canaries.token(f'{self._prefix}: a token in a user agent')})"
        code, _ = self._cluster.attempt(
            "POST", f"{self._core}/configmaps", config_map(f"{self._prefix}-agent"), User_Agent=agent
        )
        assert code == 201


def plant_for_policy(cluster: Cluster, canaries: Canaries, namespace: str) -> None:
    """What only the policy names."""
    data = {
        "pattern": f"example-secret-{canaries.new('a value that a policy has a pattern for')}",
        "omitted": canaries.new("a field that a policy omits"),
        "digested": canaries.new("a field that a policy digests"),
    }
    annotations = {"example.com/contact": canaries.new("an annotation that a policy names")}
    body = {"metadata": {"name": "by-policy", "annotations": annotations}, "data": data}
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", body)


POLICY: dict[str, Any] = {
    "redaction": {
        "secretData": "Digest",
        "annotationKeys": ["example.com/contact"],
        "patterns": [{"name": "ours", "regex": "example-secret-[a-z0-9]+"}],
        "fields": [
            {"name": "omitted", "path": "data.omitted"},
            {"name": "digested", "path": "data.digested", "action": "Digest"},
        ],
    }
}


# ------------------------------------------------------------------------------------------------------- the world


def everything_in_the_log(folder: Path) -> Path:
    """The audit policy nobody should have."""
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "RequestResponse"}]}
    file = folder / "audit-policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    return file


def install_bundles(cluster: Cluster) -> None:
    """A custom resource that holds manifests."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "bundles", "singular": "bundle", "kind": "Bundle"}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "secrets.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    cluster.apply(CRDS, {**kind, "metadata": {"name": "bundles.secrets.example.com"}, "spec": spec})
    path = f"{cluster.api.url}/apis/secrets.example.com/v1/bundles"
    wait_until(lambda: cluster.api.session.get(path, timeout=30).ok, "bundles to be served")


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Everything has been planted twice, under the default rules and under a policy, and has arrived."""
    folder = tmp_path_factory.mktemp("secrets")
    (port,) = free_ports(1)
    audit_policy = everything_in_the_log(folder)
    canaries = Canaries()
    with (
        ControlPlane(
            folder / "plane",
            controllers=False,
            audit_webhook=f"http://127.0.0.1:{port}/audit",
            audit_policy=audit_policy,
        ) as plane,
        Cluster(plane.kubeconfig) as cluster,
        cluster.namespace(pods=False) as namespace,
        ReceiverThread() as receiver,
    ):
        install_bundles(cluster)
        cluster.install_crds()
        options = {
            "audit-listen": f"127.0.0.1:{port}",
            "otlp": f"grpc://{receiver.endpoint('GRPC')}",
            "log-level": "debug",
        }
        cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
        core = f"/api/v1/namespaces/{namespace}"
        paths = {name: f"{core}/{plural}" for name, plural in WATCHED.items()}
        paths["bundles.secrets.example.com"] = f"/apis/secrets.example.com/v1/namespaces/{namespace}/bundles"
        with (
            OperatorProcess(folder, plane.kubeconfig, options=options, watched=list(paths)) as operator,
            IndependentWatch(plane.kubeconfig, paths) as watch,
        ):

            def ledger() -> Ledger:
                return make_ledger(written_in(plane.audit_log, namespace, AUDITED), list(watch.lines))

            Planter(cluster, canaries, namespace=namespace, prefix="first").plant()
            wait_until_stored(ledger, operator.store, namespace)
            with cluster.policy(**POLICY) as path:
                cluster.wait_in_force(path)
                Planter(cluster, canaries, namespace=namespace, prefix="second").plant()
                plant_for_policy(cluster, canaries, namespace)
                wait_until_stored(ledger, operator.store, namespace)
                wait_until(lambda: operator.metric(behind(receiver)) == 0, "all spans to be sent")
                metrics, declared = operator.ask("/metrics")[1], cluster.get(path)
        yield Aftermath(
            canaries=canaries,
            namespace=namespace,
            operator=operator,
            audit_log=plane.audit_log,
            log=operator.log_text(),
            metrics=metrics,
            policy=declared,
            sent=[request.payload for request in receiver.recording.requests],
        )


def behind(receiver: ReceiverThread) -> str:
    """The metric that says how many spans wait for the receiver."""
    return f'kubeweft_export_behind_spans{{exporter="{receiver.endpoint("GRPC")}"}}'


# ----------------------------------------------------------------------------------------------------------- tests


def test_there_are_canaries_enough_and_all_of_them_came_by(aftermath: Aftermath) -> None:
    """What follows proves nothing unless every canary was in what the API server sent us."""
    canaries = aftermath.canaries
    assert len(canaries.planted) >= 60
    came = set(canaries.hits(aftermath.audit_log.read_bytes()))
    never_plain = {place for place in canaries.planted.values() if place.endswith(", a value")}
    assert came == set(canaries.planted.values()) - never_plain - {
        place for place in canaries.planted.values() if place.endswith("a refused Secret")
    }


def test_none_is_in_the_files_of_the_store(aftermath: Aftermath) -> None:
    store = aftermath.operator.store
    files = sorted(store.parent.glob(f"{store.name}*"))
    assert store in files
    for file in files:
        assert aftermath.canaries.hits(file.read_bytes()) == [], file.name


def test_none_is_in_what_the_store_decodes_to(aftermath: Aftermath) -> None:
    store = aftermath.operator.store
    with SqliteReader(store) as reader:
        assert all(reader.resume(CLUSTER, group, resource) is not None for group, resource in REMEMBERED)
    content = decoded(store, *REMEMBERED)
    assert VISIBLE.encode() in content, "what is no secret has to stay"
    assert b'"***"' in content
    assert aftermath.canaries.hits(content) == []


def test_none_was_sent_by_otlp(aftermath: Aftermath) -> None:
    content = b"\n".join(aftermath.sent)
    assert VISIBLE.encode() in content
    assert aftermath.canaries.hits(content) == []


def test_none_is_in_the_log_the_metrics_or_the_status(aftermath: Aftermath) -> None:
    assert "DEBUG" in aftermath.log
    assert aftermath.canaries.hits(aftermath.log.encode()) == []
    assert "kubeweft_audit_events_total" in aftermath.metrics
    assert aftermath.canaries.hits(aftermath.metrics.encode()) == []
    assert aftermath.canaries.hits(json.dumps(aftermath.policy["status"]).encode()) == []


@pytest.mark.parametrize(
    "thing",
    [
        "secret/first-string-data",
        "secret/second-string-data",
        "secret/second-last-applied",
        "configmap/first-texts",
        "configmap/second-texts",
        "configmap/by-policy",
        "pod/first-pod",
        "bundle/second-bundle",
    ],
)
def test_none_is_shown(aftermath: Aftermath, thing: str) -> None:
    inside, store = ("-n", aftermath.namespace), aftermath.operator.store
    forms = [kubeweft("show", thing, *inside, "-o", form, store=store) for form in ("text", "json", "yaml")]
    for content in forms:
        assert thing.partition("/")[2] in content
        assert aftermath.canaries.hits(content.encode()) == []


def test_none_is_found_by_a_search(aftermath: Aftermath) -> None:
    store = aftermath.operator.store
    listing = kubeweft("search", "-n", aftermath.namespace, "-o", "json", store=store)
    assert "second-texts" in listing
    assert aftermath.canaries.hits(listing.encode()) == []
    for canary in list(aftermath.canaries.planted)[::20]:
        assert json.loads(kubeweft("search", f"--text={canary}", "-o", "json", store=store)) == []
