"""Commands that are typed in this process, and a store for them to read."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_log import WORLD, import_lines
from command_line import ENVIRONMENT, Done, Fails, Typed
from kubeweft.cli.root import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    """Everything a process would do, but for its start: arguments, output, exit status."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def typed(*words: str | Path, cwd: Path) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["kubeweft", *map(str, words)])
        for name in set(os.environ) - set(ENVIRONMENT):
            monkeypatch.delenv(name)
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

    yield typed
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def fails(run: Typed) -> Fails:
    """What a command that cannot do what was asked says about it: on standard error, and never a traceback."""

    def said(*words: str | Path, cwd: Path) -> str:
        done = run(*words, cwd=cwd)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in it, in which the small world has been imported, and its log."""
    folder = tmp_path_factory.mktemp("cli")
    import_lines(folder / "kubeweft.db", WORLD)
    (folder / "world.log").write_bytes(b"\n".join(WORLD) + b"\n")
    return folder
