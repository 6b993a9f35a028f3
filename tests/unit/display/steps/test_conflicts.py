"""A conflict storm is one fact."""

from __future__ import annotations

from kubeweft.model.observations import Request
from memory_reader import story_of
from span_builders import at, key, request, weave

IT = key("configmaps", "it")


def conflict(clock: str, base: str = "7", user: str = "me") -> Request:
    return request(IT, "update", clock, code=409, base=base, reason="Conflict", user=user)


def test_conflicts_against_one_version_are_one_fact() -> None:
    storm = [conflict(f"10:00:{second:02d}.000", user=f"user-{second % 3}") for second in range(30)]
    (fact,) = story_of(IT, weave(*reversed(storm))).root.facts
    assert fact.folds == "conflicts"
    assert len(fact.children) == 29
    assert fact.start == at("10:00:00.000")
    assert fact.end == at("10:00:29.012")
    assert [c.start for c in fact.children] == sorted(c.start for c in fact.children)


def test_another_version_is_another_storm() -> None:
    facts = story_of(IT, weave(*[conflict(f"10:00:0{n}.000", base=str(n // 2)) for n in range(4)])).root.facts
    assert [len(f.children) for f in facts] == [1, 1]


def test_a_single_conflict_and_one_without_a_version_stay_alone() -> None:
    facts = story_of(
        IT, weave(conflict("10:00:01.0"), conflict("10:00:02.0", base=""), conflict("10:00:03.0", base=""))
    ).root.facts
    assert [(len(f.children), f.folds) for f in facts] == [(0, ""), (0, ""), (0, "")]


def test_other_failures_are_no_conflicts() -> None:
    refused = [request(IT, "update", f"10:00:0{n}.000", code=422, base="7") for n in range(3)]
    assert len(story_of(IT, weave(*refused)).root.facts) == 3


def test_beside_a_storm_a_single_conflict_stays_single() -> None:
    facts = story_of(IT, weave(*[conflict(f"10:00:0{n}.000", base="67"[n > 0]) for n in range(3)])).root.facts
    assert [(len(f.children), f.folds) for f in facts] == [(0, ""), (1, "conflicts")]
