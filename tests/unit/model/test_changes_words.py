"""Changes in words: what a person reads under the request that caused them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model.changes import describe, diff
from kubeweft.model.words import MOST_LINES

JsonObject = dict[str, Any]


def words(old: JsonObject, new: JsonObject) -> tuple[str, ...]:
    return describe(old, new, diff(old, new))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 4}}, "spec.replicas 2 → 4"),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1.25"}]}}}},
            {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1.26"}]}}}},
            "spec.template.spec.containers[web].image nginx:1.25 → nginx:1.26",
        ),
        (
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True"},
                        {"type": "Available", "status": "False"},
                    ]
                }
            },
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True"},
                        {"type": "Available", "status": "True"},
                    ]
                }
            },
            "status.conditions[Available].status False → True",
        ),
        (
            {"metadata": {"labels": {"a": "b"}}},
            {"metadata": {"labels": {"a": "b", "app": "demo"}}},
            "+ metadata.labels.app = demo",
        ),
        (
            {"metadata": {"labels": {"app": "demo"}}},
            {"metadata": {"labels": {}}},
            "- metadata.labels.app (was demo)",
        ),
        (
            {"metadata": {"finalizers": ["x/y", "z"]}},
            {"metadata": {"finalizers": ["z"]}},
            "- metadata.finalizers[x/y]",
        ),
        (
            {"metadata": {"finalizers": ["z"]}},
            {"metadata": {"finalizers": ["x/y", "z"]}},
            "+ metadata.finalizers[x/y]",
        ),
        ({"spec": {"args": ["a", "b"]}}, {"spec": {"args": ["a", "c"]}}, "spec.args[1] b → c"),
        (
            {"metadata": {"annotations": {"a.b/c": "1"}}},
            {"metadata": {"annotations": {"a.b/c": "2"}}},
            "metadata.annotations['a.b/c'] 1 → 2",
        ),
        (
            {"spec": {"containers": [{"name": "web"}]}},
            {"spec": {"containers": [{"name": "web"}, {"name": "log", "image": "l:1"}]}},
            '+ spec.containers[log] = {"name":"log","image":"l:1"}',
        ),
        (
            {"spec": {"containers": [{"name": "web"}, {"name": "log", "image": "l:1"}]}},
            {"spec": {"containers": [{"name": "web"}]}},
            '- spec.containers[log] (was {"name":"log","image":"l:1"})',
        ),
        (
            {
                "spec": {
                    "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]
                }
            },
            {
                "spec": {
                    "tolerations": [{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]
                }
            },
            "spec.tolerations[b/Exists] moved 1 → 0",
        ),
        ({"rules": [{"verbs": ["get"]}]}, {"rules": [{"verbs": ["get", "list"]}]}, "+ rules[0].verbs[list]"),
        ({"v": True}, {"v": 1}, "v true → 1"),
        ({"v": "true"}, {"v": True}, 'v "true" → true'),
        ({"v": "x"}, {"v": None}, "v x → null"),
        ({"v": 1}, {"v": {"a": [1, "b"]}}, 'v 1 → {"a":[1,"b"]}'),
        ({"v": 0.5}, {"v": ""}, 'v 0.5 → ""'),
        ({"status": {}}, {"status": {"list": list(range(100))}}, "+ status.list = [100 items]"),
        ({}, {"status": {f"field{n}": "x" * 20 for n in range(3)}}, "+ status = {3 fields}"),
        (
            {"status": {}},
            {
                "status": {
                    "conditions": [
                        {"type": t, "status": "True", "reason": "x" * 30} for t in ("Ready", "Scheduled")
                    ]
                }
            },
            "+ status.conditions = [Ready=True, Scheduled=True]",
        ),
        (
            {"spec": {}},
            {"spec": {"containers": [{"name": n, "image": "x" * 40} for n in ("web", "log")]}},
            "+ spec.containers = [web, log]",
        ),
    ],
)
def test_one_line(old: JsonObject, new: JsonObject, line: str) -> None:
    assert words(old, new) == (line,)


def test_an_item_is_named_where_it_was_and_where_it_is() -> None:
    old = {"spec": {"c": [{"name": n, "image": "1"} for n in "abcd"]}}
    new = {
        "spec": {"c": [{"name": "x", "image": "1"}, {"name": "b", "image": "1"}, {"name": "d", "image": "2"}]}
    }
    assert words(old, new) == (
        '- spec.c[c] (was {"name":"c","image":"1"})',
        '- spec.c[a] (was {"name":"a","image":"1"})',
        '+ spec.c[x] = {"name":"x","image":"1"}',
        "spec.c[d].image 1 → 2",
    )


def test_values_of_moved_items_without_names_are_the_right_ones() -> None:
    old = {"rules": [{"v": [1]}, {"v": [2]}, {"v": [3]}, {"v": [4], "w": "old"}]}
    new = {"rules": [{"v": [2]}, {"v": [3]}, {"v": [4], "w": "new"}]}
    assert words(old, new) == ('- rules[0] (was {"v":[1]})', "rules[2].w old → new")


def test_what_changes_with_every_write_comes_last() -> None:
    old = {
        "metadata": {"generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1},
    }
    new = {
        "metadata": {"generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "replicas": 2},
    }
    assert words(old, new) == (
        "spec.replicas 1 → 2",
        "status.replicas 1 → 2",
        "metadata.generation 1 → 2",
        "status.observedGeneration 1 → 2",
    )


def test_at_most_24_lines() -> None:
    old, new = {f"k{n:02}": 1 for n in range(37)}, {f"k{n:02}": 2 for n in range(37)}
    lines = words(old, new)
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "… 13 more"
    exactly = {key: new[key] for key in list(new)[:MOST_LINES]}
    assert len(words(dict.fromkeys(exactly, 1), exactly)) == MOST_LINES


def test_noise_counts_among_those_left_out() -> None:
    old = {"metadata": {"generation": 1}} | {f"k{n:02}": 1 for n in range(24)}
    new = {"metadata": {"generation": 2}} | {f"k{n:02}": 2 for n in range(24)}
    assert words(old, new)[-1] == "… 1 more"


def test_long_texts_are_shown_where_they_differ() -> None:
    (line,) = words({"t": "x" * 5000 + "a"}, {"t": "x" * 5000 + "b"})
    assert line.startswith("t …x")
    assert line.endswith("xb")
    assert "xa → …x" in line
    (line,) = words({"t": "a" * 500}, {"t": "b" * 500})
    assert line == f"t {'a' * 79}… → {'b' * 79}…"


def test_several_lines_become_one() -> None:
    (line,) = words({"data": {}}, {"data": {"app.conf": "a: 1\nb: 2\n"}})
    assert line == "+ data['app.conf'] = \"a: 1\\nb: 2\\n\""


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\rb", "\u202eabc", "x\x00", "\x9b1m", "\ud800", "\u2028"])
def test_nothing_plays_tricks_on_a_terminal(hostile: str) -> None:
    shapes: list[JsonObject] = [
        {"v": hostile},
        {hostile: 1},
        {"items": [{"name": hostile}]},
        {"finalizers": [hostile]},
        {"v": {"deep": [hostile]}},
        {"v": {"x" * 80: hostile, "list": [{"name": hostile, "v": "x" * 80}]}},
    ]
    for shape in shapes:
        for lines in (words({}, shape), words(shape, {}), words(dict.fromkeys(shape), shape)):
            assert lines
            assert all(line.isprintable() for line in lines)


TEXTS = st.text(max_size=5)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "metadata", "name", "x/y", "\x00"]), JSON)


@given(OBJECTS, OBJECTS)
@settings(max_examples=150)
def test_any_change_has_words(old: JsonObject, new: JsonObject) -> None:
    operations = diff(old, new)
    lines = describe(old, new, operations)
    assert lines == describe(old, new, operations)
    assert bool(lines) == bool(operations)
    assert len(lines) == min(len(operations), MOST_LINES + 1)
    assert all(line.isprintable() for line in lines)


def test_huge_values_make_short_lines() -> None:
    huge = {"t": "x" * 1_000_000, "k" * 100_000: 1, "l": [{"name": "n" * 100_000, "v": 1}]}
    for line in (*words({}, huge), *words({"t": "y", "l": [{"name": "m"}]}, huge)):
        assert len(line) < 400
