"""Field paths: how they are written, and what is taken out at the end of one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model.changes import drop_paths, parse_field_path
from kubeweft.model.errors import BadInput
from kubeweft.model.field_paths import find


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("metadata", ("metadata",)),
        ("spec.replicas", ("spec", "replicas")),
        ("spec.volumes[*].secret.secretName", ("spec", "volumes", "*", "secret", "secretName")),
        ("metadata.annotations['a.b/c']", ("metadata", "annotations", "a.b/c")),
        ("spec.args[0]", ("spec", "args", "0")),
        ("spec.args[007]", ("spec", "args", "7")),
        ("$x._y.a-b", ("$x", "_y", "a-b")),
        ("data['tls.key'][*]['é']", ("data", "tls.key", "*", "é")),
    ],
)
def test_paths_that_can_be_read(text: str, path: tuple[str, ...]) -> None:
    assert parse_field_path(text) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "starts with the name of a field"),
        (".spec", "starts with the name of a field"),
        ("[0]", "starts with the name of a field"),
        ("1a", "starts with the name of a field"),
        ("spec.", "character 5"),
        ("spec..a", "character 5"),
        ("spec[]", "character 5"),
        ("spec[-1]", "character 5"),
        ("spec[123456]", "character 5"),
        ('spec["a"]', "character 5"),
        ("spec['']", "character 5"),
        ("spec.a b", "character 7"),
        ("spec.a\n", "character 7"),
        ("spec['a", "character 5"),
        ("spec.a[*]b", "character 10"),
        ("a" * 513, "at most 512"),
    ],
)
def test_paths_that_cannot(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_field_path(text)


SEGMENTS = st.one_of(
    st.from_regex(r"\.[A-Za-z_$][A-Za-z0-9_$-]{0,8}", fullmatch=True),
    st.from_regex(r"\['[^'\]]{1,8}'\]", fullmatch=True),
    st.integers(0, 99999).map(lambda n: f"[{n}]"),
    st.just("[*]"),
)


@given(st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$]{0,8}", fullmatch=True), st.lists(SEGMENTS, max_size=10))
def test_everything_the_schema_allows_can_be_read(first: str, rest: list[str]) -> None:
    assert len(parse_field_path(first + "".join(rest))) == 1 + len(rest)


OBJ: dict[str, Any] = {
    "metadata": {"name": "n", "managedFields": [1], "annotations": {"a.b/c": "x", "d": "y"}},
    "spec": {
        "containers": [{"name": "a", "env": [{"name": "E", "value": "v"}]}, {"name": "b"}],
        "args": ["0", "1", "2", "3"],
        "0": "zero",
    },
}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("metadata.managedFields", {"managedFields"}),
        ("metadata.annotations['a.b/c']", {"a.b/c"}),
        ("metadata.annotations[*]", {"a.b/c", "d"}),
        ("spec.containers[*].env[*].value", {"value"}),
        ("spec.containers[0].name", set()),
    ],
)
def test_dropping(path: str, left: set[str]) -> None:
    obj = copy.deepcopy(OBJ)
    drop_paths(obj, frozenset({parse_field_path(path)}))
    assert keys_of(OBJ) - keys_of(obj) == left
    assert obj != OBJ


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def test_positions_are_those_before_anything_was_taken_out() -> None:
    obj = copy.deepcopy(OBJ)
    drop_paths(obj, frozenset({("spec", "args", "0"), ("spec", "args", "2"), ("spec", "args", "9")}))
    assert obj["spec"]["args"] == ["1", "3"]
    drop_paths(obj, frozenset({("spec", "args", "*"), ("spec", "0")}))
    assert obj["spec"]["args"] == []
    assert "0" not in obj["spec"]


def test_an_outer_and_an_inner_path_at_once() -> None:
    obj = copy.deepcopy(OBJ)
    drop_paths(
        obj, frozenset({("spec", "containers", "0"), ("spec", "containers", "*", "name"), ("spec", "args")})
    )
    assert obj["spec"] == {"containers": [{}], "0": "zero"}


@pytest.mark.parametrize(
    "path", ["a.b", "metadata.name.x", "spec.args.x", "spec[0].y", "metadata[*].z.z", "spec.args[77]"]
)
def test_paths_that_lead_nowhere_change_nothing(path: str) -> None:
    obj = copy.deepcopy(OBJ)
    drop_paths(obj, frozenset({parse_field_path(path)}))
    assert obj == OBJ


def test_finding_gives_the_holder_and_the_key() -> None:
    places = list(find(OBJ, ("spec", "containers", "*", "name")))
    assert [holder[key] for holder, key in places] == ["a", "b"]
