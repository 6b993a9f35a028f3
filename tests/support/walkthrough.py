"""Carries out a page of documentation: every ``$ command`` of its console blocks, and compares what it shows below.

A page is written for people, so what it shows is shortened: ``…`` stands for anything within a line, a line with nothing
else for any lines. Each shown line has to be found in the output, in the order shown. As a person would, the reader
repeats a command whose output is not there yet, for some seconds; commands that change something are run once.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.testing import wait_until

ELLIPSIS = "…"
REPEATED = ("kubectl get", "kubectl describe", "kubeweft show", "kubeweft search", "kubeweft rules")
PATIENCE = 45.0  # seconds
LONGEST_COMMAND = 90.0


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page and the lines that the page shows below it."""

    text: str
    shown: tuple[str, ...]


def commands_of(page: str) -> list[Command]:
    """All commands in the ``console`` blocks of a Markdown page, in order."""
    commands: list[Command] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            command = lines.pop(0)
            while command.endswith("\\"):
                command = command[:-1] + lines.pop(0)
            commands.append(Command(command, tuple(line for line in lines if line.strip())))
    return commands


def carry_out(page: Path, *, folder: Path, environment: Mapping[str, str]) -> int:
    """Run all commands of a page in ``folder``; AssertionError that shows command and output. How many there were."""
    commands = commands_of(page.read_text())
    for command in commands:
        _carry_out(command, folder=folder, environment=environment)
    return len(commands)


def missing_line(shown: tuple[str, ...], output: str) -> str | None:
    """The first shown line that the output does not have in its place, or None."""
    lines = [_squeezed(line) for line in output.splitlines()]
    at = 0
    for line in shown:
        if line.strip() == ELLIPSIS:
            continue
        wanted = re.compile(".*".join(re.escape(part) for part in _squeezed(line).split(ELLIPSIS)))
        while at < len(lines) and not wanted.fullmatch(lines[at]):
            at += 1
        if at == len(lines):
            return line
        at += 1
    return None


def _carry_out(command: Command, *, folder: Path, environment: Mapping[str, str]) -> None:
    last: list[str] = []

    def run() -> bool:
        last[:] = [_run(command.text, folder=folder, environment=environment)]
        return missing_line(command.shown, last[0]) is None

    if command.text.startswith(REPEATED):
        try:
            wait_until(run, f"the output of: {command.text}", seconds=PATIENCE)
        except AssertionError:
            pass
        else:
            return
    elif run():
        return
    line = missing_line(command.shown, last[0])
    raise AssertionError(f"$ {command.text}\nshows no line like\n{line}\nbut\n{last[0]}")


def _run(command: str, *, folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-uo", "pipefail", "-c", command],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_COMMAND,
        check=False,
    )
    expects_failure = command.rstrip().endswith("; echo exit=$?")
    if done.returncode != 0 and not expects_failure and not command.startswith(REPEATED):
        raise AssertionError(f"$ {command}\nexit status {done.returncode}\n{done.stdout}")
    return done.stdout


def _squeezed(line: str) -> str:
    """Columns are as wide as their content, which the page shortens."""
    return " ".join(line.split())
