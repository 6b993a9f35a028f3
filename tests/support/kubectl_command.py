"""kubectl as a person types it, against one cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from cluster_requests import Json

PATIENCE = 60  # seconds


class Kubectl:
    """``kubectl("get", "pods")`` gives what it prints; AssertionError with its message if it fails."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._command = [str(program), "--kubeconfig", str(kubeconfig)]

    def __call__(self, *words: object, documents: Sequence[Json] = ()) -> str:
        """``documents`` are its standard input: name it with ``-f -``."""
        done = self.attempt(*words, documents=documents)
        assert done.returncode == 0, f"kubectl {words}: {done.stderr}"
        return done.stdout

    def attempt(self, *words: object, documents: Sequence[Json] = ()) -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        return subprocess.run(
            [*self._command, *map(str, words)],
            input=yaml.safe_dump_all(documents),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
