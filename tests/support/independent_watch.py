"""A watch of our own, to compare the operator's with: plain HTTP, none of the operator's code.

It keeps every line as the API server sent it. A connection that ends is opened again at the version reached; lost
versions are a failure, because then there is nothing to compare with.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import yaml

START_SECONDS = 20
AGAIN_AFTER = 0.1
Json = dict[str, Any]


class Line(NamedTuple):
    """One watch line: the resource type as ``deployments.apps``, ADDED, MODIFIED or DELETED, and the object."""

    resource: str
    type: str
    object: Json

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def version(self) -> str:
        return str(self.object["metadata"]["resourceVersion"])


class IndependentWatch:
    """``with IndependentWatch(kubeconfig, {"pods": "/api/v1/pods"}) as watch``: ``watch.lines`` grows while it runs."""

    def __init__(self, kubeconfig: Path, paths: Mapping[str, str]) -> None:
        self._server, self._context = connection(kubeconfig)
        self._paths = paths
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="independent watch")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._opened = threading.Semaphore(0)
        self._failure = ""
        self._reached: dict[str, str] = {}
        self.lines: list[Line] = []

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in self._paths:
            assert self._opened.acquire(timeout=START_SECONDS), f"the watch does not open: {self._failure}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)
        if error is None:
            assert not self._thread.is_alive(), "the independent watch does not end"
            assert not self._failure, self._failure

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
        async with (
            aiohttp.ClientSession(self._server, connector=connector, read_bufsize=2**22) as session,
            asyncio.TaskGroup() as group,
        ):
            tasks = [group.create_task(self._follow(session, *item)) for item in self._paths.items()]
            await self._stop.wait()
            for task in tasks:
                task.cancel()

    async def _follow(self, session: aiohttp.ClientSession, resource: str, path: str) -> None:
        async with session.get(path, params={"limit": "1"}) as answer:
            answer.raise_for_status()
            self._reached[resource] = (await answer.json())["metadata"]["resourceVersion"]
        self._opened.release()
        while not self._failure:
            try:
                await self._read(session, resource, path)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(AGAIN_AFTER)  # the API server is away

    async def _read(self, session: aiohttp.ClientSession, resource: str, path: str) -> None:
        query = {"watch": "1", "resourceVersion": self._reached[resource], "timeoutSeconds": "600"}
        forever = aiohttp.ClientTimeout(total=None)
        async with session.get(path, params=query, timeout=forever) as answer:
            if answer.status != 200:
                raise aiohttp.ClientError(await answer.text())
            transport = answer.connection.transport if answer.connection else None
            try:
                await self._take(answer.content, resource)
            finally:
                if transport is not None:
                    transport.abort()  # an orderly end of TLS would outlive the loop
                    await asyncio.sleep(0)

    async def _take(self, content: aiohttp.StreamReader, resource: str) -> None:
        async for raw in content:
            event = json.loads(raw)
            if event["type"] == "ERROR":
                self._failure = f"the independent watch of {resource} broke: {event['object']}"
                break
            line = Line(resource, event["type"], event["object"])
            self.lines.append(line)
            self._reached[resource] = line.version


def connection(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Server and TLS context of a test kubeconfig: one cluster, one user, certificates in files."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    return str(cluster["server"]), context


def namespaced(namespace: str) -> dict[str, str]:
    """The paths of what a rollout writes in one namespace, and of ConfigMaps."""
    core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
    return {
        "deployments.apps": f"{apps}/deployments",
        "replicasets.apps": f"{apps}/replicasets",
        "pods": f"{core}/pods",
        "configmaps": f"{core}/configmaps",
        "events": f"{core}/events",
    }
