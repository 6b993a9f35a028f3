"""Conditions answered without the evaluator: the same answers, and which of them need no evaluator at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubeweft.links.cel import ClusterFacts, EvaluationFailed, Expression, Scene, compile_expression

CLUSTER = ClusterFacts("local", {})
FIELDS = ("metadata", "annotations", "managedFields", "a")
TEXTS = ("x", "a", "", "a\ufffdb", "a?b", "metadata")
KEYS = st.sampled_from([*FIELDS, *TEXTS, "a\0b", "a\ud800b"])

paths = st.lists(st.sampled_from(FIELDS), max_size=3).map(lambda fields: ".".join(["object", *fields]))
literals = st.sampled_from(TEXTS).map(lambda text: f"'{text}'")
atoms = st.one_of(
    st.builds("has({}.{})".format, paths, st.sampled_from(FIELDS)),
    st.builds("{} in {}".format, literals, paths),
    st.builds("{} == {}".format, paths, literals),
    st.builds("{} == {}".format, literals, paths),
    st.builds("{} != {}".format, literals, paths),
    st.builds("size({}) > 0".format, paths),
    st.builds("{}.exists(object, object == 'x')".format, paths),
    st.sampled_from(["true", "1 / 0 == 1", "b'x' in object.a", "namespaceObject == null"]),
)
conditions = st.recursive(
    atoms,
    lambda inner: (
        st.builds("({} && {})".format, inner, inner)
        | st.builds("({} || {})".format, inner, inner)
        | st.builds("!({})".format, inner)
        | st.builds("({} ? {} : {})".format, inner, inner, inner)
    ),
    max_leaves=6,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([*TEXTS, "a\0b"]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)
objects = st.dictionaries(KEYS, values, max_size=4)


def outcome(text: str, obj: dict[str, Any]) -> Any:
    """The value, or that there is none."""
    try:
        return compile_expression(text).evaluate(Scene(obj, cluster=CLUSTER))
    except EvaluationFailed as failure:
        return str(failure)


@settings(max_examples=1_000)
@example("'a\ufffdb' in object.a", {"a": {"a\0b": 1}})
@example("object.a == 'a?b'", {"a": "a\ud800b"})
@given(conditions, objects)
def test_a_shortcut_gives_what_the_evaluator_gives(text: str, obj: dict[str, Any]) -> None:
    assert outcome(text, obj) == outcome(f"[{text}][0]", obj)


class NoEvaluator(Scene):
    """Of which the evaluator gets nothing to see."""

    def prepared(self, reads: Any) -> Any:
        raise AssertionError(reads)


TRACKED = (
    "has(object.metadata.annotations) && 'argocd/id' in object.metadata.annotations"
    " || has(object.metadata.labels) && 'argocd/instance' in object.metadata.labels"
)


@pytest.mark.parametrize(
    ("text", "obj", "expected"),
    [
        (TRACKED, {"metadata": {}}, False),
        (TRACKED, {"metadata": {"annotations": {"argocd/id": "x"}}}, True),
        (TRACKED, {"metadata": {"labels": {"argocd/instance": "x"}}}, True),
        (TRACKED, {"metadata": {"labels": {"app": "x"}, "annotations": {}}}, False),
        ("object.kind == 'Pod' && object.spec.x.matches('y')", {"kind": "Node"}, False),
        ("object.spec.x.matches('y') || !has(object.status)", {}, True),
        ("'Pod' != object.kind", {"kind": "Pod"}, False),
    ],
)
def test_what_needs_no_evaluator(text: str, obj: dict[str, Any], expected: bool) -> None:
    assert compile_expression(text).evaluate(NoEvaluator(obj, cluster=CLUSTER)) is expected


@pytest.mark.parametrize(
    "text", ["has(object.metadata.managedFields)", "'x' in object.metadata.managedFields"]
)
def test_what_the_evaluator_is_not_shown_is_not_seen_here(text: str) -> None:
    obj = {"metadata": {"managedFields": {"x": 1}}}
    assert outcome(text, obj) is not True


def deep(levels: int) -> Any:
    """Lists in lists."""
    made: Any = "leaf"
    for _ in range(levels):
        made = [made]
    return made


def test_what_is_not_read_does_not_make_an_object_unfit() -> None:
    obj = {"metadata": {"name": "web"}, "status": deep(200)}

    def value(expression: Expression) -> Any:
        return expression.evaluate(Scene(obj, cluster=CLUSTER))

    assert value(compile_expression("object.metadata.name + '-x'")) == "web-x"
    with pytest.raises(EvaluationFailed, match="deeper"):
        value(compile_expression("object.status.size()"))
    with pytest.raises(EvaluationFailed, match="deeper"):
        value(compile_expression("object.size()"))
