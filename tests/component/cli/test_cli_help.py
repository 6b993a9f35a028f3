"""What the command line says about itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from command_line import Fails, process
from kubeweft.cli.root import COMMANDS, kubeweft


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_examples(name: str) -> None:
    shown = CliRunner().invoke(kubeweft, [name, "--help"])
    assert shown.exit_code == 0
    examples = [
        line for line in shown.output.splitlines() if f"kubeweft {name} " in line and "Usage" not in line
    ]
    assert len(examples) >= 2, shown.output
    assert "\b" not in shown.output


def test_the_help_as_such_names_every_command() -> None:
    shown = CliRunner().invoke(kubeweft, ["-h"])
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.output
        assert f"kubeweft {name}" in shown.output or name == "crds"


def test_every_setting_of_run_is_explained() -> None:
    shown = CliRunner().invoke(kubeweft, ["run", "--help"]).output
    for option in (
        "--kubeconfig",
        "--store",
        "--audit-listen",
        "--otlp",
        "--cluster",
        "--window-seconds",
        "--config",
    ):
        assert f"\n  {option} " in shown
    assert "1800" in shown  # defaults are told


def test_the_version_is_told(tmp_path: Path) -> None:
    assert process("--version", cwd=tmp_path).stdout.startswith("kubeweft, version 0.")


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kubeweft", "crds", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "kubectl apply" in done.stdout


def test_a_word_that_is_no_command(fails: Fails, tmp_path: Path) -> None:
    assert "No such command 'shwo'. Did you mean 'show'?" in fails("shwo", cwd=tmp_path)
    assert fails("get", cwd=tmp_path).endswith("No such command 'get'.\n")
