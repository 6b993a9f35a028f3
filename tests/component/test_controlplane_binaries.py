"""Finding and building the control plane's programs, with a stand-in for `go`: what a killed, doubled or failed build leaves."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from controlplane.binaries.building import BuildFailed, build, cache_folder, cached
from controlplane.binaries.finding import AssetsMissing, find_binaries
from controlplane.binaries.progress import CallbackProgress
from controlplane.binaries.recipes import KUBERNETES, KWOK, RECIPES, Recipe
from controlplane.binaries.toolchain import NoToolchain, find_go

FAKE_GO = r"""#!/bin/sh
case "$1" in
  version) echo "go version go{version} linux/amd64" ;;
  env) echo local ;;
  list) if [ "$2" = -m ]; then echo "{module}"; else echo one two three; fi ;;
  build)
    echo build >> "{log}"
    [ -e "{fail}" ] && {{ echo "it does not compile" >&2; exit 1; }}
    while [ "$1" != -o ]; do shift; done
    echo program > "$2" ;;
esac
"""


class FakeGo:
    """A `go` on PATH that notes each build; touch `fail` and it refuses."""

    def __init__(self, folder: Path, version: str) -> None:
        self.log = folder / "builds"
        self.fail = folder / "fail"
        self.module = folder / "module"
        for _, path in KWOK.files.values():
            (self.module / path).parent.mkdir(parents=True, exist_ok=True)
            (self.module / path).write_text("kind: Stage\n")
        script = folder / "go"
        script.write_text(FAKE_GO.format(version=version, module=self.module, log=self.log, fail=self.fail))
        script.chmod(0o755)

    @property
    def builds(self) -> int:
        return self.log.read_text().count("build") if self.log.exists() else 0


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return FakeGo(tmp_path, "1.26.1")


def silent() -> CallbackProgress:
    return CallbackProgress(lambda line: None)


def leftovers() -> list[str]:
    return [path.name for path in cache_folder().iterdir() if path.name.startswith(".building")]


def test_a_recipe_is_built_once_and_its_files_come_from_the_module(go: FakeGo) -> None:
    folder = build(KWOK, silent())
    assert cached(KWOK) == folder == build(KWOK, silent())
    assert go.builds == 1
    assert (folder / "bin" / "kwok").read_text() == "program\n"
    assert {path.name for path in (folder / "stages").iterdir()} == {Path(name).name for name in KWOK.files}


def test_a_failed_build_says_why_and_leaves_nothing(go: FakeGo) -> None:
    go.fail.touch()
    with pytest.raises(BuildFailed, match="it does not compile"):
        build(KUBERNETES, silent())
    assert cached(KUBERNETES) is None
    assert leftovers() == []


def test_the_remains_of_a_killed_build_are_neither_used_nor_kept(go: FakeGo) -> None:
    remains = cache_folder() / f".building-{KUBERNETES.name}-abc" / "bin"
    remains.mkdir(parents=True)
    (remains / "etcd").write_text("half of it")
    folder = build(KUBERNETES, silent())
    assert (folder / "bin" / "etcd").read_text() == "program\n"
    assert leftovers() == []


def test_two_builders_at_once_build_once(go: FakeGo) -> None:
    results: list[Path] = []
    builders = [threading.Thread(target=lambda: results.append(build(KWOK, silent()))) for _ in range(3)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(timeout=30)
    assert len(results) == 3
    assert len(set(results)) == 1
    assert go.builds == 1


def test_a_changed_go_sum_builds_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.binaries.recipes.MODULES", tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "go.mod").write_text("module own\n")
    (tmp_path / "own" / "go.sum").write_text("")
    recipe = Recipe(name="own", programs={"own": "example.org/own"}, usual_seconds=1)
    before = recipe.digest()
    (tmp_path / "own" / "go.sum").write_text("example.org/own v1.0.0 h1:abc=\n")
    assert recipe.digest() != before


def test_every_recipe_names_tools_of_its_own_go_mod() -> None:
    for recipe in RECIPES:
        module = (recipe.module / "go.mod").read_text()
        for package in recipe.programs.values():
            assert package in module


def test_what_kubebuilder_assets_lacks_is_named_and_built(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (assets / name).touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    lines: list[str] = []
    found = find_binaries(CallbackProgress(lines.append))
    assert found["etcd"] == assets / "etcd"
    assert found["kube-scheduler"].read_text() == "program\n"
    assert (
        "lacks kube-controller-manager, kube-scheduler, kwok: using our cache or a build for them" in lines[1]
    )


def test_kubebuilder_assets_that_do_not_exist_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(AssetsMissing, match="correct it or unset it"):
        find_binaries(silent())


def test_without_a_new_enough_go_and_without_an_index_the_way_out_is_told(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGo(tmp_path, "1.19")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(NoToolchain, match="KUBEBUILDER_ASSETS"):
        find_go(tmp_path / "cache", silent())


def test_the_command_names_what_it_can_build() -> None:
    command = [sys.executable, "-m", "controlplane.binaries", "kubelet"]
    support = Path(__file__).parents[1] / "support"
    answer = subprocess.run(command, cwd=support, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "no recipe builds kubelet; known: kube-apiserver" in answer.stderr
