"""``kubeweft serve`` as a person runs it: a process of its own, ready when it says so, ended by Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from controlplane.processes import Component
from controlplane.testing import wait_until
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore

KUBEWEFT = Path(sys.executable).with_name("kubeweft")
START_SECONDS = 40
STOP_SECONDS = 15
READY = re.compile(r"^serving grpc=(\S+) http=(\S+)$", re.MULTILINE)


class Served(NamedTuple):
    """Where it listens: ``HOST:PORT`` of Jaeger's storage API, and the URL of the query API (``-``: none)."""

    grpc: str
    http: str


@contextmanager
def serving_store(folder: Path, *options: object, http: str = "127.0.0.1:0") -> Iterator[Served]:
    """Serve with these options at free ports; the end of the block demands a clean end."""
    command = [str(KUBEWEFT), "serve", "--grpc=127.0.0.1:0", f"--http={http}", *map(str, options)]
    component = Component(name="serve", command=command, log=folder / "serve.log", grace=STOP_SECONDS)
    component.start()
    try:
        wait_until(lambda: _ready(component), "kubeweft to serve", seconds=START_SECONDS)
        found = _ready(component)
        assert found is not None
        yield Served(*found.groups())
        _interrupt(component)
    finally:
        component.kill()


def stored_in(file: Path, spans: list[Span]) -> Path:
    """A store with these spans, closed again."""
    store = SqliteStore(str(file))
    try:
        for begin in range(0, len(spans), 20_000):
            store.write(Batch(spans=spans[begin : begin + 20_000]))
    finally:
        store.close()
    return file


def _ready(component: Component) -> re.Match[str] | None:
    assert component.running, f"kubeweft serve has ended: {component.last_words()}"
    return READY.search(component.log.read_text(errors="replace")) if component.log.exists() else None


def _interrupt(component: Component) -> None:
    """Ctrl-C: it has to end by itself, in time, without an error."""
    child = component._child
    assert child is not None
    child.send_signal(signal.SIGINT)
    try:
        status = child.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"kubeweft serve did not stop: {component.last_words()}") from None
    log = component.log.read_text(errors="replace")
    assert status == 0, f"exit status {status}: {log}"
    assert "Traceback" not in log, log
