"""Output that goes somewhere else than to a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from audit_log import DAY
from command_line import ENVIRONMENT, PATIENCE, Typed, process


def piped(*words: str | Path, cwd: Path, reader: Sequence[str]) -> tuple[int, str, str]:
    """Exit status and standard error of a command whose output goes to ``reader``, and what that printed."""
    with subprocess.Popen(reader, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        done = process(*words, cwd=cwd, capture_output=False, stdout=other.stdin, stderr=subprocess.PIPE)
        printed = other.communicate(timeout=PATIENCE)[0]
    return done.returncode, done.stderr, printed.decode()


@pytest.mark.parametrize(
    "words",
    [
        ["show", "deployment/web", "-n", "shop"],
        ["show", "deployment/web", "-n", "shop", "-o", "json"],
        ["show", "deployment/web", "-n", "shop", "-o", "json", "--at", f"{DAY}T10:20Z"],
        ["search"],
        ["search", "-o", "json"],
        ["crds"],
    ],
)
def test_a_reader_that_has_had_enough_is_no_failure(folder: Path, words: list[str]) -> None:
    assert piped(*words, cwd=folder, reader=["true"])[:2] == (0, "")
    status, said, printed = piped(*words, cwd=folder, reader=["head", "-1"])
    assert (status, said) == (0, "")
    assert printed.count("\n") == 1


def test_a_terminal_without_unicode_gets_the_text_all_the_same(run: Typed, folder: Path) -> None:
    for encoding in ("ascii", "latin-1"):
        environment = ENVIRONMENT | {"PYTHONIOENCODING": encoding}
        shown = process("show", "deployment/web", cwd=folder, env=environment, encoding=encoding)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "spec.replicas 2" in shown.stdout
