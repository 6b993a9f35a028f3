"""The JSON that others script against."""

from __future__ import annotations

import random
from typing import Any

import jsonschema
import msgspec
import orjson

from kubeweft.display.reading.searching import query_of, search
from kubeweft.display.writing.json_shape import found_as_json, to_text, tree_as_json
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import TraceContext
from kubeweft.model.spans import Span
from memory_reader import MemoryReader, story_of
from span_builders import change, event, key, owner, related, request, to, uid, weave

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


def optional(shape: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """The same, and these properties where they say something."""
    return {**shape, "properties": {**shape["properties"], **properties}}


def some(item: Any) -> dict[str, Any]:
    """A list, not empty."""
    return {"type": "array", "items": item, "minItems": 1}


OBJECT = {"cluster": TEXT, "group": TEXT, "resource": TEXT, "kind": TEXT, "namespace": TEXT, "name": TEXT}
TRACE_ID, SPAN_ID = {**HEX, "minLength": 32, "maxLength": 32}, {**HEX, "minLength": 16, "maxLength": 16}
KEY = {"type": "string", "pattern": "^[^/]+/[^/]*/.*$"}
ATTRIBUTES = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
RULES = some(TEXT)
ROLE = {"enum": ["Parent", "Child", "Peer"]}
WAY = shape(cluster=TEXT, object=KEY, role=ROLE, rules=RULES, **{"class": TEXT})
LABEL = shape(service=TEXT, operation=TEXT, tags={"type": "object", "additionalProperties": TEXT})
SPAN = optional(
    shape(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=HEX,
        source={"enum": ["object", "request", "change", "event", "link", "gap"]},
        cluster=TEXT,
        object=KEY,
        name=TEXT,
        start=TIME,
        end=TIME,
        attributes=ATTRIBUTES,
        spanLinks={
            "type": "array",
            "items": shape(trace_id=TRACE_ID, span_id=SPAN_ID, attributes=ATTRIBUTES),
        },
    ),
    rules=RULES,  # of a link: all that make it
    via=some(
        WAY
    ),  # of an object: the links by which it stands where it does, if they are no owner references
    label=LABEL,
)
NUMBER = {"type": "integer", "minimum": 0}
TREE = shape(
    object=shape(**OBJECT, uids={"type": "array", "items": TEXT}),
    windows=NUMBER,
    spans={"type": "array", "items": SPAN, "minItems": 1},
    linked={"type": "array", "items": shape(**OBJECT, span_id=HEX)},
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


def linked_story() -> list[Span]:
    """A Deployment with a peer of which something is told, one of which nothing is, and a child in another cluster."""
    member = DEPLOYMENT._replace(cluster="member-1")
    busy, quiet = key("nodes", "busy"), key("nodes", "quiet")
    return weave(
        request(DEPLOYMENT, "patch", "10:05:00.000"),
        event(busy, "NotReady", "10:01:00", type="Warning"),
        change(member, "Added", "10:06:00", uid=uid(7), version="1"),
        related(DEPLOYMENT, to(busy, "Peer", "RunsOn"), to(quiet, "Peer", "RunsOn"), to(quiet, "Peer", "RunsOn", "b")),
        related(DEPLOYMENT._replace(cluster="member-1"), to(DEPLOYMENT, "Parent", "Federates", "back")),
    )  # fmt: skip


def test_every_span_says_which_cluster_it_is_of() -> None:
    spans = as_json(linked_story())["spans"]
    assert {(s["cluster"], s["object"]) for s in spans} == {
        ("demo", "deployments.apps/default/demo"),
        ("member-1", "deployments.apps/default/demo"),
        ("demo", "nodes//busy"),
    }


def test_linked_objects_are_listed_and_those_shown_can_be_found() -> None:
    value = as_json(linked_story(), kinds=Kinds())
    assert [(item["kind"], item["name"], bool(item["span_id"])) for item in value["linked"]] == [
        ("Node", "busy", True),
        ("Node", "quiet", False),
    ]
    by_id = {span["span_id"]: span for span in value["spans"]}
    busy = by_id[value["linked"][0]["span_id"]]
    assert (busy["object"], busy["parent_span_id"]) == ("nodes//busy", value["spans"][0]["span_id"])
    assert value["spans"][0]["start"] <= busy["start"] <= busy["end"] <= value["spans"][0]["end"]
    assert value["spans"][-2:] == [busy, next(s for s in value["spans"] if s["source"] == "event")]


def test_an_object_says_by_which_link_it_stands_where_it_does() -> None:
    spans = as_json(linked_story())["spans"]
    ways = {(s["cluster"], s["object"]): s.get("via") for s in spans if s["source"] == "object"}
    own = {"cluster": "demo", "object": "deployments.apps/default/demo"}
    assert ways == {
        ("demo", "deployments.apps/default/demo"): None,
        ("member-1", "deployments.apps/default/demo"): [
            {**own, "role": "Child", "class": "Federates", "rules": ["back"]}
        ],
        ("demo", "nodes//busy"): [{**own, "role": "Peer", "class": "RunsOn", "rules": ["runson-rule"]}],
    }


def test_a_link_that_several_rules_make_is_one_with_all_of_them() -> None:
    links = [span for span in as_json(linked_story())["spans"] if span["source"] == "link"]
    assert [(link["attributes"]["kubeweft.link.target.name"], link["rules"]) for link in links] == [
        ("busy", ["runson-rule"]),
        ("quiet", ["b", "runson-rule"]),
    ]


def test_spans_of_other_tracing_systems_are_linked() -> None:
    it = key("configmaps", "it")
    context = TraceContext(bytes(range(16)), b"\x01" * 8, "tracing.k8s.io/traceparent")
    spans = weave(change(it, "Added", "10:00:00", uid=uid(1), version="1", contexts=(context,)))
    (created,) = [span for span in as_json(spans, it)["spans"] if span["source"] == "change"]
    assert created["spanLinks"] == [
        {
            "trace_id": "000102030405060708090a0b0c0d0e0f",
            "span_id": "01" * 8,
            "attributes": {"kubeweft.link.annotation": "tracing.k8s.io/traceparent"},
        }
    ]


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
