"""Jaeger v2 as a process of its own, which reads and shows what our server gives it: the configuration that we ship."""

from __future__ import annotations

import functools
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controlplane.binaries.finding import find_binaries
from controlplane.binaries.progress import TerminalProgress
from controlplane.binaries.toolchain import NoToolchain
from controlplane.ports import free_ports
from controlplane.processes import Component
from controlplane.testing import wait_until

SHIPPED = Path(__file__).parents[2] / "config" / "jaeger" / "jaeger.yaml"
START_SECONDS = 60


def jaeger_program() -> Path:
    """The Jaeger binary, built if need be; skips the test where it cannot be had."""
    try:
        return find_binaries(TerminalProgress(), programs=("jaeger",))["jaeger"]
    except NoToolchain as missing:
        pytest.skip(f"no Jaeger binary, and none can be built: {missing}")


@contextmanager
def jaeger_over(storage: str, folder: Path, *, ui: Path | None = None, token: str = "") -> Iterator[str]:
    """Jaeger with the storage at ``HOST:PORT``; gives the address of its query API and UI.

    ``token`` is for a storage that wants to know who asks, and that is asked whether Jaeger is ready.
    """
    program = jaeger_program()
    names = ("JAEGER_HTTP", "JAEGER_GRPC", "JAEGER_HEALTH", "JAEGER_OTLP")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    given = [f"{name}=127.0.0.1:{port}" for name, port in ports.items()]
    configs = [f"--config={SHIPPED}"]
    if ui is not None:
        configs.append(f"--config=yaml:extensions::jaeger_query::ui::assets_path: {ui}")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["/usr/bin/env", *given, f"KUBEWEFT_GRPC={storage}", str(program), *configs]
    component = Component(name="jaeger", command=command, log=folder / "jaeger.log", grace=5)
    query = ports["JAEGER_HTTP"]
    component.start()
    try:
        for address in (f"{ports['JAEGER_HEALTH']}/status", f"{query}/api/services"):
            wait_until(
                functools.partial(_answers, component, address, token),
                f"Jaeger to answer at {address}",
                seconds=START_SECONDS,
            )
        yield f"http://127.0.0.1:{query}"
    finally:
        component.kill()  # it keeps nothing, and would linger


def _answers(component: Component, address: str, token: str) -> bool:
    assert component.running, f"Jaeger ended: {component.last_words()}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{address}", headers=headers), timeout=2
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
