"""``kubeweft`` as a person runs it: the operator in a process of its own, and the commands that read its store.

Nothing here looks into the operator: it is started, asked over HTTP how it is, and ended by signals. Its standard error
is its log file.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.ports import free_ports
from controlplane.processes import Component
from controlplane.testing import AuditTarget, wait_until
from kubeweft.model.errors import UserError
from kubeweft.store.sqlite_reader import SqliteReader

KUBEWEFT = Path(sys.executable).with_name("kubeweft")
CLUSTER = "local"
START_SECONDS = 40
STOP_SECONDS = 10
WATCHED = ("deployments.apps", "replicasets.apps", "pods", "configmaps", "events")
Json = dict[str, Any]


class OperatorProcess(Component):
    """``with OperatorProcess(folder, kubeconfig) as operator``: it watches when the block begins.

    The end of the block asks it to stop as Ctrl-C does and demands a clean end; after an error it is just killed.
    """

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path,
        *,
        name: str = "kubeweft",
        options: Mapping[str, object] | None = None,
        watched: Sequence[str] = WATCHED,
    ) -> None:
        """Store and log are ``name.db`` and ``name.log`` in ``folder``; ``options`` are flags without their dashes.

        It counts as watching when the types in ``watched`` have been listed once in the life of the store.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / f"{name}.db"
        (self._status_port,) = free_ports(1)
        given = {
            "kubeconfig": kubeconfig,
            "store": self.store,
            "status-listen": f"127.0.0.1:{self._status_port}",
            **(options or {}),
        }
        command = [str(KUBEWEFT), "run", *(f"--{flag}={value}" for flag, value in given.items())]
        self._watched = watched
        super().__init__(name=name, command=command, log=folder / f"{name}.log", grace=STOP_SECONDS)

    def __enter__(self) -> Self:
        try:
            self.start_watching()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.running:
            self.interrupt()
        self.kill()

    def start_watching(self) -> None:
        """Start it and return when it is ready and has listed what it watches."""
        self.start()
        wait_until(lambda: self.is_ready() and self._has_listed(), "kubeweft to watch", seconds=START_SECONDS)

    def is_ready(self) -> bool:
        """Whether ``/readyz`` says so; AssertionError with its log if the process has ended."""
        assert self.running, f"kubeweft has ended:\n{self.log_text()}"
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, path: str) -> tuple[int, str]:
        """Status code and body of ``/readyz``, ``/healthz`` or ``/metrics``."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._status_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, sample: str) -> float:
        """The value of one sample, written as in ``/metrics`` with its labels; 0 if there is none (yet)."""
        lines = [line.rpartition(" ") for line in self.ask("/metrics")[1].splitlines()]
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    def interrupt(self) -> None:
        """Ctrl-C: it has to end by itself, in time, with exit status 0 and without a traceback in its log."""
        child = self._child
        assert child is not None
        child.send_signal(signal.SIGINT)
        try:
            status = child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"kubeweft did not stop within {STOP_SECONDS} s:\n{self.log_text()}"
            ) from None
        assert status == 0, f"exit status {status}:\n{self.log_text()}"
        assert "Traceback" not in self.log_text(), self.log_text()

    def log_text(self) -> str:
        """Everything it has said since its first start."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _has_listed(self) -> bool:
        """Asks the store, not the process: a list that is complete has left a checkpoint."""
        try:
            with SqliteReader(self.store) as reader:
                names = [watched.partition(".") for watched in self._watched]
                return all(reader.resume(CLUSTER, group, resource) for resource, _, group in names)
        except UserError:  # the file is not made yet
            return False


def listening_at(target: AuditTarget, token_file: Path) -> dict[str, object]:
    """The options with which ``kubeweft run`` is the audit webhook of a control plane; writes the token file."""
    token_file.write_text(target.token)
    token_file.chmod(0o600)
    return {
        "audit-listen": f"{target.host}:{target.port}",
        "audit-token-file": token_file,
        "audit-tls-cert": target.certificate,
        "audit-tls-key": target.key,
    }


def kubeweft(*arguments: object, store: Path) -> str:
    """What a ``kubeweft`` command prints into a pipe; AssertionError with its message if it fails."""
    command = [str(KUBEWEFT), *(str(argument) for argument in arguments), "--store", str(store)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}"
    assert done.stderr == b"", done.stderr
    return done.stdout.decode()


def shown(store: Path, thing: str, *options: str) -> Json:
    """``kubeweft show THING … -o json``."""
    document: Json = json.loads(kubeweft("show", thing, *options, "-o", "json", store=store))
    return document


def found(store: Path, *options: str) -> list[Json]:
    """``kubeweft search … -o json``."""
    objects: list[Json] = json.loads(kubeweft("search", *options, "-o", "json", store=store))
    return objects
