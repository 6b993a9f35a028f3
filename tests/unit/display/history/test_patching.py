"""A patch applied in place, and the fields that it touches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.history.field_changes import field_changes, overlap
from kubeweft.display.history.patching import apply_here
from kubeweft.model import changes

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "1"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "x", "y/z~"]), inner, max_size=3)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["spec", "containers", "name"]), values, max_size=3)
named = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd"), "v": scalars}),
    max_size=4,
    unique_by=lambda i: i["name"],
)


@given(objects, objects)
def test_it_makes_the_later_version_and_names_every_field_that_differs(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    document = copy.deepcopy(old)
    labels = apply_here(changes.diff(old, new), document)
    assert labels is not None
    assert document == new
    for change in field_changes(old, new):
        around = change.label.partition("[")[0]
        assert any(overlap(label, change.label) or overlap(label, around) for label in labels), change


@given(named, named)
def test_items_of_lists_go_by_their_names(old: list[Any], new: list[Any]) -> None:
    before, after = {"spec": {"containers": old}}, {"spec": {"containers": new}}
    labels = apply_here(changes.diff(before, after), copy.deepcopy(before))
    assert labels is not None
    for change in field_changes(before, after):
        assert any(overlap(label, change.label) for label in labels), (change, labels)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "replace", "path": "/spec/replicas", "value": 4}], ["spec.replicas"]),
        ([{"op": "add", "path": "/a~1b", "value": 1}], ["['a/b']"]),
        ([{"op": "replace", "path": "/spec/list/1/v", "value": 9}], ["spec.list[y].v"]),
        ([{"op": "remove", "path": "/spec/list/0"}], ["spec.list[x]"]),
        ([{"op": "add", "path": "/spec/list/0", "value": {"name": "z"}}], ["spec.list[z]"]),
        ([{"op": "move", "from": "/spec/list/0", "path": "/spec/list/1"}], ["spec.list"]),
        ([{"op": "remove", "path": "/spec/texts/0"}], ["spec.texts[t]"]),
        ([{"op": "replace", "path": "/spec/numbers/1", "value": 3}], ["spec.numbers[1]"]),
        ([], []),
    ],
)
def test_labels(operations: list[changes.Operation], expected: list[str]) -> None:
    lists = {"list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}], "texts": ["t"], "numbers": [1, 2]}
    assert apply_here(operations, {"spec": {"replicas": 2, **lists}}) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/no/such"},
        {"op": "replace", "path": "", "value": {}},
        {"op": "replace", "path": "/spec/0", "value": 1},
        {"op": "what", "path": "/spec"},
        {"path": "/spec"},
    ],
)
def test_what_does_not_fit_is_none(operation: changes.Operation) -> None:
    assert apply_here([operation], {"spec": {"a": [1]}}) is None
