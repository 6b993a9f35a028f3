"""Kubernetes Events in both of their forms: one observation, whoever saw them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_events import MISSING, Json, event_written, kubernetes_event, parse, parse_seen
from kubeweft.model.errors import BadInput
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Request
from kubeweft.model.plan import FieldRedaction, Plan, Redaction, Scope
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.sources.events.parsing import EventReader, Unresolved, parse_event

CREATED = "2026-11-21T08:14:09Z"
FIRST = "2026-11-21T08:14:08Z"
SECOND = 1_000_000_000


def reader(redaction: Redaction | None = None) -> EventReader:
    """A reader with the real rules."""
    return EventReader("c1", kinds=Kinds(), redactor=Redactor(redaction or Redaction(), b"k" * 32))


def read(**changes: Any) -> EventSeen:
    """What an Event with some changes gives."""
    seen = reader().read_json(orjson.dumps(kubernetes_event(**changes)))
    assert isinstance(seen, EventSeen)
    return seen


def newer_form(event: Json) -> Json:
    """The same Event as events.k8s.io/v1 shows it."""
    names = {
        "involvedObject": "regarding",
        "message": "note",
        "source": "deprecatedSource",
        "firstTimestamp": "deprecatedFirstTimestamp",
        "lastTimestamp": "deprecatedLastTimestamp",
        "count": "deprecatedCount",
        "reportingComponent": "reportingController",
    }
    return {names.get(name, name): value for name, value in event.items()} | {
        "apiVersion": "events.k8s.io/v1"
    }


def scheduler_event(**changes: Any) -> Json:
    """An Event that a component with the newer library wrote, as core/v1 shows it."""
    fields: Json = {
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "count": MISSING,
        "eventTime": "2026-11-21T08:14:08.250000Z",
        "reportingComponent": "default-scheduler",
        "action": "Binding",
    }
    return kubernetes_event(**(fields | changes))


def test_an_event_is_told_about_the_object_it_involves() -> None:
    assert read() == EventSeen(
        key=ObjectKey("c1", "", "pods", "default", "demo-1"),
        kind="Pod",
        api_version="v1",
        uid="93b208d-988b",
        field_path="spec.containers{nginx}",
        event_uid="e20415f5-0efd-49b3-9764-ea9611b86216",
        event_name="demo-1.18ea",
        type="Normal",
        reason="Pulled",
        action="",
        message="Container image already present",
        reporter="kubelet, node-1",
        count=1,
        series=False,
        first=parse_timestamp(FIRST),
        last=parse_timestamp(FIRST),
    )


@pytest.mark.parametrize("event", [kubernetes_event(), kubernetes_event(count=7), scheduler_event()])
def test_both_forms_and_both_sources_tell_the_same(event: Json) -> None:
    without_managed_fields = event
    with_managed_fields = {
        **event,
        "metadata": {
            **event["metadata"],
            "managedFields": [{"manager": "x", "time": "2026-11-21T09:00:00Z"}],
        },
    }
    expected = reader().read(event)
    assert reader().read_json(orjson.dumps(with_managed_fields)) == expected
    assert reader().read(newer_form(with_managed_fields)) == expected
    assert parse_seen(event_written(without_managed_fields)) == expected
    assert parse_seen(event_written(newer_form(event))) == expected
    assert parse_event("c1", event, Kinds(), Redactor(Redaction(), b"k" * 32)) == expected


@pytest.mark.parametrize("with_bodies", [False, True])
@pytest.mark.parametrize("group", ["", "events.k8s.io"])
@pytest.mark.parametrize("verb", ["create", "update", "patch"])
def test_written_events_are_seen_in_the_audit_log(verb: str, group: str, with_bodies: bool) -> None:
    event = event_written(verb=verb)
    event["objectRef"]["apiGroup"] = group
    (seen,) = parse(event, with_bodies=with_bodies).observations
    assert isinstance(seen, EventSeen)


@pytest.mark.parametrize(
    "changes",
    [
        {"responseStatus": {"code": 403}},
        {"verb": "delete"},
        {"requestURI": "/api/v1/namespaces/default/events?dryRun=All"},
        {"responseObject": MISSING},
        {"responseObject": {"kind": "Status", "apiVersion": "v1"}},
    ],
)
def test_what_did_not_write_an_event_stays_a_request(changes: Json) -> None:
    (request,) = parse(event_written(**changes)).observations
    assert isinstance(request, Request)
    assert request.key == ObjectKey("c1", "", "events", "default", "demo-1.18ea")


def test_the_series_tells_count_and_last_time() -> None:
    series = {"count": 9, "lastObservedTime": "2026-11-21T09:40:00.000000Z"}
    seen = reader().read(scheduler_event(series=series))
    assert isinstance(seen, EventSeen)
    assert (seen.count, seen.series) == (9, True)
    assert seen.first == parse_timestamp("2026-11-21T08:14:08.250000Z")
    assert seen.last == parse_timestamp("2026-11-21T09:40:00Z")
    assert seen.skew_seconds == 0


def test_every_state_of_a_repeated_event_is_one_of_its_own() -> None:
    states = [
        event_written(
            kubernetes_event(count=count, lastTimestamp=f"2026-11-21T08:{14 + count}:00Z"), verb="patch"
        )
        for count in range(2, 6)
    ]
    found = parse(event_written(), *states).observations
    assert [seen.count for seen in found if isinstance(seen, EventSeen)] == [1, 2, 3, 4, 5]
    assert len({(seen.event_uid, seen.count) for seen in found if isinstance(seen, EventSeen)}) == 5


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 1), (-4, 1), (None, 1), (MISSING, 1), (2**31 - 1, 2**31 - 1)]
)
def test_a_count_is_at_least_one(count: object, expected: int) -> None:
    assert read(count=count).count == expected


@pytest.mark.parametrize(
    ("fields", "first", "last"),
    [
        ({}, FIRST, FIRST),
        ({"eventTime": "2026-11-21T08:00:00Z"}, FIRST, FIRST),
        ({"firstTimestamp": None, "lastTimestamp": None, "eventTime": "2026-11-21T08:14:07.5Z"}, "2026-11-21T08:14:07.5Z", "2026-11-21T08:14:07.5Z"),
        ({"firstTimestamp": None, "lastTimestamp": None}, CREATED, CREATED),
        ({"firstTimestamp": MISSING, "lastTimestamp": MISSING, "eventTime": MISSING}, CREATED, CREATED),
        ({"firstTimestamp": None}, FIRST, FIRST),
        ({"firstTimestamp": None, "count": 5, "lastTimestamp": "2026-11-21T10:00:00Z"}, CREATED, "2026-11-21T10:00:00Z"),
        ({"lastTimestamp": "0001-01-01T00:00:00Z"}, FIRST, CREATED),
        ({"lastTimestamp": "9999-12-31T23:59:59Z"}, FIRST, CREATED),
        ({"lastTimestamp": "soon"}, FIRST, CREATED),
        ({"lastTimestamp": "2026-11-21T08:14:00Z"}, "2026-11-21T08:14:00Z", "2026-11-21T08:14:00Z"),
    ],
)  # fmt: skip
def test_times_fall_back_in_order(fields: Json, first: str, last: str) -> None:
    seen = read(**fields)
    assert (seen.first, seen.last) == (parse_timestamp(first), parse_timestamp(last))


def test_a_clock_an_hour_ahead_is_set_back_to_the_api_servers() -> None:
    seen = read(firstTimestamp="2026-11-21T09:14:09Z", lastTimestamp="2026-11-21T09:14:09Z")
    assert (seen.first, seen.last) == (parse_timestamp(CREATED), parse_timestamp(CREATED))
    assert seen.skew_seconds == 3600


def test_what_a_clock_was_ahead_is_taken_off_repeats_too() -> None:
    seen = read(firstTimestamp="2026-11-21T09:14:09Z", lastTimestamp="2026-11-21T09:44:09Z", count=30)
    assert seen.last == parse_timestamp("2026-11-21T08:44:09Z")
    assert seen.skew_seconds == 3600


def test_an_event_repeated_for_hours_is_no_wrong_clock() -> None:
    seen = read(lastTimestamp="2026-11-21T13:00:00Z", count=500)
    assert (seen.last, seen.skew_seconds) == (parse_timestamp("2026-11-21T13:00:00Z"), 0)


def test_a_clock_repaired_since_never_leads_before_the_creation() -> None:
    seen = read(firstTimestamp="2026-11-21T09:14:09Z", lastTimestamp="2026-11-21T08:20:00Z", count=2)
    assert seen.first == seen.last == parse_timestamp(CREATED)


@pytest.mark.parametrize(("seconds", "skew"), [(60, 0), (61, 61)])
def test_up_to_a_minute_ahead_is_let_pass(seconds: int, skew: int) -> None:
    ahead = f"2026-11-21T08:15:{9 + seconds - 60:02d}Z"
    assert read(firstTimestamp=ahead, lastTimestamp=ahead).skew_seconds == skew


def test_an_event_about_a_cluster_scoped_object_is_not_in_a_namespace() -> None:
    seen = read(involvedObject={"kind": "Node", "name": "node-1", "uid": "node-1", "apiVersion": "v1"})
    assert seen.key == ObjectKey("c1", "", "nodes", "", "node-1")
    assert seen.uid == ""  # kubelet gives the name for it


def test_a_namespaced_object_without_a_namespace_is_in_that_of_the_event() -> None:
    seen = read(involvedObject={"kind": "Pod", "name": "p", "apiVersion": "v1"})
    assert seen.key == ObjectKey("c1", "", "pods", "default", "p")


def test_a_kind_without_a_version_will_do_if_there_is_only_one() -> None:
    seen = read(involvedObject={"kind": "Deployment", "name": "demo", "namespace": "default"})
    assert seen.key == ObjectKey("c1", "apps", "deployments", "default", "demo")


def test_two_types_of_one_kind_are_not_guessed_between() -> None:
    kinds = Kinds()
    kinds.learn(ResourceType("other.example.com", "v1", "deployments", "Deployment", True))
    made = EventReader("c1", kinds=kinds, redactor=Redactor(Redaction(), b"k" * 32))
    event = kubernetes_event(involvedObject={"kind": "Deployment", "name": "demo", "namespace": "default"})
    assert isinstance(made.read(event), Unresolved)


def test_an_unknown_kind_is_kept_for_later() -> None:
    event = kubernetes_event(involvedObject={"kind": "Widget", "name": "w", "apiVersion": "example.com/v1"})
    unresolved = reader().read(event)
    assert isinstance(unresolved, Unresolved)
    assert (unresolved.group, unresolved.kind) == ("example.com", "Widget")
    parsed = parse(event_written(event))
    assert (list(parsed.observations), len(parsed.unresolved)) == ([], 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": MISSING},
        {"metadata": {"name": "x"}},
        {"metadata": "x"},
        {"involvedObject": MISSING},
        {"involvedObject": {}},
        {"involvedObject": {"kind": "Pod"}},
        {"involvedObject": {"name": "p"}},
        {"involvedObject": {"kind": "Pod", "name": "a/b"}},
        {"involvedObject": {"kind": "Pod", "name": "a\x00"}},
        {"involvedObject": {"kind": "Pod", "name": "x" * 300}},
        {"involvedObject": []},
        {"count": "many"},
        {"count": 2**40},
        {"series": 5},
        {"source": "kubelet"},
        {
            "metadata": {"uid": "u", "creationTimestamp": None},
            "firstTimestamp": None,
            "lastTimestamp": None,
        },
    ],
)
def test_what_is_no_event_is_refused(changes: Json) -> None:
    event = kubernetes_event(**changes)
    with pytest.raises(BadInput):
        reader().read(event)
    with pytest.raises(BadInput):
        reader().read_json(orjson.dumps(event))
    (request,) = parse(event_written(event)).observations
    assert isinstance(request, Request)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"[" * 100_000, b'{"a":' * 100_000, b'{"message":"\\ud800"}', b"\xff"]
)
def test_broken_json_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput):
        reader().read_json(raw)


def test_secrets_in_messages_are_hidden() -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
    seen = read(message=f"pull failed with token {token}")
    assert token not in seen.message
    assert seen.message.startswith("pull failed")


@pytest.mark.parametrize("path", [("message",), ("note",)])
@pytest.mark.parametrize("newer", [False, True])
def test_a_policy_may_hide_a_field_in_either_spelling(path: tuple[str, ...], newer: bool) -> None:
    made = reader(Redaction(fields=(FieldRedaction(path=path, digest=False),)))
    event = kubernetes_event()
    seen = made.read_json(orjson.dumps(newer_form(event) if newer else event))
    assert isinstance(seen, EventSeen)
    assert seen.message == "***"
    assert (seen.reason, seen.reporter, seen.count) == ("Pulled", "kubelet, node-1", 1)


def test_a_policy_may_hide_a_field_inside() -> None:
    made = reader(Redaction(fields=(FieldRedaction(path=("source", "host"), digest=False),)))
    seen = made.read(newer_form(kubernetes_event()))
    assert isinstance(seen, EventSeen)
    assert seen.reporter == "kubelet, ***"


def test_events_about_unwanted_objects_are_omitted() -> None:
    from audit_events import audit_parser, event_list

    plan = Plan(scopes=(Scope(policy="p", excluded_namespaces=frozenset({"default"})),))
    parsed = audit_parser(plan=plan).parse(event_list(event_written()))
    assert (parsed.omitted, parsed.observations) == (1, [])


texts = st.none() | st.text(max_size=10)
times = st.none() | st.sampled_from(
    [CREATED, FIRST, "x", "2026-11-21T09:00:00.000001Z", "0001-01-01T00:00:00Z"]
)


@settings(max_examples=200)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "type": texts,
            "reason": texts,
            "action": texts,
            "message": texts,
            "reportingComponent": texts,
            "source": st.none() | st.fixed_dictionaries({}, optional={"component": texts, "host": texts}),
            "count": st.none() | st.integers(-5, 9),
            "series": st.none()
            | st.fixed_dictionaries({}, optional={"count": st.integers(0, 9), "lastObservedTime": times}),
            "eventTime": times,
            "firstTimestamp": times,
            "lastTimestamp": times,
        },
    )
)
def test_the_watch_and_the_audit_log_tell_the_same_whatever_is_told(fields: Json) -> None:
    event = kubernetes_event(**fields)
    seen = reader().read_json(orjson.dumps(event))
    assert isinstance(seen, EventSeen)
    assert 0 < seen.first <= seen.last < 2**63
    assert reader().read(newer_form(event)) == seen
    assert parse_seen(event_written(event)) == seen
    assert parse_seen(event_written(newer_form(event))) == seen
