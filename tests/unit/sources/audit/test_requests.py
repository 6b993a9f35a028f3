"""What a request is made of, field by field, and what is kept of a bad one."""

from __future__ import annotations

import re

import msgspec
import orjson
import pytest

from audit_events import (
    COMPLETED,
    MISSING,
    RECEIVED,
    RECEIVED_NS,
    UID,
    audit_event,
    audit_parser,
    deployment,
    event_list,
    parse,
    parse_request,
    reference,
    status,
)
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Request
from kubeweft.model.plan import Plan, Redaction, Scope
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey
from kubeweft.sources.audit.decoding import WRONG_TYPE
from kubeweft.sources.audit.parsing import NO_TIME, AuditParser

DEMO = ObjectKey("c1", "apps", "deployments", "default", "demo")


def test_a_successful_update_is_a_request_with_all_its_fields() -> None:
    assert parse_request(audit_event()) == Request(
        key=DEMO,
        audit_id="8cb36fae-06dc-48a0-92cb-481590cb37dd",
        level="RequestResponse",
        stage="ResponseComplete",
        verb="update",
        subresource="",
        uri_path="/apis/apps/v1/namespaces/default/deployments/demo",
        uri_query="",
        uri="/apis/apps/v1/namespaces/default/deployments/demo",
        user="system:serviceaccount:kube-system:deployment-controller",
        impersonated_user="",
        user_agent="kube-controller-manager/v1.36.3",
        client_address="127.0.0.1",
        code=200,
        reason="",
        message="",
        received=RECEIVED_NS,
        completed=RECEIVED_NS + 3_798_000,
        received_text=RECEIVED,
        completed_text=COMPLETED,
        kind="Deployment",
        api_version="apps/v1",
        uid=UID,
        version="281",
        base_version="280",
    )


def test_a_conflict_keeps_the_version_the_client_had_and_trusts_nothing_else() -> None:
    refused = status(409, status="Failure", message="the object has been modified", reason="Conflict")
    request = parse_request(audit_event(responseStatus=refused, responseObject=refused))
    assert (request.code, request.reason, request.message) == (
        409,
        "Conflict",
        "the object has been modified",
    )
    assert (request.uid, request.version, request.kind) == ("", "", "")
    assert request.base_version == "280"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"metadata": {"resourceVersion": "77"}, "spec": {}}, "77"),
        ({"spec": {}}, ""),
        ([{"op": "replace", "path": "/spec/replicas", "value": 1}], ""),
        ({"metadata": {"resourceVersion": 5}}, ""),
        (MISSING, ""),
        (None, ""),
    ],
)
def test_a_patch_tells_its_base_version_in_its_body(body: object, expected: str) -> None:
    event = audit_event(
        verb="patch",
        requestObject=body,
        objectRef=reference("deployments", "demo", apiGroup="apps"),
        responseStatus=status(409),
        responseObject=status(409),
    )
    assert parse_request(event).base_version == expected


def test_a_delete_tells_its_base_version_in_its_preconditions() -> None:
    event = audit_event(
        verb="delete",
        requestObject={"kind": "DeleteOptions", "preconditions": {"uid": "u", "resourceVersion": "6779"}},
        objectRef=reference("replicasets", "rs-1", apiGroup="apps"),
        responseStatus=status(409),
        responseObject=status(409),
    )
    assert parse_request(event).base_version == "6779"


def test_a_missing_response_status_is_code_0() -> None:
    request = parse_request(audit_event(responseStatus=MISSING, responseObject=MISSING))
    assert (request.code, request.uid) == (0, "")


def test_a_panic_is_a_request_too() -> None:
    event = audit_event(
        stage="Panic", responseStatus=status(500, message="APIServer panic'd: boom"), responseObject=MISSING
    )
    request = parse_request(event)
    assert (request.stage, request.code, request.message) == ("Panic", 500, "APIServer panic'd: boom")


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted", "", "Else", None])
def test_stages_that_a_later_one_repeats_are_ignored(stage: str | None) -> None:
    parsed = parse(audit_event(stage=stage), audit_event())
    assert (parsed.ignored, len(parsed.observations)) == (1, 1)


@pytest.mark.parametrize("target", [MISSING, None, {}, {"namespace": "default"}, {"resource": ""}])
def test_what_is_no_request_on_an_object_is_ignored(target: object) -> None:
    parsed = parse(audit_event(objectRef=target, requestURI="/healthz"))
    assert (parsed.ignored, parsed.observations) == (1, [])


@pytest.mark.parametrize(
    "time", [MISSING, None, "", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_without_a_time_an_event_is_bad(time: object) -> None:
    assert parse(audit_event(requestReceivedTimestamp=time)).bad == (NO_TIME,)


@pytest.mark.parametrize(
    ("stamp", "duration"),
    [
        (MISSING, 0),
        ("nonsense", 0),
        ("2026-11-21T08:13:20Z", 0),  # the clock was set back meanwhile
        ("2026-11-21T09:13:25.375112+01:00", 1_000_000_000),
        ("2026-11-21T08:13:24.375112345Z", 345),
    ],
)
def test_a_request_never_ends_before_it_began(stamp: object, duration: int) -> None:
    request = parse_request(audit_event(stageTimestamp=stamp))
    assert request.completed - request.received == duration


def test_an_impersonated_user_and_the_last_address_are_kept() -> None:
    event = audit_event(impersonatedUser={"username": "jane"}, sourceIPs=["6.6.6.6", "192.0.2.1"])
    request = parse_request(event)
    assert (request.impersonated_user, request.client_address) == ("jane", "192.0.2.1")


def test_truncated_bodies_are_marked() -> None:
    event = audit_event(
        annotations={"audit.k8s.io/truncated": "true"}, requestObject=MISSING, responseObject=MISSING
    )
    request = parse_request(event)
    assert request.body_truncated
    assert request.version == ""


def test_a_dry_run_tells_no_version_as_it_made_none() -> None:
    event = audit_event(
        requestURI="/apis/apps/v1/namespaces/default/deployments/demo?dryRun=All&fieldManager=x"
    )
    request = parse_request(event)
    assert request.dry_run
    assert (request.uid, request.version) == (UID, "")
    assert request.uri_path == "/apis/apps/v1/namespaces/default/deployments/demo"
    assert "dryRun=All" in request.uri_query
    assert request.uri == f"{request.uri_path}?{request.uri_query}"


def test_a_delete_may_say_in_its_body_that_it_is_a_dry_run() -> None:
    event = audit_event(verb="delete", requestObject={"kind": "DeleteOptions", "dryRun": ["All"]})
    assert parse_request(event).dry_run


def test_an_object_created_by_a_dry_run_never_exists() -> None:
    event = audit_event(
        verb="create",
        requestURI="/apis/apps/v1/namespaces/default/deployments?dryRun=All",
        objectRef=reference("deployments", apiGroup="apps"),
        responseStatus={"code": 201},
        responseObject=deployment(name="demo-x7k2", version=""),
    )
    request = parse_request(event)
    assert (request.key.name, request.uid) == ("", "")


def test_secret_queries_and_messages_are_redacted() -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
    event = audit_event(
        verb="create",
        requestURI="/api/v1/namespaces/default/pods/demo-1/exec?command=login&command=s3cr3t-canary&stdin=true",
        objectRef=reference("pods", "demo-1", subresource="exec"),
        responseStatus=status(403, message=f"denied for {token}"),
        responseObject=MISSING,
    )
    request = parse_request(event)
    told = orjson.dumps([request.uri, request.uri_query, request.message, request.uri_path])
    assert b"s3cr3t-canary" not in told
    assert token.encode() not in told
    assert request.subresource == "exec"


def test_long_texts_are_cut_but_stay_different() -> None:
    one, two = (
        parse_request(audit_event(requestURI="/api/" + "x" * 20_000 + end, userAgent="a" * 60_000 + end))
        for end in ("1", "2")
    )
    assert len(one.uri) <= 4096
    assert len(one.user_agent) <= 1024
    assert one.uri != two.uri
    assert one.user_agent != two.user_agent


def test_what_the_plan_does_not_want_is_omitted_and_counted() -> None:
    plan = Plan(scopes=(Scope(policy="p", omit_users=frozenset({"system:kube-scheduler"})),))
    body = event_list(
        audit_event(verb="get"),
        audit_event(user={"username": "system:kube-scheduler"}),
        audit_event(),
    )
    parsed = audit_parser(plan=plan).parse(body)
    assert (parsed.omitted, len(parsed.observations)) == (2, 1)


def test_whether_requests_are_wanted_is_asked_once_for_a_type_namespace_verb_and_user() -> None:
    asked: list[tuple[ObjectKey, str, str]] = []

    def wants(key: ObjectKey, *, verb: str, user: str) -> bool:
        asked.append((key, verb, user))
        return True

    parser = AuditParser(
        cluster="c1",
        kinds=Kinds(),
        redactor=Redactor(Redaction(), b"k" * 32),
        wants_request=wants,
        wants_event=lambda _key: True,
    )
    for number in range(3):
        parser.parse(
            event_list(audit_event(objectRef=reference("pods", f"p{number}"), user={"username": "u"}))
        )
    assert asked == [(ObjectKey("c1", "", "pods", "default", ""), "update", "u")]


def test_where_policies_look_into_objects_each_request_is_asked_about_by_its_object() -> None:
    """What holds for an object may change while the rules stay: its labels, or those of its namespace."""
    chosen = {"p1"}
    parser = AuditParser(
        cluster="c1",
        kinds=Kinds(),
        redactor=Redactor(Redaction(), b"k" * 32),
        wants_request=Plan().wants_request,
        selects_request=lambda key, *, verb, user: key.name in chosen and (verb, user) == ("update", "u"),
        wants_event=lambda _key: True,
    )

    def told(name: str) -> tuple[int, int]:
        body = event_list(audit_event(objectRef=reference("pods", name), user={"username": "u"}))
        parsed = parser.parse(body)
        return len(parsed.observations), parsed.omitted

    assert (told("p1"), told("p2")) == ((1, 0), (0, 1))
    chosen.add("p2")
    assert told("p2") == (1, 0)


@pytest.mark.parametrize(
    "field",
    [
        "level",
        "requestURI",
        "verb",
        "user",
        "sourceIPs",
        "userAgent",
        "annotations",
        "requestObject",
        "impersonatedUser",
    ],
)
@pytest.mark.parametrize("value", [MISSING, None])
def test_every_optional_field_may_be_missing_or_null(field: str, value: object) -> None:
    parsed = parse(audit_event(**{field: value}))
    assert parsed.bad == ()
    assert len(parsed.observations) + parsed.omitted == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("level", 1),
        ("auditID", []),
        ("auditID", MISSING),
        ("stage", {}),
        ("requestURI", True),
        ("verb", 1.5),
        ("user", "jane"),
        ("user", {"username": 5}),
        ("sourceIPs", "10.0.0.1"),
        ("objectRef", "pods"),
        ("objectRef", {"resource": ["pods"]}),
        ("responseStatus", 200),
        ("responseStatus", {"code": "200"}),
        ("requestReceivedTimestamp", 5),
        ("annotations", "x"),
    ],
)
def test_a_wrong_type_spoils_one_event_and_not_its_batch(field: str, value: object) -> None:
    parsed = parse(audit_event(), audit_event(**{field: value}), audit_event())
    assert len(parsed.observations) == 2
    assert parsed.bad == (WRONG_TYPE,)


@pytest.mark.parametrize("number", [b"1" + b"0" * 400, b"9" * 10_000, b"2147483648", b"1e999", b"1.5"])
def test_a_code_that_is_no_int32_spoils_one_event(number: bytes) -> None:
    broken = orjson.dumps(audit_event()).replace(b'"code":200', b'"code":' + number)
    parsed = parse(audit_event(), broken, audit_event())
    assert (len(parsed.observations), len(parsed.bad)) == (2, 1)


@pytest.mark.parametrize(("mode", "shown"), [("Digest", r"hmac:[0-9a-f]{16}"), ("Omit", r"\*\*\*")])
def test_a_policy_may_hide_who_it_was_everywhere(mode: str, shown: str) -> None:
    plan = Plan(redaction=Redaction(user_identity=mode))
    refused = status(403, message='pods is forbidden: User "jane@example.com" cannot create resource "pods"')
    event = audit_event(
        user={"username": "root@example.com"},
        impersonatedUser={"username": "jane@example.com"},
        userAgent="tool/1 root@example.com",
        responseStatus=refused,
        responseObject=refused,
    )
    (request,) = audit_parser(plan=plan).parse(event_list(event)).observations
    assert isinstance(request, Request)
    told = msgspec.json.encode(request)
    for secret in (b"jane@", b"root@", b"127.0.0.1"):
        assert secret not in told
    assert re.fullmatch(shown, request.user)
    assert re.fullmatch(f'pods is forbidden: User "{shown}" cannot create resource "pods"', request.message)


def test_the_newest_completion_is_told() -> None:
    later = audit_event(stageTimestamp="2026-11-21T08:14:00Z")
    assert parse(later, audit_event()).last_time == RECEIVED_NS + 35_624_888_000


def test_slices_hold_all_events_once() -> None:
    events = [audit_event(auditID=str(number)) for number in range(25)]
    body = event_list(b'{"stage":5}', *events)
    parser = audit_parser()
    slices = list(parser.slices(parser.decode_carefully(body), size=10))
    assert [len(part.observations) for part in slices] == [10, 10, 5]
    assert [len(part.bad) for part in slices] == [1, 0, 0]
    found = [seen for part in slices for seen in part.observations]
    assert found == list(audit_parser().parse(body).observations)
