"""The built UI of Jaeger as a folder of files: fetched once as a Go module, which is checked against our go.sum.

`python -m browser.jaeger_ui` prints where it is. Nothing of it is in this repository.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from controlplane.binaries.building import cache_folder
from controlplane.binaries.progress import Progress, TerminalProgress
from controlplane.binaries.recipes import MODULES
from controlplane.binaries.toolchain import NoToolchain, find_go

MODULE = MODULES / "jaeger-ui"
REQUIRED = "github.com/tonistiigi/jaeger-ui-rest"
FETCH_SECONDS = 300


class NoUi(RuntimeError):
    """The UI cannot be had; the message says why."""


def jaeger_ui(progress: Progress | None = None) -> Path:
    """The folder with ``index.html``; fetched if it is not there yet. Raises ``NoUi``."""
    progress = progress or TerminalProgress()
    finished = cache_folder() / f"jaeger-ui-{_version()}"
    if not finished.is_dir():
        cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        progress.note("fetching the UI of Jaeger, once (1.5 MB)")
        _unpack(_downloaded(progress) / "public", finished)
    return finished


def _version() -> str:
    (line,) = [text for text in (MODULE / "go.mod").read_text().splitlines() if REQUIRED in text]
    return line.split()[-1]


def _downloaded(progress: Progress) -> Path:
    try:
        go = find_go(cache_folder(), progress)
        answer = subprocess.run(
            [go, "mod", "download", "-json", REQUIRED],
            cwd=MODULE,
            env={**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off"},
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=True,
        )
    except NoToolchain as missing:
        raise NoUi(str(missing)) from None
    except subprocess.SubprocessError as error:
        told = getattr(error, "stdout", "") or getattr(error, "stderr", "") or error
        raise NoUi(f"the Go module with the UI cannot be fetched: {told}") from None
    return Path(json.loads(answer.stdout)["Dir"])


def _unpack(source: Path, finished: Path) -> None:
    """The module's files are gzipped one by one. Whoever comes second finds it done."""
    unfinished = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=finished.parent))
    try:
        for file in (path for path in source.rglob("*") if path.is_file()):
            target = unfinished / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.decompress(file.read_bytes()))
        unfinished.chmod(0o755)
        unfinished.rename(finished)
    except OSError:
        if not finished.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    try:
        print(jaeger_ui())
    except NoUi as error:
        print(error, file=sys.stderr)
        sys.exit(1)
