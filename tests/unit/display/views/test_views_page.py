"""docs/views.md tells of every step, parameter, placeholder and attribute that there is, and its examples work."""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from kubeweft.display.steps import placeholders
from kubeweft.display.steps.parameters import PLACEHOLDERS, Duration, Template
from kubeweft.display.tree import made
from kubeweft.display.tree.trees import USUAL
from kubeweft.display.views.catalog import STEPS
from kubeweft.display.views.loading import builtin_views, load_views, views_with
from memory_reader import story_of
from span_builders import change, event, key, owner, request, uid, weave

PAGE = (Path(__file__).parents[4] / "docs" / "views.md").read_text()
STEPS_OF_PAGE = PAGE.split("\n## Steps\n")[1].split("\n## ")[0] + "\n## "
SECTION = re.compile(r"^### `([a-z-]+)`\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
SECTIONS: dict[str, str] = dict(SECTION.findall(STEPS_OF_PAGE))
ROW = re.compile(r"^\| `([^`]+)` \|([^|]*)\| (.*) \|$", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def parameters(step: str) -> dict[str, inspect.Parameter]:
    _, *known = inspect.signature(STEPS[step]).parameters.values()
    return {one.name.replace("_", "-"): one for one in known}


def section(step: str) -> str:
    """What the page says of a step; fails with a sentence that tells what to write."""
    if step not in SECTIONS:
        takes = f", with a row for each of {', '.join(parameters(step))}" if parameters(step) else ""
        pytest.fail(f"docs/views.md, Steps: write a section '### `{step}`'{takes}")
    return SECTIONS[step]


def test_every_step_has_a_section_in_the_order_of_the_catalog() -> None:
    for step in STEPS:
        section(step)
    for step in SECTIONS:
        assert step in STEPS, (
            f"display/views/catalog.py, STEPS: there is no '{step}', of which docs/views.md tells"
        )
    assert list(SECTIONS) == list(STEPS), "docs/views.md, Steps: sections stand in the order of the catalog"


@pytest.mark.parametrize("step", STEPS)
def test_its_parameters_are_told_with_their_defaults(step: str) -> None:
    told = {name: default.strip() for name, default, _ in ROW.findall(section(step))}
    known = parameters(step)
    where = f"docs/views.md, section `{step}`"
    for name in known:
        assert name in told, f"{where}: write a row '| `{name}` | default | meaning |'"
    assert list(told) == list(known), f"{where}: rows are the parameters of its function, in their order"
    for name, one in known.items():
        needed = one.default is inspect.Parameter.empty
        assert (told[name] == "") == needed, f"{where}: `{name}` has {'no' if needed else 'a'} default"
        where_told = f"{where}: the default of `{name}`"
        if isinstance(one.default, bool):
            assert told[name] == str(one.default).lower(), where_told
        elif isinstance(one.default, Duration):
            assert Duration.read(told[name]) == one.default, where_told
        elif isinstance(one.default, int):
            assert told[name] == str(one.default), where_told


@pytest.mark.parametrize("step", STEPS)
def test_all_values_that_a_parameter_can_have_are_told(step: str) -> None:
    hints = typing.get_type_hints(STEPS[step])
    rows = {name: text for name, _, text in ROW.findall(section(step))}
    for name, one in parameters(step).items():
        for value in literals(hints[one.name]) if name != "only" else ():
            assert f"`{value}`" in rows.get(name, ""), (
                f"docs/views.md, section `{step}`: the row of `{name}` does not tell its value `{value}`"
            )


def literals(hint: Any) -> list[str]:
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [value for inner in typing.get_args(hint) for value in literals(inner)]


def test_views_and_their_numbers() -> None:
    shipped = PAGE.split("## ")[1]
    told = re.findall(r"^\| `([a-z]+)` \| (\d+) \|", shipped, re.MULTILINE)
    assert told == [(view.name, str(view.number)) for view in builtin_views().views.values()]


def test_placeholders() -> None:
    told = dict(re.findall(r"^\| `\{([a-z]+)\}` \| (.*) \|$", PAGE, re.MULTILINE))
    assert told == PLACEHOLDERS
    for name in PLACEHOLDERS:
        assert Template.read(f"{{{name}}}").asks_for(name)
    assert set(placeholders.OF_FACTS) <= set(PLACEHOLDERS)


def test_attributes_that_only_shown_spans_have() -> None:
    told = re.findall(r"^\| `(kubeweft\.(?:group|shown|left)\.[a-z_]+)` \|", PAGE, re.MULTILINE)
    known = [value for name, value in vars(made).items() if name.startswith(("GROUP_", "SHOWN_", "LEFT_"))]
    assert told == known


def test_the_view_of_ones_own_can_be_loaded() -> None:
    own = views_with([("docs/views.md", blocks("yaml")[0])]).view("deeds")
    spans = weave(
        request(key("pods", "web-0"), "patch", "10:00:00.000"),
        event(key("pods", "web-0"), "Seen", "10:01:00"),
    )
    (group,) = story_of(key("pods", "web-0"), spans, view=own).root.facts
    assert group.children[0].label.operation == "patch Pod web-0"
    assert group.children[0].label is not USUAL


def test_the_step_of_ones_own_works_as_written() -> None:
    source, imported, line = blocks("python")
    room: dict[str, Any] = {}
    exec(compile(source, "docs/views.md", "exec"), room)
    added = eval(f"{{{line}}}", room)
    (step,) = added
    assert imported == f"from kubeweft.display.steps.failures import {added[step].__name__}\n"
    ((named, text),) = SECTION.findall("".join(blocks("markdown")) + "\n## ")
    assert named == step
    _, parameter = inspect.signature(added[step]).parameters.values()
    assert [row[:2] for row in ROW.findall(text)] == [("from-code", f" {parameter.default} ")]
    view = load_views(
        [("shipped", "views: [{name: tree, number: 1, steps: [nest-changes]}]"), ("own", blocks("yaml")[1])],
        catalog={**STEPS, **added},
    ).view("failures")
    top, pod, quiet = key("deployments", "top"), key("pods", "web-0"), key("pods", "web-1")
    spans = weave(
        request(top, "patch", "10:00:00.000"),
        request(top, "update", "10:00:01.000", code=409, base="1"),
        request(top, "delete", "10:00:02.000", code=403),
        change(pod, "Added", "10:00:03", uid=uid(2), version="3", owners=(owner(top, uid(1)),)),
        change(quiet, "Added", "10:00:03", uid=uid(3), version="4", owners=(owner(top, uid(1)),)),
        event(pod, "BackOff", "10:00:04", type="Warning"),
    )
    root = story_of(top, spans, view=view).root
    assert [fact.span.name for fact in root.facts] == ["update"]
    assert [[fact.span.name for fact in child.facts] for child in root.children] == [["BackOff"]]
