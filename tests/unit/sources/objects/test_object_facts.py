"""What is read from one object: times, writers, owners; and what is said of objects that cannot be read."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from kubeweft.model.errors import BadInput
from kubeweft.model.observations import FieldManager
from kubeweft.model.references import OwnerReference
from kubeweft.sources.objects.acting import Entry, acting_managers
from kubeweft.sources.objects.facts import Facts, owners_in, read_object, uid_in
from watched_objects import DAY, DEPLOYMENTS, SECRETS, UID, at, managed, nested, owner, tree, watched


def facts_of(obj: dict[str, Any] | bytes) -> Facts:
    return read_object(obj if isinstance(obj, bytes) else orjson.dumps(obj), DEPLOYMENTS)[0]


def test_what_an_object_is_known_by() -> None:
    facts = facts_of(watched(281, metadata={"generation": 3}))
    assert (facts.namespace, facts.name, facts.uid, facts.version, facts.generation) == (
        "default",
        "demo",
        UID,
        "281",
        3,
    )
    assert (facts.kind, facts.api_version, facts.deleting) == ("Deployment", "apps/v1", False)


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    obj = tree(1)
    del obj["metadata"]["namespace"]
    assert facts_of(obj).namespace == ""


def test_the_time_is_that_of_the_newest_writer() -> None:
    writers = [managed("kubectl", "10:00:07"), managed("controller", "10:00:09", subresource="status")]
    assert facts_of(tree(1, metadata={"managedFields": writers})).time == at("10:00:09")
    assert facts_of(tree(1, metadata={"managedFields": writers[::-1]})).time == at("10:00:09")


def test_without_writers_conditions_and_creation_tell_the_time() -> None:
    created = {"creationTimestamp": f"{DAY}T10:00:00Z"}
    condition = {
        "type": "Ready",
        "lastTransitionTime": f"{DAY}T10:00:04Z",
        "lastUpdateTime": f"{DAY}T10:00:05Z",
    }
    assert facts_of(tree(1, "", metadata=created)).time == at("10:00:00")
    assert facts_of(tree(1, "", metadata=created, status={"conditions": [condition]})).time == at("10:00:05")


@pytest.mark.parametrize(
    "status", ["ready", 7, ["ready"], {"conditions": "none"}, {"conditions": [{"lastTransitionTime": 5}]}]
)
def test_a_status_of_any_form_is_no_obstacle(status: Any) -> None:
    facts = facts_of(tree(1, "", metadata={"creationTimestamp": f"{DAY}T10:00:00Z"}, status=status))
    assert facts.time == at("10:00:00")


def test_an_object_that_tells_no_time_has_none() -> None:
    assert facts_of(tree(1, "")).time == 0


def test_a_deletion_was_asked_for_a_grace_period_before_its_time() -> None:
    marked = {"deletionTimestamp": f"{DAY}T10:01:30Z", "deletionGracePeriodSeconds": 30}
    facts = facts_of(tree(1, "10:00:00", metadata=marked))
    assert (facts.time, facts.deleting) == (at("10:01:00"), True)
    no_grace = {"deletionTimestamp": f"{DAY}T10:01:30Z"}
    assert facts_of(tree(1, "10:00:00", metadata=no_grace)).time == at("10:01:30")


def test_what_was_written_after_the_mark_counts() -> None:
    marked = {"deletionTimestamp": f"{DAY}T10:01:30Z", "deletionGracePeriodSeconds": 30}
    assert facts_of(tree(1, "10:01:12", metadata=marked)).time == at("10:01:12")


def test_all_owners_are_read_controllers_or_not() -> None:
    owners = [
        owner("ReplicaSet", "rs", controller=True),
        owner("Node", "n1", api_version="v1", controller=False),
    ]
    owners.append(owner("Widget", "w", api_version="example.com/v1"))
    assert facts_of(tree(1, metadata={"ownerReferences": owners})).owners == (
        OwnerReference("apps/v1", "ReplicaSet", "rs", "uid-rs", True),
        OwnerReference("v1", "Node", "n1", "uid-n1", False),
        OwnerReference("example.com/v1", "Widget", "w", "uid-w", False),
    )


def test_nulls_are_as_good_as_nothing() -> None:
    nothing = {
        "ownerReferences": None,
        "creationTimestamp": None,
        "managedFields": None,
        "deletionTimestamp": None,
        "deletionGracePeriodSeconds": None,
    }
    facts = facts_of(tree(1, metadata=nothing))
    assert (facts.owners, facts.managers, facts.time, facts.deleting) == ((), (), 0, False)


def body_of(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(read_object(orjson.dumps(obj), DEPLOYMENTS)[1])
    return found


def test_the_body_is_the_object_without_managed_fields_and_version() -> None:
    obj = tree(7, metadata={"labels": {"a": "b"}}, spec={"replicas": 2, "note": "…"}, status={})
    expected = tree(7, metadata={"labels": {"a": "b"}}, spec={"replicas": 2, "note": "…"}, status={})
    del expected["metadata"]["managedFields"], expected["metadata"]["resourceVersion"]
    assert body_of(obj) == expected


def test_items_of_lists_get_their_kind() -> None:
    item = tree(7)
    whole = body_of(item)
    del item["kind"], item["apiVersion"]
    assert body_of(item) == whole
    assert list(body_of(item))[:2] == ["kind", "apiVersion"]


def test_metadata_only_objects_are_what_they_stand_for() -> None:
    sent = {**tree(7), "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    facts, body = read_object(orjson.dumps(sent), SECRETS)
    assert (facts.kind, facts.api_version) == ("Secret", "v1")
    assert orjson.loads(body)["kind"] == "Secret"
    assert orjson.loads(body)["apiVersion"] == "v1"


def test_every_way_of_writing_an_object_gives_the_same_body() -> None:
    """Bytes are cut out where that is right; what is written otherwise must come to the same."""
    plain = tree(7, metadata={"labels": {"a": "b"}})
    metadata = plain["metadata"]
    backwards = {**plain, "metadata": dict(reversed(metadata.items()))}
    kind_last = {**{k: v for k, v in plain.items() if k != "kind"}, "kind": "Deployment"}
    spaced = orjson.dumps(plain, option=orjson.OPT_INDENT_2)
    expected = body_of(plain)
    assert body_of(backwards) == expected
    assert body_of(kind_last) == expected
    assert orjson.loads(read_object(spaced, DEPLOYMENTS)[1]) == expected


@pytest.mark.parametrize("place", ["annotations", "labels"])
@pytest.mark.parametrize("name", ["managedFields", "resourceVersion"])
def test_what_only_looks_like_bookkeeping_stays(place: str, name: str) -> None:
    """Anybody may call an annotation like a field of the metadata, also in front of the real one."""
    obj = tree(7)
    tricky = {"a": ',"managedFields":[]', name: "7", "z": '"resourceVersion":"7",'}
    obj["metadata"] = {place: tricky, **obj["metadata"], "finalizers": [name]}
    found = body_of(obj)["metadata"]
    assert found[place] == tricky
    assert found["finalizers"] == [name]
    assert "managedFields" not in found


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}",
        b'{"metadata":null}',
        b'{"metadata":[]}',
        b'{"metadata":{}}',
        b'{"metadata":{"uid":null}}',
        b'{"metadata":{"uid":7}}',
        b'{"metadata":{"uid":"u","name":7}}',
        b'{"metadata":{"uid":"u","ownerReferences":{"a":"b"}}}',
        b'{"metadata":{"uid":"u","managedFields":"none"}}',
        b'{"metadata":{"uid":"u"},"spec":\xff}',
        watched(1)[:-1],
        b"\xef\xbb\xbf\x00",
    ],
)
def test_broken_objects_are_bad_input_that_quotes_nothing(raw: bytes) -> None:
    with pytest.raises(BadInput) as problem:
        read_object(raw, DEPLOYMENTS)
    assert "text" not in str(problem.value)
    assert "none" not in str(problem.value)


def test_a_hundred_thousand_brackets_are_bad_input() -> None:
    with pytest.raises(BadInput):
        read_object(b'{"metadata":{"uid":"u"},"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}", DEPLOYMENTS)


def test_the_uid_of_an_object_that_is_not_readable_otherwise() -> None:
    assert uid_in(watched(1, metadata={"ownerReferences": "none"})) == UID
    assert uid_in(nested(watched(1), 900)) == UID
    assert uid_in(b'{"metadata":{}}') == ""
    assert uid_in(b"{") == ""


def test_owners_are_found_again_in_a_body() -> None:
    sent = tree(1, metadata={"ownerReferences": [owner("ReplicaSet", "rs", controller=True)]})
    facts, body = read_object(orjson.dumps(sent), DEPLOYMENTS)
    assert owners_in(body) == ("default", "demo", facts.owners)


KUBECTL = Entry("kubectl", "Apply", "", at("10:00:09"), msgspec.Raw())
CONTROLLER = Entry("controller", "Update", "status", at("10:00:09"), msgspec.Raw())
OLDER = Entry("helm", "Update", "", at("10:00:01"), msgspec.Raw())


def named(entry: Entry) -> tuple[FieldManager, ...]:
    return (FieldManager(entry.manager, entry.operation, entry.subresource, entry.time),)


def test_only_the_newest_writers_can_have_made_a_change() -> None:
    assert acting_managers((OLDER, KUBECTL), in_status=False) == named(KUBECTL)
    assert acting_managers((OLDER, CONTROLLER), in_status=True) == named(CONTROLLER)


def test_of_two_in_one_second_the_part_that_changed_decides() -> None:
    assert acting_managers((OLDER, KUBECTL, CONTROLLER), in_status=True) == named(CONTROLLER)
    assert acting_managers((OLDER, KUBECTL, CONTROLLER), in_status=False) == named(KUBECTL)


def test_a_writer_whose_part_does_not_fit_is_better_than_none() -> None:
    assert acting_managers((OLDER, KUBECTL), in_status=True) == named(KUBECTL)
    assert acting_managers((), in_status=True) == ()


def test_an_entry_of_another_version_of_the_api_does_not_tell_what_it_owns() -> None:
    entries = [
        {"manager": "a", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {}}},
        {"manager": "b", "apiVersion": "apps/v1beta1", "fieldsV1": {"f:spec": {}}},
        {"manager": "c", "apiVersion": "apps/v1"},
    ]
    facts, _ = read_object(orjson.dumps(tree(1, metadata={"managedFields": entries})), DEPLOYMENTS)
    assert [bytes(entry.fields) for entry in facts.managers] == [b'{"f:spec":{}}', b"", b""]
