"""Builds one recipe into the cache, once: in a temporary folder that is renamed when whole, under a file lock.

A killed build therefore leaves nothing that looks finished, and two builders never clash. Old versions stay in the cache,
because another checkout may still use them.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from controlplane.binaries.progress import Progress, clock_text
from controlplane.binaries.recipes import Recipe
from controlplane.binaries.toolchain import find_go

_KEPT_LINES = 40


class BuildFailed(RuntimeError):
    """The Go toolchain refused; the message ends with its last words."""


def cache_folder() -> Path:
    """Per user, because binaries that another user can replace must not be run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kubeweft" / "controlplane"


def cached(recipe: Recipe) -> Path | None:
    """The folder of a finished build (programs in `bin/`), or None."""
    folder = cache_folder() / f"{recipe.name}-{recipe.digest()}"
    return folder if folder.is_dir() else None


def build(recipe: Recipe, progress: Progress) -> Path:
    """Return the finished build's folder, building it first if need be."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(cache / f"{recipe.name}.lock", recipe, progress):
        folder = cached(recipe)
        if folder is None:
            folder = _build_into(cache, recipe, progress)
    return folder


@contextlib.contextmanager
def _locked(path: Path, recipe: Recipe, progress: Progress) -> Iterator[None]:
    with path.open("a") as handle:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = clock_text(time.monotonic() - began)
                progress.tick(f"another process builds {recipe.name}; waiting for it, {waited}")
                time.sleep(0.5)
        yield


def _build_into(cache: Path, recipe: Recipe, progress: Progress) -> Path:
    for leftover in cache.glob(f".building-{recipe.name}-*"):  # of a killed build: we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".building-{recipe.name}-", dir=cache))
    try:
        go = find_go(cache, progress)
        _run_build(go, recipe, unfinished / "bin", progress)
        _copy_files(go, recipe, unfinished)
        finished = cache / f"{recipe.name}-{recipe.digest()}"
        unfinished.rename(finished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return finished


def _environment(go: Path) -> dict[str, str]:
    """The user's own settings (caches, proxies) hold, but not the ones that would change the result."""
    ours = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "GO111MODULE": "on"}
    path = f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **ours, "PATH": path}


def _run_build(go: Path, recipe: Recipe, target: Path, progress: Progress) -> None:
    target.mkdir()
    began = time.monotonic()
    names = ", ".join(recipe.programs)
    usual = clock_text(recipe.usual_seconds)
    progress.note(f"building {names} from Go modules, once; usually {usual} on two cores with nothing cached")
    total = len(_go(go, recipe, "list", "-deps", *recipe.programs.values()).split())
    counter = _Counter(recipe, total, usual, began)
    for name, package in recipe.programs.items():
        command = [str(go), "build", "-v", "-buildvcs=false", "-trimpath", "-ldflags", recipe.linker_flags]
        _watch([*command, "-o", str(target / name), package], go, counter, progress)
    progress.note(f"built {names} in {clock_text(time.monotonic() - began)}")


def _go(go: Path, recipe: Recipe, *arguments: str) -> str:
    answer = subprocess.run(
        [str(go), *arguments],
        cwd=recipe.module,
        env=_environment(go),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise BuildFailed(f"`go {' '.join(arguments)}` failed in {recipe.module}:\n{answer.stderr[-4000:]}")
    return answer.stdout


class _Counter:
    """Counts what `go build -v` names: a package a line, and a line beginning with `go:` for each download."""

    def __init__(self, recipe: Recipe, total: int, usual: str, began: float) -> None:
        self.recipe = recipe
        self._total = total
        self._usual = usual
        self._began = began
        self._packages = 0
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def read(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.last_lines.append(line)
            if not line.startswith(("go:", "#", "\t", " ")):
                self._packages += 1

    def __str__(self) -> str:
        elapsed = clock_text(time.monotonic() - self._began)
        return (
            f"building {self.recipe.name}: {self._packages} of up to {self._total} packages compiled, "
            f"{elapsed} of usually {self._usual}"
        )


def _watch(command: list[str], go: Path, counter: _Counter, progress: Progress) -> None:
    child = subprocess.Popen(
        command,
        cwd=counter.recipe.module,
        env=_environment(go),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert child.stderr is not None
    with child:
        reader = threading.Thread(target=counter.read, args=(child.stderr,), daemon=True)
        reader.start()
        try:
            while child.poll() is None:
                progress.tick(str(counter))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=1.0)
        finally:
            child.terminate()
        reader.join(timeout=10)
    if child.returncode != 0:
        raise BuildFailed(f"`{' '.join(command[:2])} {command[-1]}` failed:\n{''.join(counter.last_lines)}")


def _copy_files(go: Path, recipe: Recipe, target: Path) -> None:
    """Files that a Go module ships beside its code are taken from the module, so that they always fit the program."""
    for ours, (module, path) in recipe.files.items():
        source = Path(_go(go, recipe, "list", "-m", "-f", "{{.Dir}}", module).strip())
        (target / ours).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / ours)
