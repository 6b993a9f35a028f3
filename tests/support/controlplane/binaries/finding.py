"""Finds each program of the control plane: KUBEBUILDER_ASSETS, then our cache, then a build.

A KUBEBUILDER_ASSETS as `setup-envtest` makes it holds etcd, kube-apiserver and kubectl only: what it lacks is named and taken
from the cache or built.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.binaries.building import build, cached
from controlplane.binaries.progress import Progress
from controlplane.binaries.recipes import CONTROL_PLANE, KWOK, Recipe, recipe_of


class AssetsMissing(RuntimeError):
    """KUBEBUILDER_ASSETS points to something that is not a folder of programs."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where each program is, and the folder of kwok's stages."""

    programs: dict[str, Path]
    stages: Path

    def __getitem__(self, program: str) -> Path:
        return self.programs[program]


def find_binaries(progress: Progress, *, programs: Sequence[str] = CONTROL_PLANE) -> Binaries:
    """Every program asked for, built if nothing else provides it; kwok's stages always come from its Go module."""
    installed = _installed(programs, progress)
    found: dict[str, Path] = {}
    for program in programs:
        found[program] = installed.get(program) or _ours(program, progress)
    stages = _built(KWOK, progress) / "stages" if "kwok" in programs else Path(os.devnull)
    return Binaries(found, stages)


def _installed(programs: Sequence[str], progress: Progress) -> dict[str, Path]:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return {}
    folder = Path(assets)
    if not folder.is_dir():
        raise AssetsMissing(f"KUBEBUILDER_ASSETS is {assets}, which is not a folder: correct it or unset it")
    found = {name: folder / name for name in programs if os.access(folder / name, os.X_OK)}
    missing = [name for name in programs if name not in found]
    if found:
        progress.note(f"from KUBEBUILDER_ASSETS: {', '.join(found)}")
    if missing:
        progress.note(
            f"KUBEBUILDER_ASSETS ({assets}) lacks {', '.join(missing)}: using our cache or a build for them"
        )
    return found


def _ours(program: str, progress: Progress) -> Path:
    return _built(recipe_of(program), progress) / "bin" / program


def _built(recipe: Recipe, progress: Progress) -> Path:
    return cached(recipe) or build(recipe, progress)
