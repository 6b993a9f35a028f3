"""IDs are part of the wire format: these values may only change together with every stored trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model import identity, windows
from kubeweft.model.references import ObjectKey, group_of, group_resource

KEY = ObjectKey("local", "apps", "deployments", "default", "demo")
REQUEST = {
    "cluster": "local",
    "audit_id": "a",
    "stage": "ResponseComplete",
    "received": "2026-11-21T10:00:00.000001Z",
    "completed": "2026-11-21T10:00:00.000002Z",
    "verb": "patch",
    "uri": "/x",
    "user": "me",
}


def test_ids_are_frozen() -> None:
    assert identity.trace_id(KEY, 0, windows.DEFAULT_WINDOW).hex() == "4b00001ca42dd32106f88694d654919f"
    assert (
        identity.change_span_id(cluster="c", uid="u", old_version="1", new_version="2").hex()
        == "afc515cd9aee0dd7"
    )


def test_a_trace_id_starts_with_k_and_room_for_view_and_windows() -> None:
    trace = identity.trace_id(KEY, 0, windows.DEFAULT_WINDOW)
    assert len(trace) == 16
    assert trace[:3] == b"K\x00\x00"
    assert len(identity.object_span_id(trace)) == identity.SPAN_ID_SIZE


@pytest.mark.parametrize("field", sorted(REQUEST))
def test_requests_with_one_forged_audit_id_stay_apart(field: str) -> None:
    other = {**REQUEST, field: REQUEST[field] + "x"}
    assert identity.request_span_id(**REQUEST) != identity.request_span_id(**other)


@given(st.lists(st.text(), min_size=8, max_size=8), st.lists(st.text(), min_size=8, max_size=8))
def test_no_choice_of_parts_imitates_other_parts(left: list[str], right: list[str]) -> None:
    ids = [
        identity.request_span_id(**dict(zip(sorted(REQUEST), parts, strict=True))) for parts in (left, right)
    ]
    assert (ids[0] == ids[1]) == (left == right)


def test_the_parts_of_a_trace_id_do_not_run_together() -> None:
    shifted = KEY._replace(namespace="defaul", name="tdemo")
    assert identity.trace_id(KEY, 0, 1) != identity.trace_id(shifted, 0, 1)
    assert identity.trace_id(KEY, 0, 1) != identity.trace_id(KEY, 0, 2)


def test_group_and_resource_names() -> None:
    assert str(KEY) == "deployments.apps/default/demo"
    assert str(KEY._replace(group="", resource="nodes", namespace="")) == "nodes//demo"
    assert (group_of("apps/v1"), group_of("v1")) == ("apps", "")
    assert group_resource("", "pods") == "pods"
