"""A comparison as a table, which fits a terminal or is one line for each step."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from kubeweft.display.history.comparing import Comparison, compare
from kubeweft.display.history.comparison_text import write_comparison
from kubeweft.display.history.runs import Run, StepName, Timing
from kubeweft.display.tree.trees import Truncation
from kubeweft.model.windows import NANOSECONDS
from span_builders import at, key

IT = key("deployments", "it")
START = at("10:00:00")


def run(who: str, **more: object) -> Run:
    """A run of two steps, the first of which somebody took."""
    steps = {
        StepName("Deployment", "patch"): Timing((0,), (who,)),
        StepName("Pod", "Ready True"): Timing((NANOSECONDS,)),
    }
    values: dict[str, object] = {
        "key": IT,
        "kind": "Deployment",
        "start": START,
        "end": START + 2 * NANOSECONDS,
        "steps": steps,
        "objects": {"Deployment": 1, "Pod": 3},
        "made": {},
        "facts": 4,
    }
    return Run(**(values | more))  # type: ignore[arg-type]


def written(comparison: Comparison, *, width: int = 0) -> list[str]:
    """Its lines, piped or on a terminal so wide."""
    file = io.StringIO()
    console = (
        Console(file=file, width=width, force_terminal=True, no_color=True) if width else Console(file=file)
    )
    write_comparison(comparison, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).splitlines()


def test_who_took_a_step_stands_below_it_where_there_is_no_room_beside() -> None:
    both = compare(run("alice"), run("somebody-with-a-long-name"))
    who = "A: alice; B: somebody-with-a-long-name"
    for wide in (written(both), written(both, width=120)):
        (line,) = [line for line in wide if "Deployment: patch" in line]
        assert line.endswith(who)
    narrow = written(both, width=60)
    at_step = next(number for number, line in enumerate(narrow) if line.startswith("Deployment: patch"))
    assert narrow[at_step + 1] == f"    {who}"
    assert not any("WHO" in line for line in narrow)


@pytest.mark.parametrize("width", [0, 60])
def test_no_line_ends_in_blanks(width: int) -> None:
    lines = written(compare(run("alice"), run("bob")), width=width)
    assert [line for line in lines if line != line.rstrip()] == []


def test_what_was_counted_and_what_was_not() -> None:
    cut = Truncation(
        what="objects", of="a/b", shown=3, more=9, hint="count more with --objects 50", kinds=(("Pod", 9),)
    )
    lines = written(compare(run("alice"), run("bob", truncated=(cut,))))
    assert "4 facts of 1 Deployment, 3 Pods" in lines[0]
    assert "   ! 9 more Pods owned by a/b not counted: count more with --objects 50" in lines
