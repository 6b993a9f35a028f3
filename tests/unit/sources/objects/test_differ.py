"""Versions in, changes out: what counts as a change, with which time, and when a snapshot goes with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Change
from kubeweft.model.plan import FieldRedaction, Plan, Redaction, Scope
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import ResourcePattern
from kubeweft.sources.objects import differing
from kubeweft.sources.objects.differing import Differ
from kubeweft.store.interfaces import Resume, StoredVersion
from watched_objects import (
    DAY,
    DEPLOYMENTS,
    OTHER_UID,
    RECEIVED,
    SECRETS,
    UID,
    WIDGETS,
    at,
    differ_of,
    managed,
    nested,
    owner,
    rules_of,
    watched,
)

CANARY = "canary-2f6b1c"
DEMO = ObjectKey("local", "apps", "deployments", "default", "demo")


def absorb(differ: Differ, kind: str, raw: bytes, *, received: int = RECEIVED) -> list[Change]:
    return differ.absorb(kind, raw, received=received)[1]


def absorb_listed(differ: Differ, raw: bytes, *, received: int = RECEIVED) -> list[Change]:
    return differ.take_listed(*differ.read(raw), received=received)


def types(changes: list[Change]) -> list[str]:
    return [change.type for change in changes]


def patch_of(change: Change) -> Any:
    return orjson.loads(change.patch)


# ------------------------------------------------------------------------------------------- what is a change


def test_a_new_object_is_added_with_its_body() -> None:
    owners = [owner("Widget", "w", api_version="example.com/v1")]
    (added,) = absorb(
        differ_of(), "ADDED", watched(5, "10:00:00", metadata={"generation": 1, "ownerReferences": owners})
    )
    assert (added.type, added.key, added.uid) == ("Added", DEMO, UID)
    assert (added.old_version, added.version, added.generation) == ("", "5", 1)
    assert (added.time, added.time_source) == (at("10:00:00"), "object")
    assert orjson.loads(added.body)["spec"] == {"replicas": 2}
    assert [reference.name for reference in added.owners] == ["w"]
    assert [writer.manager for writer in added.managers] == ["kubectl"]


def test_a_listed_object_is_a_sighting() -> None:
    (seen,) = absorb_listed(differ_of(), watched(5))
    assert (seen.type, seen.old_version, seen.version, seen.patch) == ("Sighting", "", "5", "")
    assert orjson.loads(seen.body)["spec"] == {"replicas": 2}


def test_a_change_of_something_never_seen_is_a_sighting() -> None:
    assert types(absorb(differ_of(), "MODIFIED", watched(5))) == ["Sighting"]


def test_a_newer_version_is_a_change_from_the_one_before() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    (changed,) = absorb(differ, "MODIFIED", watched(9, "10:00:04", manager="hpa", spec={"replicas": 4}))
    assert (changed.type, changed.old_version, changed.version) == ("Modified", "5", "9")
    assert patch_of(changed) == [{"op": "replace", "path": "/spec/replicas", "value": 4}]
    assert changed.words == ("spec.replicas 2 → 4",)
    assert [writer.manager for writer in changed.managers] == ["hpa"]
    assert changed.body == b""


def test_a_version_without_any_difference_is_still_a_change() -> None:
    """Every version that a watch shows is told; this one changed nothing but managedFields."""
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    (changed,) = absorb(differ, "MODIFIED", watched(6))
    assert (changed.version, changed.patch, changed.words) == ("6", "", ())


@pytest.mark.parametrize("version", ["9", "8", "10", "99999999999999999998"])
def test_repeated_and_older_versions_make_nothing(version: str) -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched("99999999999999999999" if len(version) > 2 else "10"))
    for kind in ("ADDED", "MODIFIED"):
        assert absorb(differ, kind, watched(version, spec={"replicas": 7})) == []
    assert absorb_listed(differ, watched(version, spec={"replicas": 7})) == []


def test_versions_are_numbers_of_any_length() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched("9" * 20))
    assert types(absorb(differ, "MODIFIED", watched("1" + "0" * 20))) == ["Modified"]


def test_opaque_versions_are_compared_by_equality() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched("b7"))
    assert absorb(differ, "MODIFIED", watched("b7", spec={"replicas": 7})) == []
    assert types(absorb(differ, "MODIFIED", watched("a3", spec={"replicas": 7}))) == ["Modified"]


def test_a_name_created_again_is_another_object() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    absorb(differ, "DELETED", watched(7))
    (added,) = absorb(differ, "ADDED", watched(8, uid=OTHER_UID))
    assert (added.type, added.key, added.uid, added.old_version) == ("Added", DEMO, OTHER_UID, "")


def test_an_object_that_cannot_be_read_changes_nothing() -> None:
    differ = differ_of(WIDGETS)
    absorb(differ, "ADDED", watched(5, resource=WIDGETS))
    for raw in (b"{", nested(watched(6, resource=WIDGETS), 300)):
        with pytest.raises(BadInput):
            absorb(differ, "MODIFIED", raw)
    (changed,) = absorb(differ, "MODIFIED", watched(7, resource=WIDGETS, spec={"replicas": 3}))
    assert (changed.old_version, changed.version) == ("5", "7")


# ------------------------------------------------------------------------------------------------- deletions


def test_a_deletion_brings_the_object_as_it_was() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    (deleted,) = absorb(differ, "DELETED", watched(7))
    assert (deleted.type, deleted.old_version, deleted.version) == ("Deleted", "5", "7")
    assert orjson.loads(deleted.body)["spec"] == {"replicas": 2}
    assert deleted.managers == ()
    assert differ.remembered == {}


def test_a_deletion_that_tells_no_time_has_that_of_its_receipt() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    (deleted,) = absorb(differ, "DELETED", watched(7), received=RECEIVED + 1)
    assert (deleted.time, deleted.time_source) == (RECEIVED + 1, "receipt")


def test_a_marked_deletion_has_the_time_of_the_object() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    marked = {"deletionTimestamp": f"{DAY}T10:00:40Z", "deletionGracePeriodSeconds": 30}
    (asked,) = absorb(differ, "MODIFIED", watched(6, metadata=marked))
    (deleted,) = absorb(differ, "DELETED", watched(7, metadata=marked))
    for change in (asked, deleted):
        assert (change.time, change.time_source) == (at("10:00:10"), "object")
    assert asked.managers == ()  # nobody leaves a name in managedFields by deleting


def test_the_deletion_of_something_never_seen_is_told() -> None:
    (deleted,) = absorb(differ_of(), "DELETED", watched(7))
    assert (deleted.type, deleted.old_version, deleted.patch) == ("Deleted", "", "")
    assert orjson.loads(deleted.body)["spec"] == {"replicas": 2}


def test_a_deletion_without_a_version_of_its_own_counts() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    assert types(absorb(differ, "DELETED", watched(5))) == ["Deleted"]
    assert absorb(differ, "DELETED", watched(5)) == []


def test_what_is_told_again_after_a_deletion_makes_nothing() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5))
    absorb(differ, "DELETED", watched(7))
    for kind, version in (("ADDED", 5), ("MODIFIED", 6), ("DELETED", 7)):
        assert absorb(differ, kind, watched(version)) == []
    assert differ.remembered == {}


def test_deletions_are_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differing, "MOST_DELETED", 3)
    differ = differ_of()
    for number in range(5):
        absorb(differ, "DELETED", watched(7, uid=f"uid-{number}"))
    told_again = [absorb(differ, "DELETED", watched(7, uid=f"uid-{number}")) for number in (4, 3, 2)]
    assert told_again == [[], [], []]
    assert types(absorb(differ, "DELETED", watched(7, uid="uid-0"))) == ["Deleted"]


def test_what_a_list_does_not_hold_was_deleted_at_an_unknown_version() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5, metadata={"ownerReferences": [owner("ReplicaSet", "rs")]}))
    deleted = differ.missing(UID, received=RECEIVED)
    assert deleted is not None
    assert (deleted.type, deleted.old_version, deleted.version) == ("Deleted", "5", "")
    assert (deleted.time, deleted.time_source, deleted.key) == (RECEIVED, "receipt", DEMO)
    assert orjson.loads(deleted.body)["spec"] == {"replicas": 2}
    assert [reference.name for reference in deleted.owners] == ["rs"]
    assert differ.missing(UID, received=RECEIVED) is None


# ----------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize("year", ["2027", "2262", "9999"])
def test_a_time_that_lies_ahead_is_not_believed(year: str) -> None:
    """Clients may write managedFields; a change in the year 9999 would be in no window that anybody looks at."""
    forged = managed("mallory", "10:00:00") | {"time": f"{year}-11-22T13:00:00Z"}
    (added,) = absorb(differ_of(), "ADDED", watched(5, metadata={"managedFields": [forged]}))
    assert (added.time, added.time_source) == (RECEIVED, "receipt")


def test_a_clock_a_little_behind_the_api_server_is_no_forgery() -> None:
    (added,) = absorb(differ_of(), "ADDED", watched(5, "10:00:00"), received=at("09:58:00"))
    assert (added.time, added.time_source) == (at("10:00:00"), "object")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "soon", ""])
def test_a_time_before_all_times_is_none(time: str) -> None:
    (added,) = absorb(differ_of(), "ADDED", watched(5, "", metadata={"creationTimestamp": time}))
    assert (added.time, added.time_source) == (RECEIVED, "receipt")


# ------------------------------------------------------------------------------------------------- snapshots


def test_the_first_change_of_a_window_brings_a_snapshot() -> None:
    differ = differ_of()
    absorb(differ, "ADDED", watched(5, "10:00:00"))
    assert types(absorb(differ, "MODIFIED", watched(6, "10:29:59", spec={"replicas": 3}))) == ["Modified"]
    changed, seen = absorb(differ, "MODIFIED", watched(7, "10:30:00", spec={"replicas": 4}))
    assert (changed.type, changed.old_version, changed.body) == ("Modified", "6", b"")
    assert (seen.type, seen.old_version, seen.version, seen.patch) == ("Sighting", "", "7", "")
    assert orjson.loads(seen.body)["spec"] == {"replicas": 4}
    assert types(absorb(differ, "MODIFIED", watched(8, "10:59:59", spec={"replicas": 5}))) == ["Modified"]


def test_a_patch_that_is_too_large_is_cut_and_replaced_by_a_snapshot() -> None:
    differ = differ_of(plan=Plan(max_patch_bytes=100))
    absorb(differ, "ADDED", watched(5))
    changed, seen = absorb(differ, "MODIFIED", watched(6, spec={"replicas": 2, "note": "x" * 100}))
    assert (changed.patch, changed.patch_truncated) == ("", True)
    assert changed.words
    assert orjson.loads(seen.body)["spec"]["note"] == "x" * 100


def test_a_patch_that_cannot_be_written_is_cut() -> None:
    """The object is just not too deep, but its patch is, by the levels around the value."""
    differ = differ_of(WIDGETS, plan=Plan(max_patch_bytes=10**6))
    absorb(differ, "ADDED", watched(5, resource=WIDGETS))
    changed, seen = absorb(differ, "MODIFIED", nested(watched(6, resource=WIDGETS), 253))
    assert (changed.patch, changed.patch_truncated, seen.type) == ("", True, "Sighting")


def test_an_object_that_becomes_wanted_gets_its_snapshot() -> None:
    """Nobody has seen the body of what was not wanted before, so the next patch alone would say nothing."""
    unwanted = Plan(scopes=(Scope(policy="p", excluded_namespaces=frozenset({"default"})),))
    differ = differ_of(plan=unwanted)
    absorb(differ, "ADDED", watched(5))
    absorb(differ, "MODIFIED", watched(6, spec={"replicas": 3}))
    differ.rules = rules_of()
    assert types(absorb(differ, "MODIFIED", watched(7, spec={"replicas": 4}))) == ["Modified", "Sighting"]
    assert types(absorb(differ, "MODIFIED", watched(8, spec={"replicas": 5}))) == ["Modified"]


# --------------------------------------------------------------------------------------------------- secrets


def secret(version: int, value: str, *, uid: str = UID) -> bytes:
    return watched(version, resource=SECRETS, uid=uid, data={"password": value}, stringData={"token": value})


def texts(differ: Differ, changes: list[Change]) -> str:
    """Everything that a differ hands over or keeps."""
    kept = [differ.compression.unpack(one).decode() for one in differ.remembered.values()]
    return "\n".join([str(changes), *kept, str(differ.take_new_dictionary())])


@pytest.mark.parametrize("digest", [False, True])
def test_secrets_are_redacted_before_they_are_remembered(digest: bool) -> None:
    plan = Plan(redaction=Redaction(digest_secrets=digest))
    differ = differ_of(SECRETS, plan=plan)
    changes = []
    for number in range(20):
        changes += absorb(differ, "ADDED", secret(5, f"{CANARY}{number}", uid=f"uid-{number}"))
    differ.settle(list(differ.remembered))
    changes += absorb(differ, "ADDED", secret(5, CANARY))
    changes += absorb(differ, "MODIFIED", secret(6, CANARY + "-new"))
    changes += absorb(differ, "DELETED", secret(7, CANARY + "-new"))
    assert differ.compression.current == 1
    assert CANARY not in texts(differ, changes)
    steps = [change.patch for change in changes if change.type == "Modified"]
    assert [bool(step) for step in steps] == [
        digest
    ]  # that a value changed is told only if a policy wants digests


def with_token(version: int, token: str) -> bytes:
    return watched(version, resource=WIDGETS, spec={"token": token, "size": version})


HIDING = Plan(
    redaction=Redaction(
        fields=(
            FieldRedaction(("spec", "token"), False, (ResourcePattern(frozenset({"*"}), frozenset({"*"})),)),
        )
    )
)


def test_changed_rules_also_hide_the_value_before() -> None:
    differ = differ_of(WIDGETS)
    absorb(differ, "ADDED", with_token(5, CANARY))
    differ.rules = rules_of(HIDING)
    ((uid, body, _, _),) = differ.revise()
    assert (uid, CANARY in body.decode()) == (UID, False)
    changes = absorb(differ, "MODIFIED", with_token(6, CANARY + "-new"))
    assert CANARY not in texts(differ, changes)
    assert types(changes) == ["Modified", "Sighting"]  # the snapshot before was made under other rules
    assert patch_of(changes[0]) == [{"op": "replace", "path": "/spec/size", "value": 6}]


def test_rules_that_change_nothing_of_an_object_cost_no_snapshot() -> None:
    differ = differ_of(WIDGETS)
    absorb(differ, "ADDED", watched(5, resource=WIDGETS))
    differ.rules = rules_of(HIDING)
    assert len(list(differ.revise())) == 1
    assert types(absorb(differ, "MODIFIED", watched(6, resource=WIDGETS, spec={"replicas": 9}))) == [
        "Modified"
    ]


def test_ignored_fields_are_compared_by_nobody() -> None:
    differ = differ_of(plan=Plan(ignore_paths=frozenset({("status",)})))
    absorb(differ, "ADDED", watched(5, spec={"a": 1}, status={"n": 1}))
    (changed,) = absorb(differ, "MODIFIED", watched(6, spec={"a": 1}, status={"n": 2}))
    assert (changed.patch, changed.words) == ("", ())


# -------------------------------------------------------------------------------------------------- restarts


def resume_of(differ: Differ) -> Resume:
    """What a checkpoint of everything would leave behind."""
    settled = [
        StoredVersion("default", "demo", uid, *one[:4], b"")
        for uid, one in differ.settle(list(differ.remembered))
    ]
    dictionary = differ.take_new_dictionary()
    assert dictionary is not None
    assert differ.take_new_dictionary() is None
    return Resume(version="1", time=1, versions=settled, dictionaries=(dictionary,))


def test_a_new_run_goes_on_where_the_old_one_was() -> None:
    before = differ_of()
    for number in range(40):
        absorb(before, "ADDED", watched(5, uid=f"uid-{number}", spec={"replicas": number}))
    after = differ_of()
    after.load(resume_of(before))
    assert {one.dictionary for one in after.remembered.values()} == {0, 1}
    for number in range(40):
        next_one = watched(6, "10:01:00", uid=f"uid-{number}", spec={"replicas": 99})
        assert absorb(after, "ADDED", watched(5, uid=f"uid-{number}")) == []
        assert absorb(after, "MODIFIED", next_one) == absorb(before, "MODIFIED", next_one)


def test_settled_objects_are_small_and_compared_as_before() -> None:
    plain, settled = differ_of(), differ_of()
    text = "what a person wrote into an annotation " * 50
    for differ in (plain, settled):
        for number in range(40):
            absorb(differ, "ADDED", watched(5, uid=f"uid-{number}", spec={"text": text, "number": number}))
    settled.settle(["uid-3", "uid-4"])
    settled.settle(list(settled.remembered))
    assert max(len(one.body) for one in list(settled.remembered.values())[8:]) < 100
    assert min(len(one.body) for one in plain.remembered.values()) > 1000
    for number in range(40):
        raw = watched(6, "10:01:00", uid=f"uid-{number}", spec={"text": text + "!", "number": number})
        assert absorb(settled, "MODIFIED", raw) == absorb(plain, "MODIFIED", raw)


def test_one_differ_serves_one_cluster_and_type() -> None:
    differ = differ_of(SECRETS)
    assert differ.key("ns", "n") == ObjectKey("local", "", "secrets", "ns", "n")
    assert dataclasses.is_dataclass(differ.rules)
    assert differ.resource != DEPLOYMENTS
