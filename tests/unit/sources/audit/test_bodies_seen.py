"""Whole objects from the audit log, and whether they are gone after the write."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from audit_events import UID, Json, audit_event, deployment, parse, reference, status
from kubeweft.sources.audit.bodies import BodySeen

DELETED_AT = "2026-11-21T08:24:16Z"


def seen(event: Json) -> BodySeen:
    """The only body of one audit event."""
    (body,) = parse(event, with_bodies=True).bodies
    return body


def marked(**metadata: Any) -> Json:
    """A Deployment that is being deleted."""
    return deployment(deletionTimestamp=DELETED_AT, **metadata)


def test_a_trusted_body_comes_with_its_request_as_it_was_sent() -> None:
    parsed = parse(audit_event(), with_bodies=True)
    (body,) = parsed.bodies
    assert body.request is parsed.observations[0]
    assert (body.key, body.uid, body.version) == (body.request.key, UID, "281")
    assert (body.kind, body.api_version, body.deleted) == ("Deployment", "apps/v1", False)
    assert orjson.loads(body.body) == deployment()


def test_bodies_are_given_only_if_asked_for() -> None:
    assert parse(audit_event()).bodies == []


@pytest.mark.parametrize("options", [{"responseStatus": {"code": 409}}, {"requestURI": "/x?dryRun=All"}])
def test_failures_and_dry_runs_show_no_object(options: Json) -> None:
    assert parse(audit_event(**options), with_bodies=True).bodies == []


@pytest.mark.parametrize(
    ("verb", "body", "deleted"),
    [
        ("delete", deployment(), True),
        ("delete", marked(deletionGracePeriodSeconds=0), True),
        ("delete", marked(deletionGracePeriodSeconds=30), False),
        ("delete", marked(deletionGracePeriodSeconds=0, finalizers=["foregroundDeletion"]), False),
        ("update", marked(deletionGracePeriodSeconds=0, finalizers=["x"]), False),
        ("update", marked(deletionGracePeriodSeconds=0), True),
        ("patch", marked(deletionGracePeriodSeconds=0, finalizers=[]), True),
        ("patch", marked(deletionGracePeriodSeconds=30), False),
        ("update", deployment(), False),
        ("delete", marked(deletionGracePeriodSeconds="soon"), False),
    ],
)
def test_an_object_is_gone_when_nothing_holds_it_back(verb: str, body: Json, deleted: bool) -> None:
    assert seen(audit_event(verb=verb, responseObject=body)).deleted is deleted


@pytest.mark.parametrize(("finalizers", "deleted"), [(["kubernetes"], False), ([], True), (None, True)])
def test_a_namespace_is_gone_when_its_own_finalizers_are(finalizers: list[str] | None, deleted: bool) -> None:
    metadata = {"name": "team-0", "uid": UID, "resourceVersion": "9", "deletionTimestamp": DELETED_AT}
    body = {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata, "spec": {"finalizers": finalizers}}
    target = reference("namespaces", "team-0", namespace="team-0", subresource="finalize")
    assert seen(audit_event(objectRef=target, responseObject=body)).deleted is deleted


def test_a_delete_answered_by_a_status_is_a_removal_without_a_body() -> None:
    details = {"name": "demo", "group": "apps", "kind": "deployments", "uid": UID}
    event = audit_event(
        verb="delete",
        objectRef=reference("deployments", "demo", apiGroup="apps"),
        responseStatus={"code": 200, "details": details},
        responseObject=status(200, details=details),
    )
    body = seen(event)
    assert (body.uid, body.version, body.body, body.deleted) == (UID, "", b"", True)
