"""Changes from the versions that an audit log shows, whatever the order in which they became known."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from kubeweft.model.observations import Change
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.sources.objects.audited import changes_of, kept_body
from kubeweft.store.interfaces import AuditVersion
from watched_objects import UID, Json, at, nested, owner, rules_of, tree, watched

CANARY = "canary-2f6b1c"


def version(
    number: int | str,
    clock: str,
    *,
    created: bool = False,
    deleted: bool = False,
    obj: Json | None = None,
    **spec: Any,
) -> AuditVersion:
    """A version of the Deployment, with its body unless ``obj`` is empty."""
    raw = orjson.dumps(tree(number, "", spec=spec) if obj is None else obj) if obj != {} else b""
    body = (
        kept_body(raw, resource="deployments", kind="Deployment", api_version="apps/v1", rules=rules_of())
        if raw
        else b""
    )
    assert body is not None
    return AuditVersion(
        cluster="local",
        group="apps",
        resource="deployments",
        namespace="default",
        name="demo",
        uid=UID,
        version=str(number),
        time=at(clock),
        created=created,
        deleted=deleted,
        kind="Deployment" if body else "",
        api_version="apps/v1" if body else "",
        body=body,
    )


def changes(*versions: AuditVersion, max_bytes: int = 16384) -> list[Change]:
    return list(changes_of(versions, window_length=DEFAULT_WINDOW, max_bytes=max_bytes))


def told(*versions: AuditVersion) -> list[tuple[str, str, str]]:
    return [(change.type, change.old_version, change.version) for change in changes(*versions)]


CREATED = version(9, "10:00:00.5", created=True, replicas=2)
SCALED = version(10, "10:00:01.25", replicas=4)
LATER = version(1000, "10:31:00", replicas=5)
REMOVED = version("", "10:32:00", deleted=True, obj={})


def test_a_life_from_creation_to_deletion() -> None:
    assert told(CREATED, SCALED, LATER, REMOVED) == [
        ("Added", "", "9"),
        ("Modified", "9", "10"),
        ("Modified", "10", "1000"),
        ("Sighting", "", "1000"),
        ("Deleted", "1000", ""),
    ]


def test_any_order_gives_the_same_changes() -> None:
    versions = (CREATED, SCALED, LATER, REMOVED)
    expected = changes(*versions)
    for order in itertools.permutations(versions):
        assert changes(*order) == expected


def test_a_change_has_the_exact_time_of_its_request() -> None:
    _, scaled = changes(CREATED, SCALED)
    assert (scaled.time, scaled.time_source) == (at("10:00:01.25"), "request")
    assert scaled.words == ("spec.replicas 2 → 4",)
    assert orjson.loads(scaled.patch) == [{"op": "replace", "path": "/spec/replicas", "value": 4}]


def test_what_was_there_before_the_log_begins_is_a_sighting() -> None:
    assert told(SCALED, LATER)[0] == ("Sighting", "", "10")


def test_a_version_that_becomes_known_late_splits_a_step() -> None:
    assert told(CREATED, LATER) == [("Added", "", "9"), ("Modified", "9", "1000"), ("Sighting", "", "1000")]
    assert told(LATER, CREATED, SCALED) == [
        ("Added", "", "9"),
        ("Modified", "9", "10"),
        ("Modified", "10", "1000"),
        ("Sighting", "", "1000"),
    ]


def test_a_deletion_that_a_status_answered_comes_last_with_the_object_as_it_was() -> None:
    *_, deleted = changes(REMOVED, SCALED, CREATED)
    assert (deleted.type, deleted.old_version, deleted.version, deleted.patch) == ("Deleted", "10", "", "")
    assert orjson.loads(deleted.body)["spec"] == {"replicas": 4}
    assert deleted.time == at("10:32:00")
    assert (deleted.kind, deleted.api_version) == ("Deployment", "apps/v1")  # which the Status does not tell


def test_a_deletion_of_which_nothing_else_is_known() -> None:
    (deleted,) = changes(REMOVED)
    assert (deleted.type, deleted.old_version, deleted.version, deleted.body) == ("Deleted", "", "", b"")
    assert deleted.owners == ()


def test_a_deletion_that_the_object_answered_tells_what_was_marked() -> None:
    marked = tree(11, "", metadata={"deletionTimestamp": "2026-11-21T10:02:00Z"}, spec={"replicas": 4})
    *_, deleted = changes(CREATED, SCALED, version(11, "10:02:00", deleted=True, obj=marked))
    assert (deleted.type, deleted.old_version, deleted.version) == ("Deleted", "10", "11")
    assert orjson.loads(deleted.patch) == [
        {"op": "add", "path": "/metadata/deletionTimestamp", "value": "2026-11-21T10:02:00Z"}
    ]
    assert "deletionTimestamp" not in orjson.loads(deleted.body)["metadata"]  # as it was before


def test_a_patch_that_is_too_large_is_cut_and_replaced_by_a_snapshot() -> None:
    _, changed, seen = changes(CREATED, version(10, "10:00:01", text="x" * 200), max_bytes=100)
    assert (changed.patch, changed.patch_truncated) == ("", True)
    assert (seen.type, orjson.loads(seen.body)["spec"]) == ("Sighting", {"text": "x" * 200})


def test_owners_come_with_every_change() -> None:
    owned = tree(10, "", metadata={"ownerReferences": [owner("Widget", "w", api_version="example.com/v1")]})
    found = changes(version(10, "10:00:00", obj=owned), REMOVED)
    assert [[reference.name for reference in change.owners] for change in found] == [["w"], ["w"]]


def kept(raw: bytes, *, resource: str = "deployments", kind: str = "Deployment") -> bytes | None:
    return kept_body(raw, resource=resource, kind=kind, api_version="v1", rules=rules_of())


def test_a_body_is_kept_without_managed_fields_and_secrets() -> None:
    body = kept(orjson.dumps(tree(1, data={"password": CANARY})), resource="secrets", kind="Secret")
    assert body is not None
    assert CANARY.encode() not in body
    assert b"managedFields" not in body
    assert orjson.loads(body)["metadata"]["uid"] == UID


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"kind":"Status"}', b'{"metadata":{}}', nested(watched(1), 900)]
)
def test_what_is_no_readable_object_is_not_kept(raw: bytes) -> None:
    assert kept(raw, resource="widgets", kind="Widget") is None
