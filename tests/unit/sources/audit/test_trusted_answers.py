"""Whom to believe about an object: the API server's answer, and only if it is about that object."""

from __future__ import annotations

from typing import Any

import pytest

from audit_events import (
    MISSING,
    UID,
    Json,
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
from kubeweft.model.references import ObjectKey, ResourceType

REAL_UID = "c45a15a4-1702-41de-8e99-ba58ed0efb57"
FORGED_UID = "11111111-1111-1111-1111-111111111111"


def pod(**metadata: Any) -> Json:
    """A Pod as the answer to its creation shows it."""
    told = {"name": "demo-wv7dp", "namespace": "default", "uid": REAL_UID, "resourceVersion": "285"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": told | metadata, "spec": {}}


def pod_created(**changes: Any) -> Json:
    """A create with generateName, at level RequestResponse."""
    fields: Json = {
        "verb": "create",
        "requestURI": "/api/v1/namespaces/default/pods",
        "objectRef": reference("pods"),
        "requestObject": {"kind": "Pod", "apiVersion": "v1", "metadata": {"generateName": "demo-"}},
        "responseObject": pod(),
        "responseStatus": {"code": 201},
    }
    return audit_event(**(fields | changes))


def test_a_create_takes_name_uid_and_version_from_the_answer() -> None:
    request = parse_request(pod_created())
    assert request.key == ObjectKey("c1", "", "pods", "default", "demo-wv7dp")
    assert (request.uid, request.version, request.kind) == (REAL_UID, "285", "Pod")


def test_a_uid_and_name_forged_by_the_client_count_for_nothing() -> None:
    forged = reference("pods", "victim", uid=FORGED_UID, resourceVersion="1")
    request = parse_request(pod_created(objectRef=forged))
    assert (request.key.name, request.uid, request.base_version) == ("demo-wv7dp", REAL_UID, "")


def test_a_forged_uid_of_a_refused_create_is_dropped() -> None:
    forged = reference("pods", "victim", uid=FORGED_UID)
    request = parse_request(
        pod_created(objectRef=forged, responseStatus=status(403), responseObject=status(403))
    )
    assert (request.key.name, request.uid) == ("victim", "")


@pytest.mark.parametrize("level", ["Metadata", "Request"])
def test_a_create_with_generate_name_and_no_answer_stays_on_the_collection(level: str) -> None:
    event = pod_created(level=level, responseObject=MISSING, requestObject=MISSING)
    request = parse_request(event)
    assert request.key == ObjectKey("c1", "", "pods", "default", "")
    assert (request.verb, request.code, request.level) == ("create", 201, level)


def test_a_create_with_a_name_and_no_answer_is_on_that_name() -> None:
    event = pod_created(level="Metadata", responseObject=MISSING, objectRef=reference("pods", "named"))
    assert parse_request(event).key.name == "named"


def test_forged_audit_ids_stay_as_they_are_and_stay_apart() -> None:
    forged = [audit_event(auditID="x" * 60_000, userAgent=str(number)) for number in range(3)]
    found = parse(*forged).observations
    assert [seen.audit_id for seen in found if hasattr(seen, "audit_id")] == ["x" * 60_000] * 3


@pytest.mark.parametrize("name", ["a/b", "a\x00b", "x" * 254, "\n", ""])
def test_a_name_that_no_object_can_have_leads_to_the_collection(name: str) -> None:
    event = pod_created(
        objectRef={"resource": "pods", "namespace": "default", "name": name},
        responseStatus=status(422),
        responseObject=status(422),
    )
    assert parse_request(event).key == ObjectKey("c1", "", "pods", "default", "")


@pytest.mark.parametrize("field", ["resource", "namespace", "apiGroup"])
def test_places_that_cannot_exist_are_ignored(field: str) -> None:
    event = audit_event(objectRef={**reference("pods", "p"), field: "a\x00b/c"}, responseStatus=status(404))
    assert parse(event).ignored == 1


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Status"},
        {"kind": "ReplicaSet"},
        {"kind": None},
        {"apiVersion": "v1"},
        {"apiVersion": "evil.example.com/v1"},
        {"metadata": None},
        {"metadata": {"name": "demo", "namespace": "default", "resourceVersion": "9"}},
        {"metadata": {"name": "other", "namespace": "default", "uid": UID, "resourceVersion": "9"}},
        {"metadata": {"name": "demo", "namespace": "other", "uid": UID, "resourceVersion": "9"}},
        {"metadata": {"name": "demo", "namespace": "default", "uid": FORGED_UID, "resourceVersion": "9"}},
        {"metadata": {"name": "demo", "namespace": "default", "uid": 5, "resourceVersion": "9"}},
        {"metadata": "demo"},
    ],
)
@pytest.mark.parametrize("with_bodies", [False, True])
def test_a_body_that_does_not_fit_is_not_believed(change: Json, with_bodies: bool) -> None:
    body = {**deployment(), **change}
    parsed = parse(audit_event(responseObject=body), with_bodies=with_bodies)
    (request,) = parsed.observations
    assert (request.uid, getattr(request, "version", None)) == ("", "")
    assert not parsed.bodies
    assert not parsed.bad


def test_a_body_that_does_not_fit_is_counted() -> None:
    assert parse(audit_event(responseObject=deployment(uid=FORGED_UID))).untrusted == 1
    assert parse(audit_event()).untrusted == 0


@pytest.mark.parametrize("code", [0, 100, 199, 300, 409, 500])
def test_a_body_is_not_believed_unless_the_request_succeeded(code: int) -> None:
    assert parse_request(audit_event(responseStatus={"code": code})).uid == ""


@pytest.mark.parametrize(
    ("resource", "subresource", "answer"),
    [
        ("pods", "binding", status(201, status="Success")),
        ("pods", "eviction", status(201, status="Success")),
        ("pods", "binding", pod()),
        (
            "serviceaccounts",
            "token",
            {
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {"name": "demo-wv7dp"},
            },
        ),
    ],
)
def test_subresources_that_answer_with_something_else(resource: str, subresource: str, answer: Json) -> None:
    event = pod_created(
        objectRef=reference(resource, "demo-wv7dp", subresource=subresource), responseObject=answer
    )
    request = parse_request(event)
    assert (request.key.resource, request.key.name) == (resource, "demo-wv7dp")
    assert (request.uid, request.version, request.subresource) == ("", "", subresource)


@pytest.mark.parametrize("subresource", ["status", "finalize", "approval", "resize", "ephemeralcontainers"])
def test_subresources_that_answer_with_the_object(subresource: str) -> None:
    target = reference("deployments", "demo", apiGroup="apps", subresource=subresource)
    request = parse_request(audit_event(objectRef=target))
    assert (request.uid, request.version, request.kind) == (UID, "281", "Deployment")


def test_a_scale_tells_the_version_but_is_not_the_object() -> None:
    scale = {**deployment(), "kind": "Scale", "apiVersion": "autoscaling/v1"}
    target = reference("deployments", "demo", apiGroup="apps", subresource="scale")
    parsed = parse(audit_event(objectRef=target, responseObject=scale), with_bodies=True)
    (request,) = parsed.observations
    assert (request.uid, request.version, request.kind) == (UID, "281", "")  # type: ignore[union-attr]
    assert parsed.bodies == []


def test_metadata_only_tells_the_version_but_is_not_the_object() -> None:
    partial = {**deployment(), "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    parsed = parse(audit_event(responseObject=partial), with_bodies=True)
    (request,) = parsed.observations
    assert (request.uid, request.version, request.kind) == (UID, "281", "")  # type: ignore[union-attr]
    assert parsed.bodies == []


def test_a_delete_answered_by_a_status_tells_the_uid() -> None:
    details = {"name": "rs-1", "group": "apps", "kind": "replicasets", "uid": REAL_UID}
    event = audit_event(
        verb="delete",
        objectRef=reference("replicasets", "rs-1", apiGroup="apps"),
        responseStatus={"metadata": {}, "status": "Success", "details": details, "code": 200},
        responseObject=status(200, details=details),
    )
    request = parse_request(event)
    assert (request.uid, request.version, request.kind) == (REAL_UID, "", "")


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"name": "other"}, 200), ({"group": ""}, 200), ({"uid": None}, 200), ({}, 404)],
)
def test_details_of_something_else_tell_nothing(changes: Json, code: int) -> None:
    details = {"name": "rs-1", "group": "apps", "kind": "replicasets", "uid": REAL_UID} | changes
    event = audit_event(
        verb="delete",
        objectRef=reference("replicasets", "rs-1", apiGroup="apps"),
        responseStatus={"code": code, "details": details},
        responseObject=status(code, details=details),
    )
    assert parse_request(event).uid == ""


def test_a_deletecollection_is_a_request_on_the_collection() -> None:
    event = audit_event(
        verb="deletecollection",
        objectRef=reference("pods"),
        responseObject={
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "9"},
            "items": [pod()],
        },
    )
    request = parse_request(event)
    assert request.key == ObjectKey("c1", "", "pods", "default", "")
    assert (request.uid, request.version) == ("", "")


def test_a_write_that_changed_nothing_tells_the_version_that_was() -> None:
    request = parse_request(
        audit_event(requestObject=deployment(version="280"), responseObject=deployment(version="280"))
    )
    assert (request.version, request.base_version) == ("280", "280")


def test_a_namespace_is_not_inside_itself() -> None:
    namespace = {"name": "team-0", "uid": REAL_UID, "resourceVersion": "5"}
    event = audit_event(
        objectRef=reference("namespaces", "team-0", namespace="team-0"),
        responseObject={"kind": "Namespace", "apiVersion": "v1", "metadata": namespace},
    )
    request = parse_request(event)
    assert request.key == ObjectKey("c1", "", "namespaces", "", "team-0")
    assert request.uid == REAL_UID


def test_a_review_is_a_request_although_it_is_no_object() -> None:
    event = audit_event(
        verb="create",
        objectRef=reference("subjectaccessreviews", namespace="", apiGroup="authorization.k8s.io"),
        responseStatus={"code": 201},
        responseObject={
            "kind": "SubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
        },
    )
    assert parse_request(event).key == ObjectKey("c1", "authorization.k8s.io", "subjectaccessreviews", "", "")


def widget_updated(kind: str = "Widget", subresource: str = "") -> Json:
    """An update of a custom resource that no table knows."""
    target = reference("widgets", "w", apiGroup="example.com", subresource=subresource)
    metadata = {"name": "w", "namespace": "default", "uid": REAL_UID, "resourceVersion": "5"}
    return audit_event(
        objectRef=target,
        responseObject={"kind": kind, "apiVersion": "example.com/v1beta1", "metadata": metadata},
    )


@pytest.mark.parametrize(
    ("kind", "subresource", "believed"),
    [
        ("Widget", "", True),
        ("Widget", "status", True),
        ("Widget", "frobnicate", False),
        ("Status", "", False),
        ("Table", "", False),
        ("", "", False),
    ],
)
def test_of_an_unknown_type_the_object_and_its_status_are_believed(
    kind: str, subresource: str, believed: bool
) -> None:
    assert bool(parse_request(widget_updated(kind, subresource)).uid) is believed


def test_kinds_are_learned_from_answers_if_asked_for() -> None:
    kinds = Kinds()
    audit_parser(kinds=kinds).parse(event_list(widget_updated()))
    assert kinds.kind_of("example.com", "widgets") is None
    audit_parser(kinds=kinds, learn_kinds=True).parse(event_list(widget_updated()))
    expected = ResourceType("example.com", "v1beta1", "widgets", "Widget", True)
    assert kinds.kind_of("example.com", "widgets") == expected
    assert kinds.resource_of("example.com", "Widget") == expected


def test_what_is_known_already_is_not_learned_anew() -> None:
    kinds = Kinds()
    before = kinds.kind_of("apps", "deployments")
    audit_parser(kinds=kinds, learn_kinds=True).parse(event_list(audit_event()))
    assert kinds.kind_of("apps", "deployments") == before
