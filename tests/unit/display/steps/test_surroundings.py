"""What happened to a whole collection is told once, at the root, and only where it matters."""

from __future__ import annotations

import pytest

from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, gap, key, request, uid, weave

POD, ALL = key("pods", "web-0"), key("pods", "")
GONE = change(POD, "Deleted", "10:00:05", uid=uid(1), old="6", version="7")


def sources(*observations: Observation) -> list[str]:
    spans = weave(change(POD, "Added", "09:59:00", uid=uid(1), version="6"), *observations)
    return [fact.span.name for fact in story_of(POD, spans).root.facts]


def test_a_deletecollection_that_took_the_object_is_told() -> None:
    assert sources(GONE, request(ALL, "deletecollection", "10:00:05.300")) == [
        "created",
        "deleted",
        "deletecollection",
    ]


@pytest.mark.parametrize(
    "other",
    [
        request(ALL, "deletecollection", "10:03:00.000"),
        request(ALL, "deletecollection", "10:00:05.300", code=403),
        request(key("pods", "", namespace="elsewhere"), "deletecollection", "10:00:05.300"),
        request(ALL, "list", "10:00:05.300"),
    ],
    ids=["later", "refused", "other namespace", "reading"],
)
def test_one_that_did_not_is_left_out(other: Observation) -> None:
    assert sources(GONE, other) == ["created", "deleted"]


def test_a_deletion_that_has_its_own_request_needs_none() -> None:
    asked = request(POD, "delete", "10:00:05.100", uid=uid(1))
    assert sources(GONE, asked, request(ALL, "deletecollection", "10:00:05.300")) == ["created", "delete"]


def test_a_gap_of_the_type_is_told() -> None:
    watch = gap(key("pods", "", namespace=""), "WatchExpired", "10:00:01", "10:00:03")
    assert sources(watch) == ["created", "gap"]
