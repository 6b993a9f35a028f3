"""Everything in the order in which it happened, although many times are known to the second only."""

from __future__ import annotations

import msgspec

from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import at, change, event, key, owner, request, uid, weave

IT, POD, ME = key("configmaps", "it"), key("pods", "web-0"), uid(1)


def versions(*observations: Observation) -> list[str]:
    return [f.text("kubeweft.object.resource_version") for f in story_of(IT, weave(*observations)).root.facts]


def test_within_a_second_versions_tell_the_order_as_numbers() -> None:
    steps = [
        change(IT, "Modified", "10:00:00", uid=ME, old=str(n - 1), version=str(n)) for n in (11, 9, 100, 10)
    ]
    assert versions(*steps) == ["9", "10", "11", "100"]


def test_a_change_to_the_second_does_not_stand_before_a_request_of_a_lower_version() -> None:
    assert versions(
        change(IT, "Modified", "10:00:00", uid=ME, old="8", version="9"),
        request(IT, "patch", "10:00:00.700", uid=ME, version="8"),
        change(IT, "Modified", "10:00:00", uid=ME, old="7", version="8"),
        request(IT, "patch", "10:00:00.200", uid=ME, version="5"),
    ) == ["5", "8", "9"]


def test_a_change_that_renewed_no_time_stands_where_its_version_says() -> None:
    assert versions(
        change(IT, "Modified", "09:00:00", uid=ME, old="8", version="9"),
        change(IT, "Modified", "10:00:00", uid=ME, old="7", version="8"),
    ) == ["8", "9"]


def test_opaque_versions_are_ordered_by_time() -> None:
    assert versions(
        change(IT, "Modified", "10:00:02", uid=ME, old="a", version="b"),
        change(IT, "Modified", "10:00:01", uid=ME, old="b", version="a"),
    ) == ["a", "b"]


def test_an_event_of_the_same_second_follows_the_creation() -> None:
    spans = weave(
        event(POD, "Pulled", "10:00:00", uid=ME),
        request(POD, "create", "10:00:00.300", code=201, uid=ME, version="1"),
        change(POD, "Added", "10:00:00", uid=ME, version="1"),
    )
    assert [f.span.name for f in story_of(POD, spans).root.facts] == ["create", "Pulled"]


def test_the_name_of_an_event_tells_its_place_in_the_second() -> None:
    """client-go: ``fmt.Sprintf("%v.%x", ref.Name, t.UnixNano())``."""

    def named(reason: str, clock: str, count: int = 1) -> Observation:
        told = event(IT, reason, "10:00:00", count=count)
        return msgspec.structs.replace(told, event_name=f"it.{at(clock):x}")

    spans = weave(
        named("Third", "10:00:00.400"),
        named("First", "10:00:00.100"),
        named("OutOfPlace", "09:59:00.000"),
        request(IT, "patch", "10:00:00.200"),
    )
    names = [fact.span.name for fact in story_of(IT, spans).root.facts]
    assert names == ["OutOfPlace", "First", "patch", "Third"]


def test_a_series_stands_where_it_began() -> None:
    states = [event(IT, "Again", clock, count=n) for n, clock in enumerate(("10:00:00", "10:05:00"), start=1)]
    named = [msgspec.structs.replace(state, event_name=f"it.{at('10:00:00.400'):x}") for state in states]
    spans = weave(*named, request(IT, "patch", "10:00:00.200"))
    assert [fact.span.name for fact in story_of(IT, spans).root.facts] == ["patch", "Again"]


def test_owned_objects_follow_each_other_in_time() -> None:
    top = key("replicasets", "top")
    pods = [key("pods", name) for name in ("c", "a", "b")]
    changes = [
        change(pod, "Added", f"10:00:0{n}", uid=uid(n + 2), version=str(n + 1), owners=(owner(top, ME),))
        for n, pod in enumerate(pods)
    ]
    assert [child.key.name for child in story_of(top, weave(*changes)).root.children] == ["c", "a", "b"]
