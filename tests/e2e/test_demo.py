"""The demo ends by itself, shows the trace, and leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.mark.timeout(180)
def test_the_demo_shows_the_trace_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/demo/demo.py"), "--once"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests/support"), "KUBEWEFT_DEMO_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "spec.replicas 2 → 4" in done.stdout
    assert "nginx:1.26 → nginx:1.27" in done.stdout
    assert "the object is gone" in done.stdout
    assert not processes_of(folder)
