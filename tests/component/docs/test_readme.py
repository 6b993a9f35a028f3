"""What the README says to type works, and what it shows is real."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
KUBEWEFT = Path(sys.executable).with_name("kubeweft")
OFFLINE = re.findall(r"^\$ \.venv/bin/kubeweft (.*)$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


def test_the_offline_commands_print_what_is_shown(folder: Path) -> None:
    assert len(OFFLINE) == 4
    printed = [
        subprocess.run(
            [str(KUBEWEFT), *shlex.split(command)], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        for command in OFFLINE
    ]
    assert printed[0].splitlines()[0] in README
    assert "app-42" in printed[1]
    assert "spec.template.spec.containers[c].image nginx:1 → nginx:2" in printed[2]
    assert "image: nginx:1\n" in printed[3]


def test_the_trace_on_top_is_cut_from_the_recorded_one() -> None:
    real = (ROOT / "tests/stories/rollout/expected.trace.txt").read_text()
    real = real.replace("system:serviceaccount:kube-system:", "sa kube-system/")  # as a terminal shows it
    shown = README.split("```console\n", 1)[1].split("```", 1)[0].splitlines()[1:]
    for line in shown:
        assert line.rstrip("…").rstrip() in real or line.strip() == "…", line


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
