"""What msgspec finds wrong is told by the names that people gave, and with what may stand there."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from kubeweft.display.words.mistakes import choice_of, mistake_in


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    colour: Colour = Colour.RED
    size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    wait: Annotated[str, msgspec.Meta(description="a length of time like 3s")] = ""
    tags: dict[str, int] = {}
    sides: tuple[Literal["left", "right"], ...] = ()
    either: int | str | None = None


class Box(msgspec.Struct):
    things: list[Thing] = []


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (
            {"name": "mine", "size": 10},
            "thing mine: size: it is 10, but has to be a whole number from 1 to 9",
        ),
        ({"size": True}, "things[0]: size: it is true, but has to be a whole number from 1 to 9"),
        ({"colour": "green"}, "things[0]: colour: it is 'green', but has to be one of red, blue"),
        ({"wait": 3}, "things[0]: wait: it is 3, but has to be a length of time like 3s"),
        ({"sides": ["up"]}, "things[0]: sides[0]: it is 'up', but has to be one of left, right"),
        ({"sides": None}, "things[0]: sides: it is empty, but has to be a list of left, right"),
        ({"tags": {"a": "b"}}, "things[0]: tags: something in it is wrong, it has to be a whole number"),
        ({"either": []}, "things[0]: either: it is a list, but has to be a whole number or text or null"),
        ({"name": {"a": "b"}}, "name: it is names with values, but has to be text"),
        ({"size": "x" * 100}, f"size: it is '{'x' * 59}…, but has to be a whole number from 1 to 9"),
        ({"siez": 1}, "there is no 'siez' here: it takes name, colour, size, wait, tags, sides, either"),
        ("mine", "things[0]: it is 'mine', but has to be names with a value each"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_may_stand_there(thing: Any, told: str) -> None:
    value = {"things": [thing]}
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(value, Box)
    assert mistake_in(raised.value, wanted=Box, value=value).endswith(told)


def test_what_a_type_may_be() -> None:
    assert choice_of(list[Literal["b", "a"]]) == "a list of a, b"
    assert choice_of(dict[str, int] | None) == "names with a value each"
    assert choice_of(bool) == "true or false"
