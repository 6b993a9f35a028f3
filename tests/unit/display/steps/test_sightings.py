"""A snapshot is shown only where it is news."""

from __future__ import annotations

from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import change, key, uid, weave

IT, ME = key("configmaps", "it"), uid(1)


def names(*observations: Observation) -> list[str]:
    return [fact.span.name for fact in story_of(IT, weave(*observations)).root.facts]


def test_a_sighting_of_a_version_that_a_change_tells_of_is_hidden() -> None:
    assert names(
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
        change(IT, "Sighting", "10:00:05", uid=ME, version="7"),
    ) == ["changed"]


def test_the_version_from_which_all_starts_is_news() -> None:
    assert names(
        change(IT, "Sighting", "10:00:04", uid=ME, version="6"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    ) == ["seen", "changed"]


def test_the_same_version_of_another_life_is_news() -> None:
    assert names(
        change(IT, "Sighting", "10:00:04", uid=uid(2), version="7"),
        change(IT, "Modified", "10:00:05", uid=ME, old="6", version="7"),
    ) == ["seen", "changed"]
