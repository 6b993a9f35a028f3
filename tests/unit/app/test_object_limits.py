"""How many objects are enough, and where the flag for more is named."""

from __future__ import annotations

import pytest

from kubeweft.app.object_limits import MOST_OBJECTS, count_more, enough, show_more
from kubeweft.display.tree.trees import Truncation


def cut(what: str, more: int) -> Truncation:
    """Something left out."""
    return Truncation(what=what, of="deployments.apps/shop/web", shown=499, more=more, hint="narrow the time")


@pytest.mark.parametrize(
    ("objects", "missing", "expected"),
    [
        (500, 1, 1_000),
        (500, 500, 1_000),
        (500, 501, 2_000),
        (500, 3_000, 5_000),
        (1, 1, 2),
        (3, 0, 10),
        (9_000, 500, 20_000),
        (15_000, 90_000, MOST_OBJECTS),
    ],
)
def test_enough_is_a_round_number(objects: int, missing: int, expected: int) -> None:
    assert enough(objects, missing=missing) == expected


def test_the_flag_is_named_where_it_helps_and_first() -> None:
    objects, windows = show_more([cut("objects", 312), cut("windows", 4)], objects=500)
    assert objects.hint == "show more with --objects 1000, narrow the time"
    assert windows.hint == "narrow the time"


def test_a_comparison_has_no_flags_of_a_story() -> None:
    objects, windows = count_more([cut("objects", 312), cut("windows", 4)], objects=500)
    assert (objects.hint, windows.hint) == ("count more with --objects 1000", "")


def test_where_no_more_can_be_asked_for_the_flag_is_not_named() -> None:
    assert show_more([cut("objects", 1)], objects=MOST_OBJECTS)[0].hint == "narrow the time"
    assert count_more([cut("objects", 1)], objects=MOST_OBJECTS)[0].hint == ""
