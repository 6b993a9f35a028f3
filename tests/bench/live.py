"""Live: from the moment a write is acknowledged by the API server until ``kubeweft show`` would show it.

A whole control plane, ``kubeweft run`` in a process of its own, a writer at 200 writes a second, and a reader of the
store that notes when the change to each acknowledged version is there. Everything shares this machine's processors.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from watch_recording import CONFIG_MAP_PATH, JSON, MERGE, connection

from controlplane.plane import ControlPlane
from kubeweft.model import vocabulary as v
from kubeweft.store.sqlite import SqliteStore

RATE = 200
SECONDS = 20
OBJECTS = 100
LIMIT = 30.0

Version = tuple[str, str]


class Writer:
    """Writes at a steady rate and notes when each version was acknowledged."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.acknowledged: dict[Version, float] = {}

    async def create(self) -> None:
        """The objects to write to."""
        for number in range(OBJECTS):
            await self._send("POST", CONFIG_MAP_PATH, {"metadata": {"name": f"live-{number}"}}, JSON)

    async def write(self) -> None:
        """``RATE`` writes a second, whatever each of them takes."""
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(RATE * SECONDS):
                await asyncio.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
                body = {"data": {"value": str(number), "text": "x" * 200}}
                path = f"{CONFIG_MAP_PATH}/live-{number % OBJECTS}"
                group.create_task(self._send("PATCH", path, body, MERGE))

    async def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> None:
        async with self._session.request(method, path, data=json.dumps(body), headers=headers) as answer:
            answer.raise_for_status()
            metadata = (await answer.json())["metadata"]
            self.acknowledged[metadata["uid"], metadata["resourceVersion"]] = time.perf_counter()


async def see(store: Path, seen: dict[Version, float]) -> None:
    """Note when each version is in the store, as any reader sees it; until cancelled."""
    position = 0
    with SqliteStore.open_reader(store) as reader:
        while True:
            for place, span in await asyncio.to_thread(reader.spans_after, position, limit=1000):
                position = place
                if span.source == "change" and span.key.name.startswith("live-"):
                    version = (str(span.attributes[v.UID]), str(span.attributes[v.RESOURCE_VERSION]))
                    seen.setdefault(version, time.perf_counter())
            await asyncio.sleep(0.01)


async def measure(server: str, context: ssl.SSLContext, store: Path) -> dict[str, float]:
    """Write and watch; every acknowledged version has to be seen."""
    seen: dict[Version, float] = {}
    connector = aiohttp.TCPConnector(ssl=context, limit=32)
    async with aiohttp.ClientSession(server, connector=connector) as session, asyncio.TaskGroup() as group:
        writer = Writer(session)
        seeing = group.create_task(see(store, seen))
        await writer.create()
        await until(lambda: writer.acknowledged.keys() <= seen.keys())
        writer.acknowledged.clear()
        await writer.write()
        await until(lambda: writer.acknowledged.keys() <= seen.keys())
        seeing.cancel()
    delays = sorted(max(0.0, seen[version] - at) for version, at in writer.acknowledged.items())
    return {
        "live_visible_p50_seconds": round(delays[len(delays) // 2], 4),
        "live_visible_p99_seconds": round(delays[len(delays) * 99 // 100], 4),
        "live_visible_max_seconds": round(delays[-1], 4),
        "live_writes": len(delays),
    }


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come true; every wait has a limit."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.05)


def main(folder: Path) -> None:
    """Print the figures as JSON."""
    store = folder / "live.db"
    kubeweft = Path(sys.executable).with_name("kubeweft")
    with ControlPlane(folder / "plane-live", nodes=2) as plane, (folder / "live.log").open("wb") as log:
        command = [str(kubeweft), "run", "--kubeconfig", str(plane.kubeconfig), "--store", str(store)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not store.exists():
                assert process.poll() is None, (folder / "live.log").read_text()
                time.sleep(0.05)
            server, context = connection(plane.kubeconfig)
            figures = asyncio.run(measure(server, context, store))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(15)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
