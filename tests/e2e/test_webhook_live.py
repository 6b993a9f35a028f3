"""The audit webhook of a real API server: it is told to come again when the store is full, and obeys changed policies."""

from __future__ import annotations

import datetime
import itertools
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit_events import audit_event, event_list
from cluster_requests import Cluster, Json, config_map
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from independent_watch import IndependentWatch, connection
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from ledger import Ledger, StoredSpans, make_ledger, stored_spans, wait_until_stored, written_in
from operator_process import OperatorProcess, listening_at

SMALL, LARGE = 3 * 1024**2, 1024**3
LARGE_ONES, MOST_BATCHES = 200, 200
REFUSED = 'kubeweft_audit_requests_total{status="429"}'
COMING_AGAIN_SECONDS = 60  # the API server's own first pause is 10 s, and it grows


@dataclass(frozen=True)
class Answer:
    """What the webhook says."""

    code: int
    headers: dict[str, str]
    body: Json


class Sender:
    """Posts to the webhook as the API server does."""

    def __init__(self, plane: ControlPlane, target: AuditTarget) -> None:
        self._context = connection(plane.kubeconfig)[1]
        self._target = target

    def send(self, *events: Json, token: str = "") -> Answer:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {token or self._target.token}",
        }
        request = urllib.request.Request(self._target.url, data=event_list(*events), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20, context=self._context) as answer:
                return Answer(answer.status, dict(answer.headers), json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), json.loads(error.read()))


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Iterator[Cluster]:
    with Cluster(control_plane.kubeconfig) as cluster:
        cluster.install_crds()
        yield cluster


# -------------------------------------------------------------------------------------------------- a full store


def fill(cluster: Cluster, sender: Sender, namespace: str) -> Answer:
    """Write what does not compress, and then smaller and smaller things, until none fits in; gives the refusal."""
    for number in range(LARGE_ONES):
        body = config_map(f"large-{number}", text=secrets.token_hex(20_000))
        cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", body)
    for size in (500, 20, 1):  # where many do not fit in, a few still may
        for batch in range(MOST_BATCHES):
            answer = sender.send(*(audit_event(auditID=f"{size}-{batch}-{number}") for number in range(size)))
            if answer.code != 200:
                break
        else:
            pytest.fail("the store does not get full")
    return answer


def test_a_full_store_is_told_and_loses_nothing(
    control_plane: ControlPlane, audit_target: AuditTarget, cluster: Cluster, tmp_path: Path
) -> None:
    options = listening_at(audit_target, tmp_path / "token")
    sender, kubeconfig = Sender(control_plane, audit_target), control_plane.kubeconfig
    with cluster.namespace() as namespace, cluster.policy() as path:
        paths = {"configmaps": f"/api/v1/namespaces/{namespace}/configmaps"}
        with IndependentWatch(kubeconfig, paths) as watch:
            small = OperatorProcess(tmp_path, kubeconfig, options=options | {"store-max-bytes": SMALL})
            with small as operator:
                refusal = fill(cluster, sender, namespace)
                assert refusal.code == 429
                assert int(refusal.headers["Retry-After"]) >= 1
                assert "error" in refusal.body
                refused, more = operator.metric(REFUSED), itertools.count()

                def is_refused() -> bool:
                    cluster.create(paths["configmaps"], config_map(f"large-last-{next(more)}"))
                    return operator.metric(REFUSED) > refused

                wait_until(is_refused, "the API server to be refused as well")
                cluster.wait_in_force(path, reason="Overloaded")
                assert operator.ask("/healthz")[0] == 200
                assert operator.store.stat().st_size <= SMALL
            large = OperatorProcess(tmp_path, kubeconfig, options=options | {"store-max-bytes": LARGE})
            with large as operator:

                def ledger() -> Ledger:
                    written = written_in(control_plane.audit_log, namespace, paths)
                    large = [entry for entry in written if entry["objectRef"]["name"].startswith("large-")]
                    return make_ledger(
                        large, [line for line in watch.lines if line.name.startswith("large-")]
                    )

                wait_until_stored(ledger, operator.store, namespace, seconds=COMING_AGAIN_SECONDS)
                cluster.wait_in_force(path)
            # Before the namespace goes: its controller deletes whole collections, in requests that name no object.
            told = ledger()
    told.check(s for s in stored_spans(operator.store, namespace) if s.key.name.startswith("large-"))


# ------------------------------------------------------------------------------------------------ changed policies


@dataclass(frozen=True)
class Scene:
    """An operator that runs on while its policy changes, and two namespaces."""

    cluster: Cluster
    operator: OperatorProcess
    policy: str
    here: str
    there: str

    def write(self, namespace: str, name: str, **data: str) -> None:
        """Create a ConfigMap, or change it."""
        body = {**config_map(name), "data": data}
        self.cluster.apply(f"/api/v1/namespaces/{namespace}/configmaps", body)

    def tell(self, namespace: str, name: str, about: str) -> None:
        """A Kubernetes Event about a ConfigMap."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        involved = {"kind": "ConfigMap", "apiVersion": "v1", "namespace": namespace, "name": about}
        told = {
            "reason": "Told",
            "message": name,
            "type": "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        body = {"metadata": {"name": name}, "involvedObject": involved, "count": 1, **told}
        self.cluster.create(f"/api/v1/namespaces/{namespace}/events", body)

    def declare(self, **spec: object) -> None:
        """Another spec, in force when this returns."""
        self.cluster.change_policy(self.policy, **spec)
        self.cluster.wait_in_force(self.policy)

    def wait_for(self, namespace: str, name: str, *sources: str) -> None:
        """Wait until an object has spans of these sources."""
        spans = StoredSpans(self.operator.store, namespace)
        wait_until(
            lambda: set(sources) <= {s.source for s in spans.now() if s.key.name == name},
            f"{sources} about {name}",
        )

    def spans(self, *namespaces: str) -> list[Span]:
        """Everything about ConfigMaps in these namespaces."""
        return [s for s in stored_spans(self.operator.store, *namespaces) if s.key.resource == "configmaps"]


@pytest.fixture(scope="module")
def scene(
    control_plane: ControlPlane,
    audit_target: AuditTarget,
    cluster: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("policies")
    options = listening_at(audit_target, folder / "token")
    with (
        OperatorProcess(folder, control_plane.kubeconfig, options=options) as operator,
        cluster.namespace() as here,
        cluster.namespace() as there,
        cluster.policy() as policy,
    ):
        cluster.wait_in_force(policy)
        yield Scene(cluster, operator, policy, here, there)
        assert operator.log_text().count("audit webhook listens") == 1, "it was started again"


def test_namespaces(scene: Scene) -> None:
    """What is written elsewhere, before, in the same batch and the same watch, is left out."""
    scene.declare(match={"namespaces": [scene.here]})
    scene.write(scene.there, "elsewhere")
    scene.write(scene.here, "selected")
    scene.wait_for(scene.here, "selected", "request", "change")
    assert "elsewhere" not in {s.key.name for s in scene.spans(scene.there)}
    scene.declare(match={"namespaces": [scene.there]})
    scene.write(scene.there, "now-selected")
    scene.wait_for(scene.there, "now-selected", "request", "change")


def test_ignored_paths(scene: Scene) -> None:
    scene.declare()
    scene.write(scene.here, "noisy", noise="n-0", signal="s-0")
    scene.wait_for(scene.here, "noisy", "request", "change")
    assert "n-0" in everything_said(scene.spans(scene.here), "noisy")
    scene.declare(diff={"ignorePaths": ["data.noise"]})
    scene.write(scene.here, "noisy", noise="n-1", signal="s-0")
    scene.write(scene.here, "noisy", noise="n-2", signal="s-1")
    spans = StoredSpans(scene.operator.store, scene.here)
    wait_until(lambda: "s-1" in everything_said(spans.now(), "noisy"), "the second change")
    said = everything_said(scene.spans(scene.here), "noisy")
    assert "data.signal s-0 → s-1" in said
    assert "n-1" not in said
    assert "n-2" not in said


def everything_said(spans: list[Span], name: str) -> str:
    """Words, patches and bodies of an object's changes."""
    own = [s for s in spans if s.key.name == name and s.source == "change"]
    return "\n".join(
        part
        for s in own
        for part in (str(s.attributes.get(v.WORDS)), str(s.attributes.get(v.PATCH)), s.body.decode())
    )


@pytest.mark.parametrize(
    ("source", "left_out", "kept"),
    [
        ("events", "event", ("request", "change")),
        ("audit", "request", ("change", "event")),
        ("objects", "change", ("request", "event")),
    ],
)
def test_sources(scene: Scene, source: str, left_out: str, kept: tuple[str, ...]) -> None:
    """Each can be switched off while it runs; the others go on, and it comes back."""
    scene.declare(sources={source: {"mode": "Disabled"}})
    for name in (f"without-{source}", f"without-{source}-2"):  # when the second has come, so would the first
        scene.write(scene.here, name)
        scene.tell(scene.here, f"{name}.told", name)
    scene.wait_for(scene.here, f"without-{source}-2", *kept)
    silent = {s.source for s in scene.spans(scene.here) if s.key.name == f"without-{source}"}
    assert silent == {"object", *kept}
    assert left_out not in silent
    scene.declare()
    scene.write(scene.here, f"with-{source}")
    scene.tell(scene.here, f"with-{source}.told", f"with-{source}")
    scene.wait_for(scene.here, f"with-{source}", "request", "change", "event")


def test_a_wrong_token_is_refused(
    scene: Scene, control_plane: ControlPlane, audit_target: AuditTarget
) -> None:
    sender = Sender(control_plane, audit_target)
    assert sender.send(audit_event(), token="wrong").code == 401
    assert sender.send(audit_event()).code == 200
