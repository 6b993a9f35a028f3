"""``kubeweft`` as somebody types it: in a process of its own, or in this one, which saves a second each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

KUBEWEFT = Path(sys.executable).with_name("kubeweft")
PATIENCE = 30  # seconds
ENVIRONMENT = {
    k: v for k, v in os.environ.items() if not k.startswith(("KUBEWEFT_", "KUBECONFIG", "COLUMNS"))
}
Fails = Callable[..., str]


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Typed(Protocol):
    """Runs a command to its end in this process."""

    def __call__(self, *words: str | Path, cwd: Path) -> Done:
        """``words`` follow "kubeweft"."""


def process(*words: str | Path, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as a process of its own; ``more`` goes to ``subprocess.run``."""
    options: dict[str, Any] = {"text": True, "capture_output": True, "timeout": PATIENCE, "env": ENVIRONMENT}
    return subprocess.run([str(KUBEWEFT), *map(str, words)], check=False, cwd=cwd, **(options | more))


def one_line(text: str) -> str:
    """An error message, which has to be one line."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    assert text.startswith("kubeweft: ")
    return text.removeprefix("kubeweft: ").rstrip("\n")
