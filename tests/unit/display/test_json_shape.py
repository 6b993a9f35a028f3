"""The JSON that others script against."""

from __future__ import annotations

import random
from typing import Any

import jsonschema
import msgspec
import orjson

from kubeweft.display.json_shape import found_as_json, to_text, tree_as_json
from kubeweft.display.searching import query_of, search
from kubeweft.model.kinds import Kinds
from kubeweft.model.spans import Span
from memory_reader import MemoryReader, story_of
from span_builders import change, key, owner, request, uid, weave

HEX = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$"}
TEXT = {"type": "string"}


def shape(**properties: Any) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


OBJECT = {"cluster": TEXT, "group": TEXT, "resource": TEXT, "kind": TEXT, "namespace": TEXT, "name": TEXT}
SPAN = shape(
    trace_id={**HEX, "minLength": 32, "maxLength": 32},
    span_id={**HEX, "minLength": 16, "maxLength": 16},
    parent_span_id=HEX,
    source={"enum": ["object", "request", "change", "event", "link", "gap"]},
    object={"type": "string", "pattern": "^[^/]+/[^/]*/.*$"},
    name=TEXT,
    start=TIME,
    end=TIME,
    attributes={"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
)
NUMBER = {"type": "integer", "minimum": 0}
TREE = shape(
    object=shape(**OBJECT, uids={"type": "array", "items": TEXT}),
    windows=NUMBER,
    spans={"type": "array", "items": SPAN, "minItems": 1},
    truncated={"type": "array", "items": shape(what=TEXT, of=TEXT, shown=NUMBER, more=NUMBER, hint=TEXT)},
)
DEPLOYMENT = key("deployments", "demo")


def as_json(spans: list[Span], root: Any = DEPLOYMENT, **asked: Any) -> dict[str, Any]:
    """The tree as it comes out at the other end, checked against the schema."""
    value: dict[str, Any] = orjson.loads(to_text(tree_as_json(story_of(root, spans, **asked))))
    jsonschema.validate(value, TREE)
    return value


def test_the_object_is_described(rollout: list[Span]) -> None:
    value = as_json(rollout)
    assert value["object"] == {
        "cluster": "demo",
        "group": "apps",
        "resource": "deployments",
        "kind": "Deployment",
        "namespace": "default",
        "name": "demo",
        "uids": [uid(1)],
    }
    assert value["windows"] == 1
    assert value["truncated"] == []


def test_there_is_one_root_and_every_parent_stands_before_its_children(rollout: list[Span]) -> None:
    spans = as_json(rollout)["spans"]
    assert [span["parent_span_id"] for span in spans].count("") == 1
    seen = {""}
    for span in spans:
        assert span["parent_span_id"] in seen, span["name"]
        seen.add(span["span_id"])
    assert len(seen) == len(spans) + 1, "no span stands twice"


def test_every_fact_stored_is_in_it_once(rollout: list[Span]) -> None:
    def ids(source: str) -> list[str]:
        return sorted(span.span_id.hex() for span in rollout if span.source == source)

    shown = as_json(rollout)["spans"]
    for source in ("request", "change", "event"):
        assert sorted(span["span_id"] for span in shown if span["source"] == source) == ids(source)


def test_parents_are_those_displayed(rollout: list[Span]) -> None:
    spans = as_json(rollout)["spans"]
    by_id = {span["span_id"]: span for span in spans}

    def parents(name: str, of: str) -> list[tuple[str, str]]:
        above = [by_id[s["parent_span_id"]] for s in spans if s["name"] == name and s["object"].endswith(of)]
        return [(span["source"], span["name"]) for span in above]

    assert parents("created", "/demo") == [("request", "create")]
    assert parents("changed", "aaaaa") == [("request", "create binding")]
    assert parents("replicasets.apps/default/demo-7c5f", "demo-7c5f") == [
        ("object", "deployments.apps/default/demo")
    ]
    assert parents("pods/default/demo-b9d4-ccccc", "ccccc") == [
        ("object", "replicasets.apps/default/demo-b9d4")
    ]
    assert parents("deleted", "b9d4") == [("object", "replicasets.apps/default/demo-b9d4")]


def test_children_lie_inside_their_objects(rollout: list[Span]) -> None:
    spans = as_json(rollout)["spans"]
    by_id = {span["span_id"]: span for span in spans}
    for span in spans:
        above = by_id.get(span["parent_span_id"])
        if above is not None and above["source"] == "object":
            assert above["start"] <= span["start"] <= span["end"] <= above["end"], span["name"]


def test_merged_windows_are_one_object_span_with_the_id_of_the_first() -> None:
    it = key("configmaps", "it")
    spans = weave(request(it, "create", "10:29:59.000"), request(it, "patch", "10:30:00.000"))
    first = next(span for span in spans if span.source == "object")
    value = as_json(spans, it)
    objects = [span for span in value["spans"] if span["source"] == "object"]
    assert value["windows"] == 2
    assert [(o["span_id"], o["trace_id"]) for o in objects] == [(first.span_id.hex(), first.trace_id.hex())]
    assert {s["parent_span_id"] for s in value["spans"]} == {"", first.span_id.hex()}
    assert len({s["trace_id"] for s in value["spans"]}) == 2, "facts keep the trace they are stored in"


def test_all_uids_of_a_name_are_told() -> None:
    it = key("configmaps", "it")
    spans = weave(
        change(it, "Added", "10:00:00", uid=uid(1), version="1"),
        change(it, "Deleted", "10:01:00", uid=uid(1), old="1", version="2"),
        change(it, "Added", "10:02:00", uid=uid(2), version="3"),
    )
    assert as_json(spans, it)["object"]["uids"] == [uid(1), uid(2)]


def test_links_that_the_tree_does_not_tell_are_spans() -> None:
    it, other = key("configmaps", "it"), key("deployments", "owner")
    spans = weave(change(it, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(other, uid(2)),)))
    (link,) = [span for span in as_json(spans, it)["spans"] if span["source"] == "link"]
    assert link["attributes"]["kubeweft.link.role"] == "Parent"
    assert link["attributes"]["kubeweft.link.target.name"] == "owner"


def test_arrivals_shuffled_and_doubled_give_the_same_text(rollout: list[Span]) -> None:
    expected = as_json(rollout)
    for seed in range(10):
        spans = rollout * 2
        random.Random(seed).shuffle(spans)
        assert as_json(spans) == expected


def test_times_have_nanoseconds() -> None:
    it = key("configmaps", "it")
    spans = [
        span if span.source == "object" else _moved(span, span.start + 123_456_789)
        for span in weave(request(it, "patch", "10:00:00.000"))
    ]
    assert as_json(spans, it)["spans"][1]["start"] == "2026-11-21T10:00:00.123456789Z"


def test_found_objects_use_the_same_words(rollout: list[Span]) -> None:
    reader = MemoryReader(rollout)
    (found,) = search(reader, query_of(Kinds(), kind="deploy")).objects
    value = found_as_json(found)
    jsonschema.validate(value, shape(**OBJECT, first=TIME, last=TIME, windows=NUMBER))
    assert (value["kind"], value["name"], value["windows"]) == ("Deployment", "demo", 1)
    assert value["last"] == "2026-11-21T10:09:30.012000000Z"


def _moved(span: Span, start: int) -> Span:
    return msgspec.structs.replace(span, start=start, end=start)
