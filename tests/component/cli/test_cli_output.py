"""Output that goes somewhere else than to a terminal."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from audit_log import DAY
from command_line import ENVIRONMENT, PATIENCE, Typed, one_line, process
from kubeweft.app.showing import show_views

FULL = Path("/dev/full")


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


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here, which is a disk without room")
@pytest.mark.parametrize("words", [["show", "deployment/web"], ["search", "-o", "json"], ["crds"]])
def test_where_there_is_no_room_for_the_output_that_is_said(folder: Path, words: list[str]) -> None:
    with FULL.open("w") as full:
        done = process(*words, cwd=folder, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert one_line(done.stderr) == "the output cannot be written: No space left on device"


def test_what_views_are_for_is_folded_beside_their_names() -> None:
    narrow = Console(file=io.StringIO(), force_terminal=True, no_color=True, width=50)
    show_views(None, form="text", console=narrow)
    written = re.sub(r"\x1b\[[0-9;]*m", "", narrow.file.getvalue())  # type: ignore[attr-defined]
    lines = written.splitlines()
    assert max(map(len, lines)) <= 50
    assert lines[1] == "  tree        Objects nested by their links, and"
    assert lines[2].startswith(" " * 14 + "under each object")


def test_a_terminal_without_unicode_gets_the_text_all_the_same(run: Typed, folder: Path) -> None:
    for encoding in ("ascii", "latin-1"):
        environment = ENVIRONMENT | {"PYTHONIOENCODING": encoding}
        shown = process("show", "deployment/web", cwd=folder, env=environment, encoding=encoding)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "spec.replicas 2" in shown.stdout
