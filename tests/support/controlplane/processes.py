"""One component as a child process: own process group, own log file, never outliving us.

The kernel's parent-death signal fires when the *thread* that started the child ends, so every child is started from one
thread that lives as long as this process.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_EXEC = Path(__file__).with_name("exec_with_parent.py")
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="controlplane-starter")
_LOG_TAIL_BYTES = 3000


class Component:
    """A program of the control plane that can be started, stopped, killed, frozen and started again."""

    def __init__(self, *, name: str, command: Sequence[str], log: Path, grace: float) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._grace = grace  # seconds between SIGTERM and SIGKILL
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process ID while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process is there (frozen counts as running)."""
        return self.pid is not None

    def start(self) -> None:
        """Start it, unless it runs; what it writes is added to its log file."""
        if not self.running:
            self._child = _STARTER.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", str(_EXEC), str(os.getpid()), *self.command]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.log.parent,
            )

    def ask_to_stop(self) -> None:
        """Send SIGTERM (and wake it if frozen) without waiting."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, then after the grace SIGKILL; returns when the process is gone."""
        self.ask_to_stop()
        self.wait_stopped()

    def wait_stopped(self) -> None:
        """Wait for the grace after `ask_to_stop`, then kill."""
        if self._child is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=self._grace)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole process group; returns when the process is gone."""
        self._signal(signal.SIGKILL)
        if self._child is not None:
            self._child.wait(timeout=30)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")
