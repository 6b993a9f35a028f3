"""Differences: exact for any JSON, small for lists whose items have names, the same whatever the order of keys."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model import alignment, changes, merge_keys
from kubeweft.model.errors import BadInput

JsonObject = dict[str, Any]

KEYS = st.one_of(
    st.sampled_from(["", "a", "b", "/", "~", "~1", "a/b", "-", "0", "é", "name", "type", "port", "items"]),
    st.text(max_size=3),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 0.0, 1.0, -1, 2**70, 1e300, 0.5, "", "1", "True"]),
    st.text(max_size=3),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=5)

NAMED = st.fixed_dictionaries(
    {"name": st.sampled_from("abcdef")},
    optional={
        "image": st.sampled_from(["x", "y"]),
        "ready": st.sampled_from([1, True, 1.0, False]),
        "args": st.lists(st.sampled_from("pqrs"), max_size=5),
        "ports": st.lists(
            st.fixed_dictionaries(
                {"containerPort": st.integers(1, 3)}, optional={"protocol": st.sampled_from(["TCP", "UDP"])}
            ),
            max_size=3,
        ),
    },
)
LISTS = st.one_of(
    st.lists(NAMED, max_size=6, unique_by=lambda item: item["name"]),
    st.lists(NAMED, max_size=5),
    st.lists(st.sampled_from("abcdef"), max_size=7),
    st.lists(st.dictionaries(st.sampled_from("uv"), st.integers(0, 2)), max_size=5),
)
KUBERNETES_LIKE = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"finalizers": LISTS, "labels": st.dictionaries(KEYS, st.text(max_size=3))}
        ),
        "spec": st.fixed_dictionaries({"containers": LISTS, "tolerations": LISTS}),
        "status": st.fixed_dictionaries({"conditions": LISTS}),
    }
)

RECORDED = Path(__file__).parents[2] / "stories" / "data" / "object_versions.jsonl"


def exact(value: Any) -> str:
    """JSON text: unlike ``==`` it tells ``true``, ``1`` and ``1.0`` apart."""
    return json.dumps(value, sort_keys=True)


def check(old: JsonObject, new: JsonObject) -> list[dict[str, Any]]:
    """The difference leads from one to the other, is empty only if they are the same, and touches neither."""
    before = copy.deepcopy((old, new))
    operations = changes.diff(old, new)
    sent = json.loads(json.dumps(operations))
    assert exact(changes.apply(sent, old)) == exact(new)
    assert bool(operations) == (exact(old) != exact(new))
    assert exact((old, new)) == exact(before)
    return operations


def recorded_pairs() -> list[tuple[JsonObject, JsonObject]]:
    versions: dict[str, JsonObject] = {}
    pairs = []
    for line in RECORDED.read_bytes().splitlines():
        obj = orjson.loads(line)
        before = versions.get(obj["metadata"]["uid"])
        if before is not None:
            pairs.append((before, obj))
        versions[obj["metadata"]["uid"]] = obj
    return pairs


@given(OBJECTS, OBJECTS)
@settings(max_examples=200)
def test_any_json_becomes_any_other(old: JsonObject, new: JsonObject) -> None:
    check(old, new)


@given(KUBERNETES_LIKE, KUBERNETES_LIKE)
@settings(max_examples=200)
def test_objects_like_those_of_kubernetes(old: JsonObject, new: JsonObject) -> None:
    check(old, new)


@given(KUBERNETES_LIKE, KUBERNETES_LIKE, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_the_order_of_keys_makes_no_difference(old: JsonObject, new: JsonObject, rng: random.Random) -> None:
    assert changes.diff(shuffled(old, rng), shuffled(new, rng)) == changes.diff(old, new)


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def test_recorded_versions() -> None:
    pairs = recorded_pairs()
    assert len({old["kind"] for old, _ in pairs}) >= 6
    steps = [len(check(old, new)) for old, new in pairs]
    assert max(steps) < 25, "a status update is a handful of operations, not a cascade"


def test_recorded_versions_compared_as_bytes() -> None:
    for old, new in recorded_pairs():
        narrow = changes.differing_fields(orjson.dumps(old), orjson.dumps(new))
        assert changes.diff(*narrow) == changes.diff(old, new)
        assert "spec" not in narrow[0] or old["spec"] != new["spec"]


@given(OBJECTS, OBJECTS)
@settings(max_examples=100)
def test_what_differs_in_bytes_is_all_that_differs(old: JsonObject, new: JsonObject) -> None:
    narrow = changes.differing_fields(json.dumps(old).encode(), json.dumps(new).encode())
    whole = json.loads(json.dumps([old, new]), parse_int=orjson.loads)
    assert exact(changes.diff(*narrow)) == exact(changes.diff(*whole))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a":}', b"1", b'{"a":1}x', b"\xff"])
def test_no_object_is_bad_input(text: bytes) -> None:
    with pytest.raises(BadInput):
        changes.differing_fields(text, b"{}")
    with pytest.raises(BadInput):
        changes.differing_fields(b"{}", text)


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), (1, 1.0), (0, False), (0.0, 0), (None, False), ("1", 1)]
)
@pytest.mark.parametrize(
    "shape", [lambda v: {"k": v}, lambda v: {"k": [v]}, lambda v: {"k": {"l": [{"name": "n", "v": v}]}}]
)
def test_values_that_only_python_holds_equal(one: Any, other: Any, shape: Any) -> None:
    for old, new in ((one, other), (other, one)):
        (operation,) = check(shape(old), shape(new))
        assert exact(operation["value"]) == exact(new)


def test_swapped_kinds_of_values_are_seen() -> None:
    check({"spec": {"a": True, "b": 1}}, {"spec": {"a": 1, "b": True}})


def test_odd_keys_are_escaped() -> None:
    operations = check({"m": {"a/b": 1, "~": 1, "": {"": 1}}}, {"m": {"a/b": 2, "~": 2, "": {"": 2}}})
    assert [operation["path"] for operation in operations] == ["/m//", "/m/a~1b", "/m/~0"]


def test_spec_comes_first_and_status_last() -> None:
    old = dict.fromkeys(("status", "metadata", "spec", "data"), 1)
    operations = check(old, dict.fromkeys(old, 2))
    assert [operation["path"] for operation in operations] == ["/data", "/spec", "/metadata", "/status"]


CONTAINERS = [{"name": name, "image": f"{name}:1", "env": [{"name": "A", "value": "1"}]} for name in "abcd"]
CONDITIONS = [
    {"type": name, "status": "True", "lastTransitionTime": "x"} for name in ("Ready", "Available", "Old")
]
ENDPOINTS = [{"addresses": [f"10.0.0.{n}"], "conditions": {"ready": True}} for n in range(9)]
RULES = [{"verbs": ["get", verb], "resources": ["pods"]} for verb in ("list", "watch", "create", "delete")]


@pytest.mark.parametrize(
    ("path", "items"),
    [
        (("spec", "containers"), CONTAINERS),
        (("status", "conditions"), CONDITIONS),
        (("spec", "ports"), [{"port": n, "protocol": p} for n in (80, 443) for p in ("TCP", "UDP")]),
        (("spec", "template", "volumeMounts"), [{"name": "v", "mountPath": f"/{n}"} for n in range(5)]),
        (("metadata", "ownerReferences"), [{"name": "same", "kind": "X", "uid": str(n)} for n in range(4)]),
        (("status", "addresses"), [{"type": "InternalIP", "address": f"10.0.0.{n}"} for n in range(4)]),
        (("spec", "tolerations"), [{"key": "k", "operator": "Exists", "effect": e} for e in ("A", "B", "C")]),
        (("endpoints",), ENDPOINTS),
        (("rules",), RULES),
        (("metadata", "finalizers"), ["a/x", "b/x", "c/x"]),
        (("spec", "args"), ["-v", "-w", "-x", "-y"]),
        (("spec", "mixed"), [1, True, "1", {"name": "a"}, [1], None, 1.0]),
    ],
)
def test_lists_do_not_cascade(path: tuple[str, ...], items: list[Any]) -> None:
    """One item put in, taken out or moved is one operation, wherever in the list it happens."""
    extra = copy.deepcopy(items[0])
    if isinstance(extra, dict):
        extra |= {key: f"new-{value}" for key, value in extra.items() if isinstance(value, str)}
        extra |= {key: 9 * value for key, value in extra.items() if type(value) is int}
        extra |= {"addresses": ["fe80::1"]} if "addresses" in extra else {}
        extra |= {"verbs": ["proxy"]} if "verbs" in extra else {}
    elif isinstance(extra, str):
        extra = "new"
    for position in range(len(items) + 1):
        longer = [*items[:position], extra, *items[position:]]
        (added,) = check(nested(path, items), nested(path, longer))
        assert added["op"] == "add"
        (removed,) = check(nested(path, longer), nested(path, items))
        assert removed["op"] == "remove"
    (moved,) = check(nested(path, items), nested(path, [*items[1:], items[0]]))
    assert moved["op"] == "move"


@pytest.mark.parametrize("extra", ["-v", "-x", "-new"])
def test_repeated_scalars_do_not_cascade(extra: str) -> None:
    items = ["-v", "-v", "-x", "-v", "-y"]
    for position in range(len(items) + 1):
        longer = [*items[:position], extra, *items[position:]]
        assert [step["op"] for step in check({"args": items}, {"args": longer})] == ["add"]
        assert [step["op"] for step in check({"args": longer}, {"args": items})] == ["remove"]


def nested(path: tuple[str, ...], value: Any) -> JsonObject:
    result = copy.deepcopy(value)
    for key in reversed(path):
        result = {key: result}
    assert isinstance(result, dict)
    return result


def test_an_item_that_also_changed_is_followed_to_its_new_place() -> None:
    new: list[Any] = copy.deepcopy([{"name": "z", "image": "z:1"}, *CONTAINERS])
    new[3]["image"] = "c:2"
    del new[2]
    operations = check({"spec": {"containers": CONTAINERS}}, {"spec": {"containers": new}})
    assert operations == [
        {"op": "remove", "path": "/spec/containers/1"},
        {"op": "add", "path": "/spec/containers/0", "value": {"name": "z", "image": "z:1"}},
        {"op": "replace", "path": "/spec/containers/2/image", "value": "c:2"},
    ]


def test_items_without_names_change_in_place() -> None:
    new: list[Any] = copy.deepcopy(RULES)
    new[2]["verbs"].append("patch")
    assert check({"rules": RULES}, {"rules": new[1:]}) == [
        {"op": "remove", "path": "/rules/0"},
        {"op": "add", "path": "/rules/1/verbs/2", "value": "patch"},
    ]


def test_a_scalar_changed_in_place_is_replaced() -> None:
    assert check({"args": ["a", "b", "c"]}, {"args": ["a", "x", "c"]}) == [
        {"op": "replace", "path": "/args/1", "value": "x"}
    ]


def test_a_long_list_turned_round_is_told_anew() -> None:
    items = [{"name": str(n)} for n in range(1000)]
    (operation,) = check({"items": items}, {"items": items[::-1]})
    assert operation["op"] == "replace"


def test_a_long_list_takes_one_operation_for_one_item() -> None:
    items: list[Any] = [{"name": str(n), "v": n} for n in range(5000)]
    assert len(check({"items": items}, {"items": [*items[:2500], *items[2501:]]})) == 1


@given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30), unique=True))
@settings(max_examples=300)
def test_alignment_moves_no_more_than_it_must(old: list[int], new: list[int]) -> None:
    found = alignment.align(merge_keys.Identities(list(old), list(new)))
    assert found is not None
    common = [item for item in new if item in old]
    most = longest([old.index(item) for item in common])
    assert len(found.moved) <= len(common) - most
    assert len(found.removed) == len(old) - len(common)
    assert len(found.added) == len(new) - len(common)


def longest(numbers: list[int]) -> int:
    """The length of a longest increasing subsequence, by the slow way."""
    best: list[int] = []
    for index, number in enumerate(numbers):
        best.append(1 + max((best[i] for i in range(index) if numbers[i] < number), default=0))
    return max(best, default=0)


def test_what_is_nested_too_deeply_is_replaced() -> None:
    old, new = deep(20_000, 1), deep(20_000, 2)
    (operation,) = changes.diff(old, new)
    assert (operation["op"], operation["path"], operation["value"]) == ("replace", "", new)
    assert changes.describe(old, new, [operation]) == ("the whole object {1 field} → {1 field}",)


def test_nesting_past_the_encoder_is_still_exact() -> None:
    (operation,) = check(deep(150, True), deep(150, 1))
    assert operation["path"] == "/d" * 151
    operations = changes.diff(deep(400, True), deep(400, 1))
    assert len(operations) == 1


def deep(levels: int, value: Any) -> JsonObject:
    for _ in range(levels + 1):
        value = {"d": value}
    assert isinstance(value, dict)
    return value


def test_numbers_and_texts_that_the_encoder_cannot_write() -> None:
    check({"a": {"big": 2**80, "v": 1}, "b": [2**80]}, {"a": {"big": 2**80, "v": True}, "b": [1, 2**80]})
    half = {"a": {"text": "\ud800", "v": 1}, "l": ["\ud800", {"x": "\ud800"}]}
    other = {"a": {"text": "\ud800", "v": 1.0}, "l": [{"x": "\ud800"}, "\ud800"]}
    assert exact(changes.apply(changes.diff(half, other), half)) == exact(other)
