"""What docs/terminal.md shows is what the commands print, on the recording that comes with the source."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from audit_log import import_lines, recorded
from command_line import process

DOCUMENT = (Path(__file__).parents[3] / "docs" / "terminal.md").read_text()
SHOWN = re.findall(r"```console\n\$ kubeweft (.*)\n((?:.*\n)*?)```", DOCUMENT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    import_lines(folder / "kubeweft.db", recorded("team-4"))
    return folder


@pytest.mark.parametrize(("command", "lines"), SHOWN)
def test_every_line_that_is_shown_is_printed_in_this_order(folder: Path, command: str, lines: str) -> None:
    done = process(*shlex.split(command), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    position = 0
    for line in lines.splitlines():
        found = done.stdout.find(line.rstrip(), position)
        assert found >= 0, (line, done.stdout)
        position = found + len(line.rstrip())


def test_both_commands_are_shown() -> None:
    assert [command.split()[0] for command, _ in SHOWN] == ["diff", "compare"]
