"""The object as it was at some moment."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubeweft.display.history.manifest import manifest_at, manifest_yaml
from kubeweft.model import changes
from kubeweft.model.errors import UserError
from kubeweft.model.observations import Observation
from memory_reader import MemoryReader
from span_builders import at, change, key, request, uid, weave

IT, ME = key("deployments", "it"), uid(1)


def state(replicas: int, **more: Any) -> dict[str, Any]:
    """The Deployment with so many replicas."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "it", "uid": ME, **more},
        "spec": {"replicas": replicas},
    }


def step(old: int, new: int, clock: str, **more: Any) -> Observation:
    """From ``old`` replicas (and version) to ``new``."""
    return change(
        IT,
        "Modified",
        clock,
        uid=ME,
        old=str(old),
        version=str(new),
        patch=changes.diff(state(old), state(new)),
        **more,
    )


def replicas_at(clock: str, *observations: Observation) -> int:
    manifest = manifest_at(MemoryReader(weave(*observations)), IT, at(clock))
    assert manifest["kind"] == "Deployment"
    replicas: int = manifest["spec"]["replicas"]
    assert manifest["metadata"]["resourceVersion"] == str(replicas)
    return replicas


def added(clock: str = "10:00:00", version: int = 1) -> Observation:
    return change(IT, "Added", clock, uid=ME, version=str(version), body=state(version))


STORY = [added(), step(1, 2, "10:01:00"), step(2, 3, "10:02:00"), step(3, 4, "10:40:00")]


@pytest.mark.parametrize(
    ("clock", "replicas"),
    [
        ("10:00:00", 1),
        ("10:00:59.999", 1),
        ("10:01:00", 2),
        ("10:39:59", 3),
        ("10:40:00", 4),
        ("23:00:00", 4),
    ],
)
def test_snapshot_and_patches_up_to_the_moment(clock: str, replicas: int) -> None:
    assert replicas_at(clock, *STORY) == replicas


def test_the_time_of_a_change_is_that_of_its_request() -> None:
    story = [added(), step(1, 2, "10:01:00"), request(IT, "patch", "10:01:00.600", uid=ME, version="2")]
    assert replicas_at("10:01:00.599", *story) == 1
    assert replicas_at("10:01:00.600", *story) == 2


def test_a_change_that_renewed_no_time_did_not_happen_before_its_predecessor() -> None:
    story = [added(), step(1, 2, "10:05:00"), step(2, 3, "10:01:00")]
    assert replicas_at("10:02:00", *story) == 1
    assert replicas_at("10:05:00", *story) == 3


def test_the_newest_snapshot_is_enough_and_only_few_windows_are_read() -> None:
    hours = [step(n, n + 1, f"{n + 1:02d}:00:00") for n in range(1, 20)]
    sighting = change(IT, "Sighting", "20:10:00", uid=ME, version="20", body=state(20))
    reader = MemoryReader(weave(added("01:00:00"), *hours, sighting))
    assert manifest_at(reader, IT, at("21:00:00"))["spec"]["replicas"] == 20
    assert reader.calls == {"windows_of": 1, "spans_of": 1}


def test_older_windows_are_read_where_the_newest_hold_no_snapshot() -> None:
    hours = [step(n, n + 1, f"{n + 1:02d}:00:00") for n in range(1, 20)]
    reader = MemoryReader(weave(added("01:00:00"), *hours))
    assert manifest_at(reader, IT, at("21:00:00"))["spec"]["replicas"] == 20
    assert reader.calls["spans_of"] == 2  # 8 windows, then as many as 16


def test_a_quiet_object_is_known_from_long_ago() -> None:
    story = [added("01:00:00"), *[request(IT, "patch", f"{hour:02d}:00:00.000") for hour in range(2, 20)]]
    assert replicas_at("21:00:00", *story) == 1


def test_a_deleted_object_says_when() -> None:
    gone = change(IT, "Deleted", "10:03:00", uid=ME, old="3", version="9", body=state(3))
    with pytest.raises(UserError, match="was deleted at 2026-11-21T10:03:00Z"):
        manifest_at(MemoryReader(weave(*STORY[:3], gone)), IT, at("10:03:00"))
    assert replicas_at("10:02:59", *STORY[:3], gone) == 3


def test_a_deletion_found_by_a_relist_has_no_version_and_is_the_last_all_the_same() -> None:
    gone = change(IT, "Deleted", "10:03:00", uid=ME, old="3", version="", body=state(3), receipt=True)
    with pytest.raises(UserError, match="was deleted at"):
        manifest_at(MemoryReader(weave(*STORY[:3], gone)), IT, at("10:04:00"))


def test_the_body_of_a_deletion_tells_the_version_before_it() -> None:
    gone = change(IT, "Deleted", "10:03:00", uid=ME, old="3", version="9", body=state(3))
    assert replicas_at("10:02:30", step(2, 3, "10:02:00"), gone) == 3


def test_a_created_again_object_is_the_new_one() -> None:
    again = change(IT, "Added", "10:04:00", uid=uid(2), version="12", body=state(12))
    gone = change(IT, "Deleted", "10:03:00", uid=ME, old="3", version="9")
    assert replicas_at("10:05:00", *STORY[:3], gone, again) == 12
    assert replicas_at("10:02:00", *STORY[:3], gone, again) == 3


def test_before_the_first_snapshot_nothing_is_known() -> None:
    for first, said in (
        (added("10:10:00"), "it was created 2026-11-21T10:10:00Z"),
        (added("11:10:00"), "it was created 2026-11-21T11:10:00Z"),
        (step(2, 3, "12:00:00"), "it is known since 2026-11-21T12:00:00Z"),
    ):
        with pytest.raises(UserError, match=f"at 2026-11-21T10:00:00Z: {said}"):
            manifest_at(MemoryReader(weave(first)), IT, at("10:00:00"))


def test_a_cut_patch_is_no_guess_but_an_error_that_says_from_when_on() -> None:
    story = [
        added(),
        step(1, 2, "10:01:00", truncated=True),
        step(2, 3, "10:02:00"),
        change(IT, "Sighting", "10:02:30", uid=ME, version="4", body=state(4)),
        step(4, 5, "10:03:00"),
    ]
    with pytest.raises(UserError, match=r"version 3 .*known again from 2026-11-21T10:02:30"):
        replicas_at("10:02:10", *story)
    assert replicas_at("10:03:30", *story) == 5
    assert replicas_at("10:00:30", *story) == 1


def test_a_large_step_bridges_a_missing_small_one() -> None:
    assert replicas_at("10:09:00", added(), step(2, 3, "10:02:00"), step(1, 3, "10:02:00")) == 3


def test_a_change_of_nothing_that_is_kept_has_no_patch_and_is_no_gap() -> None:
    """Only managedFields differed, or what policies ignore."""
    touched = change(IT, "Modified", "10:00:30", uid=ME, old="1", version="15")
    later = change(
        IT, "Modified", "10:01:00", uid=ME, old="15", version="20", patch=changes.diff(state(1), state(20))
    )
    assert replicas_at("10:02:00", added(), touched, later) == 20


def test_a_patch_that_does_not_fit_is_no_guess_either() -> None:
    wrong = change(
        IT, "Modified", "10:01:00", uid=ME, old="1", version="2", patch=[{"op": "remove", "path": "/no/such"}]
    )
    with pytest.raises(UserError, match="cannot be rebuilt"):
        replicas_at("10:02:00", added(), wrong)


def test_yaml_reads_back_as_the_same_and_begins_as_kubectl_writes_it() -> None:
    manifest = dict(reversed(state(2, labels={"ümlaut": "yes"}).items()))
    text = manifest_yaml(manifest)
    assert yaml.safe_load(text) == manifest
    assert text.startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n")
    assert "ümlaut" in text


def test_where_no_whole_object_is_near_it_is_not_searched_for_without_end() -> None:
    hours = [step(n, n + 1, f"{n + 1:02d}:00:00") for n in range(1, 20)]
    reader = MemoryReader(weave(added("01:00:00"), *hours))
    with pytest.raises(UserError, match=r"too much happened .*\(10 spans\): ask for an earlier time"):
        manifest_at(reader, IT, at("21:00:00"), most_spans=10)
