"""Two objects field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.history.field_changes import WHOLE, field_changes, label_of_line, labels_above, overlap
from kubeweft.model import changes


def pod(image: str = "nginx:1", **more: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "web", "image": image}, {"name": "proxy"}], **more}}


def lines(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [change.line() for change in field_changes(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 4}}, ["spec.replicas 2 → 4"]),
        (pod(), pod("nginx:2"), ["spec.containers[web].image nginx:1 → nginx:2"]),
        ({}, {"data": {"a/b": "c"}}, ['+ data = {"a/b":"c"}']),
        ({"data": {"a/b": "c"}}, {"data": {}}, ["- data['a/b'] (was c)"]),
        ({"a": ["x", "y"]}, {"a": ["y", "z"]}, ["- a[x]", "+ a[z]"]),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, ["a order x, y → y, x"]),
        (
            {"a": [{"name": "x"}, {"name": "y"}]},
            {"a": [{"name": "y"}, {"name": "x"}]},
            ["a order x, y → y, x"],
        ),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1] 2 → 3"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a [1,2] → [1]"]),
        ({"a": True}, {"a": 1}, ["a true → 1"]),
        ({"a": "1"}, {"a": 1}, ['a "1" → 1']),
        (
            {"status": 1, "metadata": 1, "spec": 1},
            {},
            ["- spec (was 1)", "- metadata (was 1)", "- status (was 1)"],
        ),
    ],
)
def test_in_words(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    assert lines(old, new) == expected


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "x", "y/z"]), inner, max_size=3)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["spec", "status", "name"]), values, max_size=3)


@given(objects, objects)
def test_empty_exactly_where_the_two_are_the_same_json(old: dict[str, Any], new: dict[str, Any]) -> None:
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert (field_changes(old, new) == []) == same


@given(objects, objects)
def test_both_ways_name_the_same_fields(old: dict[str, Any], new: dict[str, Any]) -> None:
    there = {change.label for change in field_changes(old, new)}
    assert there == {change.label for change in field_changes(new, old)}


@given(objects, objects)
def test_every_field_overlaps_with_one_that_the_words_of_a_span_name(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    told = [label_of_line(line) for line in changes.describe(old, new, changes.diff(old, new))]
    for change in field_changes(old, new):
        assert any(overlap(change.label, label) for label in told), (change.label, told)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("spec", "spec.replicas", True),
        ("spec.a", "spec.ab", False),
        ("spec.containers", "spec.containers[web].image", True),
        ("a['b.c']", "a", True),
        ("a", "b", False),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is expected


def test_labels() -> None:
    assert labels_above("a.b[c].d") == ("a", "a.b", "a.b[c]", "a.b[c].d")
    assert labels_above("a['b.c[d]']") == ("a", "a['b.c[d]']")
    assert label_of_line("+ metadata.labels['x y'] = 1") == "metadata.labels['x y']"
    assert label_of_line("… 12 more") == ""
    assert label_of_line("spec.replicas 2 → 4") == "spec.replicas"


def test_what_is_nested_too_deeply_differs_as_a_whole() -> None:
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for _ in range(3000):
        one, other = {"a": one}, {"a": other, "b": 1}
    assert [change.label for change in field_changes(one, other)] == [WHOLE]


def test_what_is_nested_hundreds_of_levels_deep_is_one_field() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    assert lines({"a": [deep, 1]}, {"a": [1, deep]})[0].startswith(WHOLE)
