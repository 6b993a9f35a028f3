"""The reader of pages finds commands, and demands what is shown."""

from pathlib import Path

import pytest

from walkthrough import Command, carry_out, commands_of, missing_line

PAGE = """
text

```console
$ echo one  two
one two
$ printf 'a\\nb 1234 c\\nd\\n'
a
…
b … c
$ true && \\
  echo joined
joined
```

```sh
not run
```
"""


def test_commands_are_those_of_console_blocks() -> None:
    commands = commands_of(PAGE)
    assert commands[0] == Command("echo one  two", ("one two",))
    assert commands[1].shown == ("a", "…", "b … c")
    assert len(commands) == 3


def test_a_page_that_tells_the_truth_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert carry_out(page, folder=tmp_path, environment={"PATH": "/usr/bin:/bin"}) == 3


@pytest.mark.parametrize("claim", ["$ echo one\ntwo", "$ false", "$ printf 'b\\na\\n'\na\nb"])
def test_a_page_that_does_not_fails(tmp_path: Path, claim: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```console\n{claim}\n```\n")
    with pytest.raises(AssertionError, match=r"shows no line|exit status 1"):
        carry_out(page, folder=tmp_path, environment={"PATH": "/usr/bin:/bin"})


def test_shown_lines_stand_for_what_they_say() -> None:
    assert missing_line(("Pod a/b … deleted", "…", "x"), "Pod  a/b at 3 deleted\nmore\nx\n") is None
    assert missing_line(("x.y",), "xzy\n") == "x.y"
