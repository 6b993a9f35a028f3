"""Whatever is sent, the parser answers with what it could read or with ``BadInput``, and never quotes it."""

from __future__ import annotations

import json
import random
import time

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_events import MISSING, UID, audit_event, audit_parser, event_list, parse, reference, status
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Request
from kubeweft.sources.audit.decoding import NOT_READABLE
from kubeweft.sources.audit.parsed import Parsed
from kubeweft.sources.audit.splitting import MOST_ELEMENTS

GOOD = orjson.dumps(audit_event())
CANARY = "canary-5f3a"


def with_request_body(body: bytes) -> bytes:
    """A patch whose body is kept as sent: this is where any client can put what it likes."""
    event = orjson.dumps(audit_event(verb="patch", requestObject="HERE"))
    return event.replace(b'"HERE"', body)


def with_response_body(body: bytes) -> bytes:
    """The same in the answer, as with an aggregated API server that is up to no good."""
    return orjson.dumps(audit_event(responseObject="HERE")).replace(b'"HERE"', body)


NASTY = {
    "deep": b'{"a":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    "half a surrogate pair": b'{"a":"\\ud800"}',
    "not a number": b'{"a":NaN}',
    "a bare word": b'{"a":undefined}',
    "a number with a leading zero": b'{"a":007}',
}


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY.keys())
@pytest.mark.parametrize("with_bodies", [False, True])
def test_a_client_cannot_hide_the_requests_of_others_by_a_nasty_body(nasty: bytes, with_bodies: bool) -> None:
    parsed = parse(GOOD, with_request_body(nasty), GOOD, with_bodies=with_bodies)
    assert len(parsed.observations) == 3
    assert parsed.bad == ()


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY.keys())
def test_a_nasty_request_body_does_not_hide_what_the_request_did(nasty: bytes) -> None:
    (request,) = parse(with_request_body(nasty)).observations
    assert isinstance(request, Request)
    assert (request.uid, request.version, request.body_truncated) == (UID, "281", False)


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY.keys())
def test_a_nasty_answer_is_as_good_as_none(nasty: bytes) -> None:
    (request,) = parse(with_response_body(nasty)).observations
    assert isinstance(request, Request)
    assert (request.uid, request.version, request.body_truncated) == ("", "", True)


def test_an_event_that_is_nasty_outside_its_bodies_is_bad_alone() -> None:
    broken = GOOD.replace(b"kube-controller-manager/v1.36.3", b"\\ud800")
    parsed = parse(GOOD, broken, GOOD)
    assert (len(parsed.observations), parsed.bad) == (2, (NOT_READABLE,))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{}",
        b"{",
        b"[" * 1_000_000,
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":' + b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'"' + b'\\"' * 1_000_000,
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":["' + b'\\"' * 500_000,
        b'{"kind":"PodList","apiVersion":"v1","items":[]}',
        b'{"kind":"EventList","apiVersion":"v1","items":[]}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[]}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":{}}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":"x"}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]} trailing',
        b'{"kind":["EventList"],"apiVersion":"audit.k8s.io/v1","items":[]}',
        b'{"kind":"EventList","apiVersion":"\\ud800","items":[]}',
        b'{"kind":"EventList" "apiVersion":"audit.k8s.io/v1"}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[1 2]}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[,]}',
        event_list(GOOD)[:-2],
        event_list(GOOD)[:500],
        event_list(GOOD).replace(b"{", b"\xff{", 1),
        b"\x1f\x8b\x08\x00" + bytes(100),
    ],
    ids=lambda body: f"{body[:24]!r}, {len(body)} bytes",
)
def test_what_is_no_list_of_audit_events_is_refused(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadInput):
        audit_parser().parse(body)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("items", [b"null", b"[]"])
def test_a_list_of_nothing_is_nothing(items: bytes) -> None:
    body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":' + items + b"}"
    parsed = audit_parser().parse(body)
    check(parsed, 0)


@pytest.mark.parametrize("item", [b"null", b"5", b"[]", b'"x"', b"{}", b"{}" * 0 + b"true"])
def test_items_that_are_no_events_are_bad(item: bytes) -> None:
    parsed = parse(GOOD, item, GOOD)
    assert (len(parsed.observations), len(parsed.bad)) == (2, 1)


def test_the_last_of_duplicate_keys_counts() -> None:
    doubled = GOOD.replace(b'"verb":"update"', b'"verb":"get","verb":"update"')
    (request,) = parse(doubled).observations
    assert isinstance(request, Request)
    assert request.verb == "update"


@pytest.mark.parametrize("event", [b"{}", b'{"stage":"","auditID":""}'])
def test_a_body_of_a_million_events_is_refused(event: bytes) -> None:
    with pytest.raises(BadInput, match=str(MOST_ELEMENTS)):
        parse(*[event] * 1_000_000)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"kind":"{CANARY}","apiVersion":"audit.k8s.io/v1"}}',
        f'{{"kind":"EventList","apiVersion":"{CANARY}"}}',
        f'{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":["{CANARY}"',
        f'{{"{CANARY}":"\\ud800"',
        f'"{CANARY}"',
    ],
)
def test_no_message_quotes_what_was_sent(body: str) -> None:
    with pytest.raises(BadInput) as caught:
        audit_parser().parse(body.encode())
    assert CANARY not in str(caught.value)


def test_no_reason_quotes_what_was_sent() -> None:
    spoiled = [
        orjson.dumps(audit_event(**{field: {CANARY: CANARY}}))
        for field in ("level", "verb", "user", "sourceIPs", "auditID", "stage", "requestReceivedTimestamp")
    ]
    parsed = parse(
        *spoiled, orjson.dumps(audit_event()).replace(b'"user"', b'"\\ud800' + CANARY.encode() + b'"')
    )
    assert CANARY not in str(parsed.bad)


# ------------------------------------------------------------------------------------------------------ fuzz

EVENTS = [
    audit_event(),
    audit_event(stage="Panic", responseStatus=MISSING, responseObject=MISSING),
    audit_event(verb="delete", responseStatus={"code": 200, "details": {"name": "demo", "uid": UID}}),
    audit_event(
        verb="create", objectRef=reference("pods"), responseStatus=status(409), responseObject=status(409)
    ),
]
TOKENS = [
    b"null", b"{}", b"[]", b'""', b"-1", b"1e999", b"NaN", b'"\\ud800"', b'"\\u0000"', b"[[[[", b"]]]]", b"}", b"{",
    b'"', b"\\", b",", b":", b"\xff", b"\x00", b"9" * 30, b'"2026-13-41T99:99:99Z"', b'"0001-01-01T00:00:00Z"',
]  # fmt: skip

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated_bodies(draw: st.DrawFn) -> bytes:
    """A real batch with some bytes cut, repeated or replaced."""
    body = bytearray(event_list(*draw(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 40)))
        body[start:end] = draw(
            st.sampled_from(TOKENS) | st.binary(max_size=8) | st.just(bytes(body[start:end]) * 2)
        )
    return bytes(body)


@st.composite
def strange_events(draw: st.DrawFn) -> dict[str, object]:
    """A real audit event of which some fields, at any depth, are anything."""
    event = orjson.loads(orjson.dumps(draw(st.sampled_from(EVENTS))))
    for _ in range(draw(st.integers(1, 4))):
        holder = event
        while True:
            name = draw(st.sampled_from(sorted(holder)))
            if isinstance(holder[name], dict) and holder[name] and draw(st.booleans()):
                holder = holder[name]
            else:
                break
        holder[name] = draw(json_values)
    return dict(event)


def check(parsed: Parsed, count: int) -> None:
    """Every event is in exactly one place, and what came out can be written and stored."""
    found = (
        len(parsed.observations) + len(parsed.unresolved) + parsed.ignored + parsed.omitted + len(parsed.bad)
    )
    assert found == count
    for seen in parsed.observations:
        assert all(isinstance(part, str) for part in seen.key)
        if isinstance(seen, Request):
            assert 0 < seen.received <= seen.completed < 2**63
            assert -(2**31) <= seen.code < 2**31
        msgspec.json.encode(seen)


@settings(max_examples=400)
@given(body=mutated_bodies(), with_bodies=st.booleans())
def test_mutated_batches_are_read_or_refused(body: bytes, with_bodies: bool) -> None:
    try:
        parsed = audit_parser(with_bodies=with_bodies, learn_kinds=with_bodies).parse(body)
    except BadInput:
        return
    check(
        parsed,
        len(parsed.observations) + len(parsed.unresolved) + parsed.ignored + parsed.omitted + len(parsed.bad),
    )


@settings(max_examples=400)
@given(event=strange_events(), with_bodies=st.booleans())
def test_strange_events_spoil_only_themselves(event: dict[str, object], with_bodies: bool) -> None:
    text = json.dumps(event).encode()
    parsed = parse(GOOD, text, GOOD, with_bodies=with_bodies)
    check(parsed, 3)
    assert sum(isinstance(seen, Request) and seen.version == "281" for seen in parsed.observations) >= 2


@settings(max_examples=200)
@given(event=strange_events())
def test_the_careful_way_reads_the_same_as_the_fast_one(event: dict[str, object]) -> None:
    text = json.dumps(event).encode()
    fast = parse(text)
    careful = parse(text, b'{"stage":5}')
    assert list(careful.observations) == list(fast.observations)
    assert (careful.ignored, careful.omitted, len(careful.bad)) == (
        fast.ignored,
        fast.omitted,
        len(fast.bad) + 1,
    )


def test_random_bytes_are_refused() -> None:
    rng = random.Random(5)
    for _ in range(300):
        with pytest.raises(BadInput):
            audit_parser().parse(rng.randbytes(rng.randrange(200)))
