"""Who made a step between two versions: who wrote last, if that owns any of it."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model.observations import FieldManager
from kubeweft.sources.objects.acting import Entry
from kubeweft.sources.objects.comparing import WHOLE, compare_bodies

AT = 1_795_248_804_000_000_000
BEFORE = {"metadata": {"name": "demo"}, "spec": {"replicas": 2}, "status": {}}


def entry(manager: str, fields: Any = None, *, subresource: str = "", time: int = AT) -> Entry:
    return Entry(manager, "Update", subresource, time, raw(fields))


def raw(fields: Any) -> msgspec.Raw:
    return msgspec.Raw() if fields is None else msgspec.Raw(orjson.dumps(fields))


PERSON = entry("kubectl")
CONTROLLER = entry("kube-controller-manager", subresource="status")


def actors(before: dict[str, Any], after: dict[str, Any], *entries: Entry, limit: int = 1000) -> list[str]:
    step = compare_bodies(orjson.dumps(before), orjson.dumps(after), max_bytes=limit)
    return [manager.manager for manager in step.actors(entries)]


@pytest.mark.parametrize(
    ("changed", "by"),
    [
        ({"spec": {"replicas": 4}}, PERSON),
        ({"status": {"replicas": 2}}, CONTROLLER),
        (
            {"metadata": {"name": "demo", "annotations": {"revision": "1"}}, "status": {"replicas": 2}},
            CONTROLLER,
        ),
        ({"metadata": {"name": "demo", "generation": 2}, "spec": {"replicas": 4}}, PERSON),
    ],
)
def test_nobody_but_a_writer_of_the_status_can_have_changed_it(changed: dict[str, object], by: Entry) -> None:
    step = compare_bodies(orjson.dumps(BEFORE), orjson.dumps(BEFORE | changed), max_bytes=1000)
    manager = FieldManager(by.manager, by.operation, by.subresource, by.time)
    assert step.actors((PERSON, CONTROLLER)) == (manager,)


POD_OF_CONTROLLER = {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {}}}
STATUS_OF_KWOK: dict[str, Any] = {
    "f:status": {
        "f:phase": {},
        "f:conditions": {".": {}, 'k:{"type":"Ready"}': {"f:status": {}, "f:type": {}}},
    }
}


def test_a_binding_is_nobodys_though_somebody_wrote_before() -> None:
    pod = {"metadata": {"name": "p", "labels": {"app": "a"}}, "spec": {"containers": [{"name": "c"}]}}
    bound = pod | {
        "spec": {"containers": [{"name": "c"}], "nodeName": "node-1"},
        "status": {"conditions": [{"type": "PodScheduled", "status": "True"}]},
    }
    assert actors(pod, bound, entry("kube-controller-manager", POD_OF_CONTROLLER)) == []


def test_an_evictions_condition_is_nobodys_though_others_are_somebodys() -> None:
    ready = {"type": "Ready", "status": "True"}
    evicted = [{"type": "DisruptionTarget", "status": "True"}, ready]
    kwok = entry("kwok", STATUS_OF_KWOK, subresource="status")
    assert actors({"status": {"conditions": [ready]}}, {"status": {"conditions": evicted}}, kwok) == []
    failed = [{"type": "DisruptionTarget", "status": "True"}, ready | {"status": "False"}]
    assert actors({"status": {"conditions": evicted}}, {"status": {"conditions": failed}}, kwok) == ["kwok"]


def test_who_owns_the_step_is_named_though_another_wrote_in_the_same_second() -> None:
    one, other = entry("one", {"f:spec": {"f:replicas": {}}}), entry("other", {"f:spec": {"f:paused": {}}})
    assert actors({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, one, other) == ["one"]
    assert actors({"spec": {"paused": True}}, {"spec": {"paused": False}}, one, other) == ["other"]
    older = one._replace(time=AT - 1)
    assert actors({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, older, other) == []


NOT_OWNED: dict[str, Any] = {"f:data": {"f:else": {}}}


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        (
            {"f:metadata": {"f:annotations": {"f:a.b/c~d": {}}}},
            {},
            {"metadata": {"annotations": {"a.b/c~d": "1"}}},
        ),
        ({"f:data": {'f:say "hi"\\ö': {}}}, {"data": {"x": "1"}}, {"data": {"x": "1", 'say "hi"\\ö': "2"}}),
        ({"f:data": {"f:0": {}}}, {"data": {"0": "a"}}, {"data": {"0": "b"}}),
        ({"f:spec": {"f:selector": {}}}, {"spec": {"selector": {"a": 1}}}, {"spec": {"selector": {"a": 2}}}),
        ({"f:spec": {"f:args": {}}}, {"spec": {"args": ["a", "b"]}}, {"spec": {"args": ["a", "c"]}}),
        (
            {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:targetPort": {}}}}},
            {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 1}]}},
            {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 2}]}},
        ),
        (
            {"f:metadata": {"f:finalizers": {".": {}, 'v:"b/c"': {}}}},
            {"metadata": {"finalizers": ["a"]}},
            {"metadata": {"finalizers": ["a", "b/c"]}},
        ),
    ],
)
def test_owned_paths_are_found_whatever_their_names(fields: Any, before: Any, after: Any) -> None:
    assert actors(before, after, entry("owner", fields)) == ["owner"]
    assert actors(before, after, entry("owner", NOT_OWNED | fields), limit=1) == ["owner"], (
        "a cut patch tells too"
    )
    assert actors(before, after, entry("other", {"f:other": {}})) == []


@pytest.mark.parametrize(
    "fields", [None, {}, [], "text", 1, {"f:spec": None}, {"f:spec": {"f:items": {"k:1": {}}}}]
)
def test_an_entry_that_cannot_tell_is_not_held_against_its_manager(fields: Any) -> None:
    before, after = {"spec": {"items": [{"name": "a", "x": 1}]}}, {"spec": {"items": [{"name": "a", "x": 2}]}}
    assert actors(before, after, entry("who", fields)) == ["who"]


def test_in_a_long_list_whoever_owns_any_of_it_can_have_changed_it() -> None:
    keys: dict[str, Any] = {f'k:{{"name":"{number}"}}': {} for number in range(100)}
    before, after = {"spec": {"items": [{"name": "a", "x": 1}]}}, {"spec": {"items": [{"name": "a", "x": 2}]}}
    assert actors(before, after, entry("who", {"f:spec": {"f:items": keys}})) == ["who"]


@pytest.mark.parametrize("emptied", [{}, {"paused": None}, {"paused": []}])
def test_what_is_gone_is_owned_by_nobody_so_the_newest_is_named(emptied: dict[str, Any]) -> None:
    assert actors({"spec": {"paused": ["a"]}}, {"spec": emptied}, entry("who", {"f:data": {}})) == ["who"]


def test_without_a_version_to_compare_with_the_newest_is_named() -> None:
    newest = entry("who", {"f:data": {}})
    assert [manager.manager for manager in WHOLE.actors((newest,))] == ["who"]
    step = compare_bodies(b'{"metadata":{}}', b'{"metadata":{"labels":{"a":"b"}}}', max_bytes=100)
    assert step.actors((newest,)) == ()
    assert [manager.manager for manager in step._replace(fields=None).actors((newest,))] == ["who"]


NAMES = st.text(min_size=1, max_size=4)
TREES = st.dictionaries(
    NAMES, st.recursive(st.integers(0, 9), lambda v: st.dictionaries(NAMES, v, min_size=1), max_leaves=8)
)


def owned(tree: Any) -> dict[str, Any]:
    return {f"f:{name}": owned(value) for name, value in tree.items()} if isinstance(tree, dict) else {}


@given(before=TREES, after=TREES)
def test_whoever_owns_all_of_an_object_is_never_ruled_out(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    step = compare_bodies(orjson.dumps(before), orjson.dumps(after), max_bytes=10_000)
    assert len(step.actors((entry("who", owned(after)),))) == 1
