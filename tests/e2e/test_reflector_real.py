"""Watching a real API server: everything arrives, nothing is written, and what breaks is repaired or told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pykube
import pytest
from pykube.objects import APIObject

from controlplane.plane import ControlPlane
from foreign_objects import dead_api, definition
from kubeweft.kube.clients import ClusterClient, cluster_uid, connect, whoami
from kubeweft.kube.cluster_watch import ClusterWatch
from kubeweft.kube.watch_state import Phase
from kubeweft.model.references import ResourceType
from recording_receiver import RecordingReceiver
from running_reflectors import eventually, watching_with

CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", True)
SECRETS = ResourceType("", "v1", "secrets", "Secret", True)
USER = "reflector-tester"


class ApiService(APIObject):  # type: ignore[misc]  # pykube has no types
    """An aggregated API."""

    version = "apiregistration.k8s.io/v1"
    endpoint = "apiservices"
    kind = "APIService"


class Everything:
    """A watch of all types, and what its receivers got."""

    def __init__(self, client: ClusterClient) -> None:
        self.receivers: dict[ResourceType, RecordingReceiver] = {}
        self.watch = ClusterWatch(client, wanted=lambda _: True, receiver_for=self._make)

    def _make(self, resource: ResourceType) -> RecordingReceiver:
        self.receivers[resource] = RecordingReceiver()
        return self.receivers[resource]

    def phase(self, resource: ResourceType) -> Phase | None:
        """What the watch of a type is doing."""
        state = self.watch.states().get(resource)
        return state.phase if state else None

    def all_watching(self) -> bool:
        """Whether every type is watched."""
        states = self.watch.states().values()
        return bool(states) and all(state.phase is Phase.WATCHING for state in states)


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[ClusterClient]:
    """A user of our own with all rights, so that the audit log shows what only we did."""
    kubeconfig = control_plane.kubeconfig_for(USER, groups=["system:masters"])
    async with await connect(kubeconfig=str(kubeconfig)) as client:
        yield client


@pytest.fixture
async def everything(client: ClusterClient) -> AsyncIterator[Everything]:
    """Everything is being watched."""
    everything = Everything(client)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(everything.watch.run())
        await eventually(everything.all_watching, limit=30)
        yield everything
        task.cancel()


def config_map(api: pykube.HTTPClient, namespace: str, name: str, **data: str) -> pykube.ConfigMap:
    return pykube.ConfigMap(
        api,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": data,
        },
    )


def version_of(obj: APIObject) -> str:
    return str(obj.metadata["resourceVersion"])


def write_some(api: pykube.HTTPClient, namespace: str, count: int) -> list[tuple[str, str, str]]:
    """Creates, patches and deletes ConfigMaps; what a watch must show of it, in order."""
    ledger = []
    for number in range(count):
        obj = config_map(api, namespace, f"c{number}", round="0")
        obj.create()
        ledger.append(("ADDED", obj.name, version_of(obj)))
        obj.patch({"data": {"round": "1"}})
        ledger.append(("MODIFIED", obj.name, version_of(obj)))
        if number % 2:
            obj.delete()
            ledger.append(("DELETED", obj.name, ""))
    return ledger


def seen_of(receiver: RecordingReceiver, names: set[str]) -> list[tuple[str, str, str]]:
    return [
        (kind, name, "" if kind == "DELETED" else version)
        for kind, name, version in receiver.lines
        if name in names
    ]


def etcd(control_plane: ControlPlane, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask etcd directly, by its JSON gateway."""
    command = Path(f"/proc/{control_plane.components['etcd'].pid}/cmdline").read_text().split("\0")
    [url] = [flag.partition("=")[2] for flag in command if flag.startswith("--listen-client-urls=")]
    request = urllib.request.Request(url + path, data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.loads(answer.read()))


@contextlib.contextmanager
def existing(obj: APIObject) -> Any:
    obj.create()
    try:
        yield obj
    finally:
        obj.delete()


async def in_thread(call: Callable[[], object]) -> None:
    await asyncio.to_thread(call)


async def test_every_write_arrives_in_order_and_we_write_nothing(
    control_plane: ControlPlane,
    api: pykube.HTTPClient,
    namespace: str,
    client: ClusterClient,
    everything: Everything,
) -> None:
    assert await whoami(client) == USER
    assert await cluster_uid(client)
    assert len(everything.watch.states()) > 50
    receiver = everything.receivers[CONFIG_MAPS]
    ledger: list[tuple[str, str, str]] = []
    await in_thread(lambda: ledger.extend(write_some(api, namespace, 60)))
    names = {name for _, name, _ in ledger}
    await receiver.until(lambda: len(seen_of(receiver, names)) >= len(ledger))
    assert seen_of(receiver, names) == ledger
    writes = [
        line for line in control_plane.audit_log.read_text().splitlines() if f'"username":"{USER}"' in line
    ]
    verbs = {(event["verb"], event["objectRef"].get("resource")) for event in map(json.loads, writes)}
    assert verbs == {("create", "selfsubjectreviews")}  # reads are left out by the audit policy


async def test_secrets_arrive_without_their_data(
    api: pykube.HTTPClient, namespace: str, everything: Everything
) -> None:
    metadata = {"name": "canary", "namespace": namespace, "labels": {"visible": "yes"}}
    secret = pykube.Secret(
        api,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"password": "canary-s3cr3t"},
        },
    )
    receiver = everything.receivers[SECRETS]
    with existing(secret):
        await receiver.until(lambda: "canary" in receiver.names())
    [body] = [body for body in receiver.raw if b'"canary"' in body][:1]
    assert json.loads(body)["metadata"]["labels"] == {"visible": "yes"}
    assert "data" not in json.loads(body)
    assert not any(b"Y2FuYXJ5LXMzY3Izd" in body for body in receiver.raw)


async def test_changes_while_we_were_away_arrive_without_a_list(
    api: pykube.HTTPClient, namespace: str, client: ClusterClient
) -> None:
    watching = watching_with(client)
    first = RecordingReceiver()
    async with watching(first, CONFIG_MAPS):
        await first.until(lambda: first.version)
    ledger = await asyncio.to_thread(write_some, api, namespace, 6)
    second = RecordingReceiver(version=first.version, time=time.time_ns(), known=list(first.objects.values()))
    async with watching(second, CONFIG_MAPS) as reflector:
        names = {name for _, name, _ in ledger}
        await second.until(lambda: len(seen_of(second, names)) >= len(ledger))
        assert reflector.state.relists == 0
    assert seen_of(second, names) == ledger
    assert "list_started" not in second.calls
    assert second.missed == []


async def test_after_a_compaction_and_a_restart_all_watches_list_again_and_tell_it(
    control_plane: ControlPlane, api: pykube.HTTPClient, namespace: str, everything: Everything
) -> None:
    doomed = config_map(api, namespace, "doomed")
    doomed.create()
    receiver = everything.receivers[CONFIG_MAPS]
    await receiver.until(lambda: "doomed" in receiver.names())
    await in_thread(control_plane.stop_apiserver)
    key = f"/registry/configmaps/{namespace}/doomed".encode()
    revision = etcd(control_plane, "/v3/kv/deleterange", {"key": base64.b64encode(key).decode()})["header"][
        "revision"
    ]
    etcd(control_plane, "/v3/kv/compaction", {"revision": revision})
    await in_thread(control_plane.restart_apiserver)
    await eventually(everything.all_watching, limit=10)
    await receiver.until(lambda: receiver.missed)
    await in_thread(config_map(api, namespace, "after").create)
    await receiver.until(lambda: "after" in receiver.names())
    assert receiver.found_deleted.count("doomed") == 1  # namespaces of other tests may just be going
    [missed] = receiver.missed
    assert missed.reason == "Expired"
    assert missed.start < missed.end
    assert everything.watch.health.crashes == 0


async def test_types_come_and_go(api: pykube.HTTPClient, namespace: str, everything: Everything) -> None:
    gizmos = ResourceType("reflector.example.com", "v1", "gizmos", "Gizmo", True)
    gizmo_type = definition("gizmos", group="reflector.example.com")
    for _ in range(2):
        with existing(pykube.CustomResourceDefinition(api, gizmo_type)):
            await eventually(lambda: everything.phase(gizmos) is Phase.WATCHING, limit=20)
            gizmo = {"apiVersion": "reflector.example.com/v1", "kind": "Gizmo"}
            kind = pykube.object_factory(api, "reflector.example.com/v1", "Gizmo")
            await in_thread(kind(api, {**gizmo, "metadata": {"name": "g", "namespace": namespace}}).create)
            receiver = everything.receivers[gizmos]
            await receiver.until(lambda: everything.receivers[gizmos].names() == ["g"])
        await eventually(lambda: everything.phase(gizmos) is None, limit=20)
        assert [line[:2] for line in receiver.lines] == [("ADDED", "g"), ("DELETED", "g")]
    assert everything.watch.health.crashes == 0


async def test_a_dead_aggregated_api_takes_nothing_else_away(
    api: pykube.HTTPClient, everything: Everything
) -> None:
    types = set(everything.watch.states())
    with existing(ApiService(api, dead_api("dead.example.com"))):
        await eventually(lambda: "dead.example.com/v1" in everything.watch.health.stale, limit=30)
        assert set(everything.watch.states()) == types
        assert everything.all_watching()
    assert everything.watch.health.crashes == 0


async def test_a_forbidden_type_is_watched_as_soon_as_it_is_allowed(
    control_plane: ControlPlane, api: pykube.HTTPClient
) -> None:
    user = "reflector-stranger"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": user},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    receiver = RecordingReceiver()
    async with (
        await connect(kubeconfig=str(control_plane.kubeconfig_for(user))) as client,
        watching_with(client)(receiver, CONFIG_MAPS) as reflector,
    ):
        await eventually(lambda: reflector.state.phase is Phase.FORBIDDEN)
        assert f'User "{user}" cannot watch resource "configmaps"' in reflector.state.message
        with existing(pykube.ClusterRole(api, role)), existing(pykube.ClusterRoleBinding(api, binding)):

            def allowed() -> bool:
                reflector.poke()  # the API server itself needs a moment to take a new role in
                return reflector.state.phase is Phase.WATCHING

            await eventually(allowed)
    assert receiver.version
