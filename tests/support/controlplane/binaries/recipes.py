"""What is built, and from what: one recipe per Go module beside this package.

A recipe is data; building.py carries it out. Versions live in each module's go.mod alone, flags that only name the version here.
"""

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).resolve().parent.parent
_KUBERNETES_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One Go module of ours and the programs it builds; `usual_seconds` is what two free cores needed with empty caches."""

    name: str
    programs: Mapping[str, str]
    usual_seconds: int
    version_flags: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # ours → (Go module, path in it)

    @property
    def module(self) -> Path:
        """The folder with go.mod and go.sum."""
        return MODULES / self.name

    @property
    def linker_flags(self) -> str:
        """Stripped, and saying the version that a released binary would say."""
        return " ".join(["-s", "-w", *(f"-X {flag}" for flag in self.version_flags)])

    def digest(self) -> str:
        """Changes with everything that changes the result, so that an edit builds anew and a cached result is never stale."""
        parts = [sys.platform, platform.machine(), self.linker_flags, repr(sorted(self.programs.items()))]
        parts.append(repr(sorted(self.files.items())))
        content = hashlib.sha256("\0".join(parts).encode())
        for name in ("go.mod", "go.sum"):
            content.update((self.module / name).read_bytes())
        return content.hexdigest()[:16]


KUBERNETES = Recipe(
    name="kubernetes",
    programs={
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "etcd": "go.etcd.io/etcd/server/v3",
    },
    usual_seconds=400,
    version_flags=(
        f"{_KUBERNETES_VERSION}.gitVersion=v1.36.3",
        f"{_KUBERNETES_VERSION}.gitMajor=1",
        f"{_KUBERNETES_VERSION}.gitMinor=36",
        f"{_KUBERNETES_VERSION}.gitTreeState=clean",
    ),
)

KUBECTL = Recipe(
    name="kubectl",
    programs={"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
    usual_seconds=90,
    version_flags=KUBERNETES.version_flags,
)

_STAGES = "sigs.k8s.io/kwok"
KWOK = Recipe(
    name="kwok",
    programs={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    usual_seconds=60,
    files={
        "stages/node-initialize.yaml": (_STAGES, "kustomize/stage/node/fast/node-initialize.yaml"),
        "stages/node-heartbeat-with-lease.yaml": (
            _STAGES,
            "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
        ),
        "stages/pod-ready.yaml": (_STAGES, "kustomize/stage/pod/fast/pod-ready.yaml"),
        "stages/pod-complete.yaml": (_STAGES, "kustomize/stage/pod/fast/pod-complete.yaml"),
        "stages/pod-delete.yaml": (_STAGES, "kustomize/stage/pod/fast/pod-delete.yaml"),
    },
)

JAEGER = Recipe(
    name="jaeger",
    programs={
        "jaeger": "github.com/jaegertracing/jaeger/cmd/jaeger",
        "jaeger-remote-storage": "github.com/jaegertracing/jaeger/cmd/remote-storage",
    },
    usual_seconds=300,
    # Module v1.76.0 was released as Jaeger v2.13.0.
    version_flags=("github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0",),
)

RECIPES = (KUBERNETES, KUBECTL, KWOK, JAEGER)
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


def recipe_of(program: str) -> Recipe:
    """The recipe that builds a program; KeyError for one that none builds."""
    for recipe in RECIPES:
        if program in recipe.programs:
            return recipe
    raise KeyError(program)
