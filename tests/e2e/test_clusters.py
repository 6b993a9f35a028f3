"""Several real control planes in one process: joined by policies, lost and found, each known by its credential."""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit_events import audit_event, event_list
from cluster_requests import Cluster, Json
from controlplane.certificates import Authority, KeyPair
from controlplane.layout import Layout
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from joined_clusters import (
    CONFIG_MAPS,
    TOLD_WITHIN,
    Home,
    Remote,
    Seen,
    is_ready,
    joined,
    start_together,
)
from kubeweft.model import vocabulary as v
from ledger import audit_entries
from operator_process import OperatorProcess, listening_at

LOCAL: Json = {"name": "local"}
WEST_TOKEN = "token-of-west-0123456789"
RECOVERY_SECONDS = 60.0
pytestmark = pytest.mark.timeout(240, func_only=True)


@dataclass(frozen=True)
class World:
    """The cluster at home, two others, and a namespace in each."""

    home: Home
    local: Remote
    west: Remote
    east: Remote
    folder: Path
    namespaces: dict[str, str]
    audit: dict[str, object]

    def remote(self, name: str) -> Remote:
        """One of the three by its name in policies."""
        return {"local": self.local, "west": self.west, "east": self.east}[name]

    def write(self, cluster: str, name: str) -> tuple[str, str]:
        """Create a ConfigMap in a cluster; gives what :class:`Seen` calls it."""
        self.remote(cluster).write(self.namespaces[cluster], name)
        return cluster, name

    def seen(self, operator: OperatorProcess) -> Seen:
        return Seen(operator, *self.namespaces.values())

    def operator(self, name: str = "kubeweft", **options: object) -> OperatorProcess:
        """An operator at home; it counts as started when it watches there."""
        return OperatorProcess(
            self.folder,
            self.local.plane.kubeconfig,
            name=name,
            options={"cluster": "local", **options},
            watched=("configmaps",),
        )

    @contextlib.contextmanager
    def policy(self, *clusters: Json, **spec: Any) -> Iterator[str]:
        """A policy for these clusters."""
        given = {"match": CONFIG_MAPS, **spec}
        with self.home.cluster.policy(clusters=list(clusters), **given) as path:
            yield path


@pytest.fixture(scope="module")
def client_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority whose certificates the audit webhook accepts."""
    return Authority(tmp_path_factory.mktemp("client-ca"))


@pytest.fixture(scope="module")
def remotes(
    control_plane: ControlPlane,
    plane_folder: Path,
    audit_target: AuditTarget,
    client_ca: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Remote]]:
    """Two more API servers: west sends audit events with a token, east shows a client certificate."""
    issuer = Layout(plane_folder).pki / "ca.crt"

    def light(name: str, *, token: str | None = None, certificate: KeyPair | None = None) -> ControlPlane:
        return ControlPlane(
            tmp_path_factory.mktemp(name),
            controllers=False,
            audit_webhook=audit_target.url,
            audit_webhook_authority=issuer,
            audit_webhook_token=token,
            audit_webhook_client=certificate,
        )

    west = light("west", token=WEST_TOKEN)
    east = light("east", certificate=client_ca.client("east", user="east"))
    try:
        start_together(west, east)
        yield {"west": Remote("west", west), "east": Remote("east", east)}
    finally:
        west.stop()
        east.stop()


@pytest.fixture
def world(
    control_plane: ControlPlane,
    remotes: dict[str, Remote],
    audit_target: AuditTarget,
    client_ca: Authority,
    tmp_path: Path,
) -> Iterator[World]:
    local = Remote("local", control_plane)
    home = Home(Cluster(control_plane.kubeconfig))
    for remote in remotes.values():
        home.put_kubeconfig(remote.name, remote.plane.kubeconfig, token=f"token-of-{remote.name}-0123456789")
    audit = listening_at(audit_target, tmp_path / "token") | {"audit-client-ca": client_ca.files.certificate}
    with contextlib.ExitStack() as held:
        everywhere = {"local": local, **remotes}
        namespaces = {name: held.enter_context(remote.namespace()) for name, remote in everywhere.items()}
        yield World(home, local, remotes["west"], remotes["east"], tmp_path, namespaces, audit)


# ---------------------------------------------------------------------------------------------- joining and leaving


def test_clusters_join_and_leave_while_everything_runs(world: World) -> None:
    with world.operator() as operator, world.policy(LOCAL, joined("west"), joined("east")) as policy:
        seen = world.seen(operator)
        world.home.cluster.wait_in_force(policy)
        uids = {
            name: world.home.wait_state(policy, name, is_ready)["uid"] for name in ("local", "west", "east")
        }
        assert len(set(uids.values())) == 3
        seen.wait(*(world.write(name, "joined") for name in uids))
        assert operator.metric('kubeweft_cluster_reachable{cluster="west"}') == 1
        world.home.cluster.change_policy(policy, match=CONFIG_MAPS, clusters=[LOCAL, joined("west")])
        wait_until(lambda: not world.home.state(policy, "east"), "east to have left the status")
        wait_until(lambda: "leaving a cluster: name=east" in operator.log_text(), "east to be left")
        world.write("east", "after-leaving")
        seen.wait(*(world.write(name, "still-joined") for name in ("local", "west")))
        assert ("east", "after-leaving") not in seen.places()
        world.home.cluster.change_policy(
            policy, match=CONFIG_MAPS, clusters=[LOCAL, joined("west"), joined("east")]
        )
        seen.wait(("east", "after-leaving"))
        assert [s for name in uids for s in seen.gaps(name)] == []


def test_one_policy_for_all_and_one_for_each(world: World) -> None:
    secrets_only = {"resources": [{"apiGroups": [""], "resources": ["secrets"]}]}
    with (
        world.operator() as operator,
        world.policy(LOCAL, joined("west")) as both,
        world.policy(joined("east"), match=secrets_only) as of_east,
    ):
        seen = world.seen(operator)
        for path in (both, of_east):
            world.home.cluster.wait_in_force(path)
        world.write("east", "not-selected")
        body = {"metadata": {"name": "selected"}, "stringData": {"a": "b"}}
        for name in ("east", "local"):
            world.remote(name).cluster.create(f"/api/v1/namespaces/{world.namespaces[name]}/secrets", body)
        seen.wait(*(world.write(name, "selected") for name in ("local", "west")))

        def secrets() -> set[str]:
            return {s.key.cluster for s in seen.spans("change") if s.key.resource == "secrets"}

        wait_until(lambda: secrets() == {"east"}, "the Secret of east to be traced")
        assert {cluster for cluster, _ in seen.places()} == {"local", "west"}


def test_two_names_of_one_cluster_are_told_and_traced_once(world: World) -> None:
    with (
        world.operator() as operator,
        world.policy(joined("west")) as first,
        contextlib.ExitStack() as later,
    ):
        seen = world.seen(operator)
        world.home.wait_state(first, "west", is_ready)
        second = later.enter_context(world.policy(joined("mirror", secret="join-west")))
        world.home.wait_state(
            second, "mirror", lambda state: state.get("ready") is False and state.get("uid")
        )
        assert "'west'" in world.home.condition(second, "ClustersReachable")["message"]
        seen.wait(world.write("west", "once"))
        assert {cluster for cluster, name in seen.places() if name == "once"} == {"west"}


# ------------------------------------------------------------------------------------------------- lost and found


def test_a_cluster_that_is_down_at_the_start_holds_nobody_up(world: World) -> None:
    apiserver = world.west.plane.components["kube-apiserver"]
    world.write("west", "before")
    apiserver.kill()
    try:
        with world.operator() as operator, world.policy(LOCAL, joined("west")) as policy:
            seen = world.seen(operator)
            world.home.wait_state(policy, "west", lambda state: state.get("reason") == "Unreachable")
            assert world.home.condition(policy, "Ready")["status"] == "False"
            assert "west" in world.home.condition(policy, "ClustersReachable")["message"]
            assert is_ready(world.home.state(policy, "local"))
            assert operator.is_ready()
            seen.wait(world.write("local", "meanwhile"))
            apiserver.start()
            world.west.plane.wait_api_ready()
            world.home.wait_state(policy, "west", is_ready, seconds=RECOVERY_SECONDS)
            seen.wait(("west", "before"), world.write("west", "after"))
            assert {s.key.resource for s in seen.gaps("west")} >= {"configmaps"}
            assert {s.attributes[v.GAP_REASON] for s in seen.gaps("west")} == {"NotReached"}
            assert seen.gaps("local") == []
    finally:
        apiserver.start()
        world.west.plane.wait_api_ready()


def frozen(remote: Remote) -> tuple[Callable[[], None], Callable[[], None]]:
    """How to make a cluster silent, and to bring it back: its connections stay open."""
    apiserver = remote.plane.components["kube-apiserver"]
    return apiserver.pause, apiserver.resume


def killed(remote: Remote) -> tuple[Callable[[], None], Callable[[], None]]:
    """How to take a cluster away, and to bring it back."""
    apiserver = remote.plane.components["kube-apiserver"]

    def again() -> None:
        apiserver.start()
        remote.plane.wait_api_ready()

    return apiserver.kill, again


@pytest.mark.parametrize("way", [frozen, killed])
def test_a_cluster_that_goes_away_comes_back_alone_and_nothing_is_missing(
    world: World, way: Callable[[Remote], tuple[Callable[[], None], Callable[[], None]]]
) -> None:
    stop, start = way(world.east)
    with world.operator() as operator, world.policy(LOCAL, joined("west"), joined("east")) as policy:
        seen = world.seen(operator)
        world.home.cluster.wait_in_force(policy)
        seen.wait(world.write("east", "before"))
        stop()
        try:
            state = world.home.wait_state(
                policy, "east", lambda state: state.get("reason") == "Unreachable", seconds=TOLD_WITHIN
            )
            assert state["ready"] is False
            assert operator.metric('kubeweft_cluster_reachable{cluster="east"}') == 0
            seen.wait(*(world.write(name, "meanwhile") for name in ("local", "west")))
        finally:
            start()
        world.home.wait_state(policy, "east", is_ready, seconds=RECOVERY_SECONDS)
        seen.wait(world.write("east", "after"), seconds=RECOVERY_SECONDS)
        world.home.cluster.wait_in_force(policy)
        assert [s for name in ("local", "west", "east") for s in seen.gaps(name)] == []


def test_ctrl_c_is_clean_while_a_cluster_is_silent(world: World) -> None:
    pause, resume = frozen(world.east)
    with world.operator() as operator, world.policy(LOCAL, joined("east")) as policy:
        world.home.cluster.wait_in_force(policy)
        pause()
        try:
            world.home.wait_state(policy, "east", lambda state: state.get("reason") == "Unreachable")
            operator.interrupt()
        finally:
            resume()


# ------------------------------------------------------------------------------------------------------ credentials


def test_a_rotated_credential_is_taken_up_without_a_gap(world: World) -> None:
    first, second = (world.west.user(f"tracer-{number}") for number in (1, 2))
    world.home.put_kubeconfig("west", first)
    with world.operator() as operator, world.policy(joined("west")) as policy:
        seen = world.seen(operator)
        world.home.cluster.wait_in_force(policy)
        seen.wait(world.write("west", "by-the-first"))
        world.home.put_kubeconfig("west", second)
        wait_until(lambda: operator.log_text().count("joining a cluster: name=west") == 2, "the rotation")
        world.west.forbid("tracer-1")
        seen.wait(world.write("west", "by-the-second"))
        world.home.wait_state(policy, "west", is_ready)
        assert seen.gaps("west") == []
        assert len([s for s in seen.spans("change") if s.key.name == "by-the-first"]) == 1


def test_a_kubeconfig_that_would_run_a_program_is_refused(world: World, tmp_path: Path) -> None:
    canary = tmp_path / "was-run"
    content = json.loads(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x"}))
    content["clusters"] = [{"name": "c", "cluster": {"server": world.west.plane.url}}]
    content["contexts"] = [{"name": "x", "context": {"cluster": "c", "user": "u"}}]
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(canary)]}
    content["users"] = [{"name": "u", "user": {"exec": program}}]
    world.home.put_secret("join-west", {"kubeconfig": json.dumps(content).encode()})
    with world.operator(), world.policy(LOCAL, joined("west")) as policy:
        world.home.wait_state(policy, "west", lambda state: state.get("reason") == "InvalidKubeconfig")
        assert "exec" in world.home.condition(policy, "ResolvedRefs")["message"]
        assert is_ready(world.home.state(policy, "local"))
    assert not canary.exists()


def test_a_cluster_that_forbids_half_of_its_types_is_traced_by_the_other_half(world: World) -> None:
    allowed = {"apiGroups": [""], "resources": ["configmaps", "events"], "verbs": ["get", "list", "watch"]}
    world.home.put_kubeconfig("west", world.west.user("half", allowed))
    both = {"resources": [{"apiGroups": [""], "resources": ["configmaps", "serviceaccounts"]}]}
    with world.operator() as operator, world.policy(LOCAL, joined("west"), match=both) as policy:
        seen = world.seen(operator)
        world.home.wait_state(policy, "west", lambda state: state.get("reason") == "Forbidden")
        world.home.cluster.wait_in_force(policy)
        assert "serviceaccounts" in world.home.condition(policy, "ClustersReachable")["message"]
        seen.wait(world.write("west", "allowed"), world.write("local", "allowed"))


# ------------------------------------------------------------------------------------------------------------ audit


def test_each_cluster_is_known_by_its_credential_at_the_audit_webhook(world: World) -> None:
    audit_only = {"objects": {"mode": "Disabled"}, "events": {"mode": "Disabled"}}
    clusters = [LOCAL, joined("west", token=True), joined("east")]
    with (
        world.policy(*clusters, sources={"audit": {"mode": "Webhook"}, **audit_only}) as policy,
        OperatorProcess(
            world.folder, world.local.plane.kubeconfig, options=world.audit, watched=()
        ) as operator,
    ):
        seen = world.seen(operator)
        for name in ("local", "west", "east"):
            world.home.wait_state(policy, name, is_ready, seconds=RECOVERY_SECONDS)
        places = [world.write(name, f"of-{name}") for name in ("local", "west", "east")]
        seen.wait(*places, source="request", seconds=RECOVERY_SECONDS)
        assert seen.places("request") == set(places)
        for name in ("local", "west", "east"):
            world.home.wait_state(
                policy, name, lambda state: state.get("lastAuditTime"), seconds=RECOVERY_SECONDS
            )


def test_who_claims_to_be_a_cluster_without_its_credential_is_refused(
    world: World, audit_target: AuditTarget, client_ca: Authority, plane_folder: Path, tmp_path: Path
) -> None:
    issuer = str(Layout(plane_folder).pki / "ca.crt")
    stranger = client_ca.client("stranger", user="stranger")
    forged = Authority(tmp_path / "forged").client("east", user="east")
    east = client_ca.client("east-again", user="east")

    def post(shown: Any = None, token: str = "") -> int:
        context = ssl.create_default_context(cafile=issuer)
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(audit_target.url, data=event_list(audit_event()), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with (
        world.policy(LOCAL, joined("west", token=True), joined("east")) as policy,
        OperatorProcess(
            world.folder, world.local.plane.kubeconfig, options=world.audit, watched=("configmaps",)
        ),
    ):
        world.home.cluster.wait_in_force(policy)
        assert [post(), post(token="guess"), post(stranger), post(east, WEST_TOKEN)] == [401, 401, 403, 403]
        assert [post(token=WEST_TOKEN), post(east), post(token=audit_target.token)] == [200] * 3
        with pytest.raises((OSError, urllib.error.URLError)):
            post(forged)


def test_nobody_watches_with_more_rights_than_given(world: World) -> None:
    """Only reading requests reach a joined cluster, as its own audit log tells."""
    world.home.put_kubeconfig("west", world.west.user("reader"))
    with world.operator() as operator, world.policy(joined("west")) as policy:
        world.home.cluster.wait_in_force(policy)
        world.seen(operator).wait(world.write("west", "seen"))
    entries = [e for e in audit_entries(world.west.plane.audit_log) if e["user"]["username"] == "reader"]
    assert [e["verb"] for e in entries if e["verb"] not in ("get", "list", "watch")] == []
