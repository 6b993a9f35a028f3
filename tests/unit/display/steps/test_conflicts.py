"""A conflict storm is one fact."""

from __future__ import annotations

import pytest

from kubeweft.display.tree.made import SHOWN_REPLACED, tag
from kubeweft.display.words.pens import Pen
from kubeweft.display.words.wording import word_fact
from kubeweft.model.observations import Observation, Request
from memory_reader import story_of
from span_builders import at, change, key, request, uid, weave

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


WRITTEN = (
    request(IT, "update", "10:00:00.500", user="jane", uid=uid(1), version="8"),
    change(IT, "Modified", "10:00:00", uid=uid(1), old="7", version="8"),
)


def test_a_conflict_says_which_write_replaced_the_version() -> None:
    root = story_of(IT, weave(*WRITTEN, conflict("10:00:01.0"), conflict("10:00:02.0", user="you"))).root
    storm = root.facts[1]
    assert tag(storm.label, SHOWN_REPLACED) == "update by jane (kubectl)"
    assert [line.plain for line in word_fact(storm, root, Pen()).details] == [
        "version 7 had been replaced: update by jane (kubectl)",
        "1 by me, 1 by you",
    ]


@pytest.mark.parametrize(
    "written",
    [
        change(IT, "Modified", "10:00:00", uid=uid(1), old="6", version="7", manager="jane"),
        change(IT, "Modified", "10:00:00", uid=uid(1), old="7", version="8"),
        request(IT, "update", "10:00:00.500", user="jane", uid=uid(1), version="8"),
    ],
    ids=["another version", "nobody knows who", "nobody knows which version"],
)
def test_where_that_is_not_known_it_says_nothing(written: Observation) -> None:
    (*_, fact) = story_of(IT, weave(written, conflict("10:00:01.0"))).root.facts
    assert tag(fact.label, SHOWN_REPLACED) == ""


def test_without_the_request_the_field_manager_tells() -> None:
    seen = change(IT, "Modified", "10:00:00", uid=uid(1), old="7", version="8", manager="helm")
    (*_, fact) = story_of(IT, weave(seen, conflict("10:00:01.0"))).root.facts
    assert tag(fact.label, SHOWN_REPLACED) == "changed by helm"
