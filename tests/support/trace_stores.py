"""Real trace stores as child processes: ``jaeger-remote-storage`` with memory or Badger, and a Jaeger v2 with memory.

They are used where they have been built (``make jaeger-binaries``); elsewhere a test says so and skips.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest

from controlplane.binaries.building import cached
from controlplane.binaries.recipes import JAEGER
from controlplane.ports import free_ports, is_listening
from controlplane.processes import Component
from controlplane.testing import wait_until
from kubeweft.export.exporter import SpoolExporter
from kubeweft.export.stage import Clocks
from kubeweft.model.plan import Exporter
from kubeweft.model.spans import Span
from memory_spool import MemorySpool

READY_SECONDS: Final = 60.0
Database = Literal["memory", "badger"]

JAEGER_CONFIG: Final = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
extensions:
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
  jaeger_storage:
    backends: {{memory: {{memory: {{max_traces: 20000}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{otlp}"}}
      http: {{endpoint: "127.0.0.1:{otlp_http}"}}
"""


@dataclass(frozen=True, slots=True)
class TraceStore:
    """A running store: where it receives spans (OTLP over gRPC and, if so, HTTP), and the address to read it by."""

    receiver: str
    address: str
    component: Component
    http_receiver: str = ""


def built(program: str) -> Path:
    """A program of Jaeger, if it has been built; else the test is skipped."""
    folder = cached(JAEGER)
    if folder is None:
        pytest.skip(f"{program} has not been built: make jaeger-binaries")
    return folder / "bin" / program


@contextlib.contextmanager
def remote_storage(folder: Path, database: Database) -> Iterator[TraceStore]:
    """``jaeger-remote-storage``, fresh unless there is a database in the folder already."""
    port, admin = free_ports(2)
    command = [
        "/usr/bin/env",
        f"SPAN_STORAGE_TYPE={database}",
        str(built("jaeger-remote-storage")),
        f"--grpc.host-port=127.0.0.1:{port}",
        f"--admin.http.host-port=127.0.0.1:{admin}",
    ]
    if database == "badger":
        keys, values = folder / "keys", folder / "values"
        command += ["--badger.ephemeral=false", f"--badger.directory-key={keys}"]
        command += [f"--badger.directory-value={values}", "--badger.span-store-ttl=87600h"]
    component = Component(name=f"remote-storage-{database}", command=command, log=folder / "log", grace=5)
    with _running(component, ready=lambda: is_listening(port)):
        yield TraceStore(f"127.0.0.1:{port}", f"jaeger-storage://127.0.0.1:{port}", component)


@contextlib.contextmanager
def running_jaeger(folder: Path) -> Iterator[TraceStore]:
    """Jaeger v2 with its memory store."""
    program = built("jaeger")
    names = ("otlp", "otlp_http", "query", "query_grpc")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    (folder / "config.yaml").write_text(JAEGER_CONFIG.format(**ports))
    command = [str(program), "--config", str(folder / "config.yaml")]
    component = Component(name="jaeger", command=command, log=folder / "log", grace=5)
    with _running(component, ready=lambda: _answers(ports["query"])):
        address = f"jaeger-query+http://127.0.0.1:{ports['query']}"
        http_receiver = f"http://127.0.0.1:{ports['otlp_http']}"
        yield TraceStore(f"127.0.0.1:{ports['otlp']}", address, component, http_receiver)


def export(receiver: str, spans: Sequence[Span], *, grouped: bool = False) -> None:
    """Send spans as the operator does, until the receiver has accepted all."""
    asyncio.run(_export(receiver, spans, grouped=grouped))


async def _export(receiver: str, spans: Sequence[Span], *, grouped: bool) -> None:
    spool = MemorySpool()
    spool.add(spans)
    exporter = SpoolExporter(
        spool,
        Exporter("store", receiver),
        wait_beyond=spool.wait_beyond,
        newest=spool.newest,
        grouped=grouped,
        clocks=Clocks(settle=0.0),  # nothing more is coming, so nothing is waited for
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(exporter.run())
        async with asyncio.timeout(60):
            while exporter.state.position < spool.newest():
                assert exporter.state.reason != "Rejected", exporter.state.message
                await asyncio.sleep(0.005)
        task.cancel()
    assert exporter.state.rejected == 0, exporter.state.message


@contextlib.contextmanager
def _running(component: Component, *, ready: Callable[[], bool]) -> Iterator[None]:
    component.start()
    try:
        wait_until(lambda: _ready(component, ready), f"{component.name} to answer", seconds=READY_SECONDS)
        yield
    finally:
        component.stop()


def _ready(component: Component, ready: Callable[[], bool]) -> bool:
    assert component.running, f"{component.name} ended: {component.last_words()}"
    return ready()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v3/services", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
