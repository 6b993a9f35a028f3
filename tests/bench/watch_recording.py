"""Makes ConfigMaps and Pods of a known size on a real kube-apiserver, changes them, and records the watch bytes.

First their data or status changes, which no shipped rule reads, then an annotation, which several read of every object.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from kubeweft.kube.receiving import WatchLine
from kubeweft.model.references import ResourceType

CONFIG_MAPS, CONFIG_MAP_CHANGES = 500, 6
PODS, POD_CHANGES = 200, 8
ANNOTATIONS = 4
AT_ONCE = 8
CONFIG_MAP = ResourceType("", "v1", "configmaps", "ConfigMap", True)
POD = ResourceType("", "v1", "pods", "Pod", True)
MERGE = {"Content-Type": "application/merge-patch+json"}


class Line(msgspec.Struct):
    """A watch line, the object left as bytes."""

    type: str
    object: msgspec.Raw


@dataclass
class Recorded:
    """What a watch brought: first the creations, then the changes, then those of an annotation."""

    resource: ResourceType
    created: list[WatchLine]
    changed: list[WatchLine]
    annotated: list[WatchLine]

    @property
    def mean_bytes(self) -> int:
        """The mean size of a changed object as sent."""
        return sum(len(line.object) for line in self.changed) // len(self.changed)


def record(kubeconfig: Path) -> tuple[Recorded, Recorded]:
    """ConfigMaps and Pods, one after the other."""
    return asyncio.run(_record(kubeconfig))


async def _record(kubeconfig: Path) -> tuple[Recorded, Recorded]:
    server, context = connection(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=context, limit=64)
    async with aiohttp.ClientSession(server, connector=connector, read_bufsize=2**22) as session:
        account = {"metadata": {"name": "default"}}  # without controllers, nobody else makes it
        await _send(session, "POST", "/api/v1/namespaces/default/serviceaccounts", account, headers=JSON)
        config_maps = await _watched(
            session, CONFIG_MAP, _make_config_map, _change_config_map, CONFIG_MAPS, CONFIG_MAP_CHANGES
        )
        pods = await _watched(session, POD, _make_pod, _change_pod, PODS, POD_CHANGES)
    return config_maps, pods


def connection(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Server and TLS context of a kubeconfig of ours: one cluster, one user, certificates in files."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    return cluster["server"], context


Act = Callable[[aiohttp.ClientSession, int, int], Awaitable[None]]


async def _watched(
    session: aiohttp.ClientSession, resource: ResourceType, make: Act, change: Act, count: int, changes: int
) -> Recorded:
    lines: list[WatchLine] = []
    changed = count * (changes + 1)
    wanted = changed + count * ANNOTATIONS
    path = POD_PATH if resource is POD else CONFIG_MAP_PATH

    async def annotate(session: aiohttp.ClientSession, number: int, round_: int) -> None:
        patch = {"metadata": {"annotations": {"example.com/checked": f"{round_} times"}}}
        await _send(session, "PATCH", f"{path}/bench-{number}", patch, headers=MERGE)

    async with asyncio.TaskGroup() as group:
        started = asyncio.Event()
        reading = group.create_task(_read(session, resource, lines, wanted, started))
        await started.wait()
        await _all(session, make, [(number, 0) for number in range(count)])
        for round_ in range(1, changes + 1):
            await _all(session, change, [(number, round_) for number in range(count)])
        for round_ in range(1, ANNOTATIONS + 1):
            await _all(session, annotate, [(number, round_) for number in range(count)])
        await asyncio.wait_for(reading, 60)
    return Recorded(resource, lines[:count], lines[count:changed], lines[changed:])


async def _all(session: aiohttp.ClientSession, act: Act, arguments: list[tuple[int, int]]) -> None:
    waiting = iter(arguments)

    async def worker() -> None:
        for number, round_ in waiting:
            await act(session, number, round_)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


async def _read(
    session: aiohttp.ClientSession,
    resource: ResourceType,
    lines: list[WatchLine],
    wanted: int,
    started: asyncio.Event,
) -> None:
    decoder = msgspec.json.Decoder(Line)
    path = f"/api/v1/namespaces/default/{resource.resource}?watch=1&resourceVersion=0"
    rest = b""
    async with session.get(path) as response:
        response.raise_for_status()
        started.set()
        async for chunk in response.content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            for text in whole:
                line = decoder.decode(text)
                if b'"bench' in bytes(line.object)[:400]:
                    lines.append(WatchLine(line.type, bytes(line.object)))
            if len(lines) >= wanted:
                return


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: Any, **more: Any) -> None:
    async with session.request(method, path, data=json.dumps(body), **more) as answer:
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")


JSON = {"Content-Type": "application/json"}
CONFIG_MAP_PATH = "/api/v1/namespaces/default/configmaps"
POD_PATH = "/api/v1/namespaces/default/pods"


async def _make_config_map(session: aiohttp.ClientSession, number: int, _: int) -> None:
    data = {f"key-{i}": f"value {number} of setting {i} " + "x" * 100 for i in range(6)}
    metadata = {"name": f"bench-{number}", "labels": {"app": "bench", "number": str(number)}}
    await _send(session, "POST", CONFIG_MAP_PATH, {"metadata": metadata, "data": data}, headers=JSON)


async def _change_config_map(session: aiohttp.ClientSession, number: int, round_: int) -> None:
    patch = {"data": {"key-3": f"value {number} changed {round_} times"}}
    await _send(session, "PATCH", f"{CONFIG_MAP_PATH}/bench-{number}", patch, headers=MERGE)


async def _make_pod(session: aiohttp.ClientSession, number: int, _: int) -> None:
    containers = [_container(f"c{i}") for i in range(2)]
    labels = {"app": "bench", "pod-template-hash": "6d4b75cb6d", "team": "platform"}
    pod = {
        "metadata": {"name": f"bench-{number}", "labels": labels},
        "spec": {"containers": containers, "automountServiceAccountToken": False},
    }
    await _send(session, "POST", POD_PATH, pod, headers=JSON)


def _container(name: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5}
    return {
        "name": name,
        "image": f"registry.example/{name}:1.26",
        "env": [{"name": f"SETTING_{i}", "value": f"the value of {i}"} for i in range(17)],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [],
    }


async def _change_pod(session: aiohttp.ClientSession, number: int, round_: int) -> None:
    """One container becomes ready, or unready again: the commonest change of a Pod."""
    ready = bool(round_ % 2)
    began, now = "2026-11-21T10:00:00Z", f"2026-11-21T10:{round_:02}:00Z"
    conditions = [
        {"type": "Initialized", "status": "True", "lastTransitionTime": began},
        {"type": "Ready", "status": str(ready), "lastTransitionTime": now},
        {"type": "ContainersReady", "status": str(ready), "lastTransitionTime": now},
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": began},
    ]
    statuses = [_container_status(f"c{i}", number, ready=ready or i == 0, began=began) for i in range(2)]
    status = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": conditions,
        "containerStatuses": statuses,
    }
    await _send(session, "PATCH", f"{POD_PATH}/bench-{number}/status", {"status": status}, headers=MERGE)


def _container_status(name: str, number: int, *, ready: bool, began: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"registry.example/{name}:1.26",
        "imageID": f"registry.example/{name}@sha256:{number:064x}",
        "containerID": f"containerd://{number:064x}",
        "ready": ready,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": began}},
    }
