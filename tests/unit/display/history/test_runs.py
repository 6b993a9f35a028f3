"""Runs: where they begin and end, and the steps they consist of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.history.comparing import compare, comparison_as_json, ended_alike
from kubeweft.display.history.runs import Run, StepName, choose_start, run_of, starts_of
from kubeweft.display.tree.selection import OWNED
from kubeweft.display.tree.trees import Fact
from kubeweft.model.observations import Observation
from memory_reader import story_of
from span_builders import SECOND, at, change, event, gap, key, owner, request, uid, weave

IT, POD, OTHER = key("deployments", "it"), key("pods", "it-1"), key("pods", "it-2")
MINUTE = 60 * SECOND


def spec(clock: str, version: int, *words: str, **more: Any) -> Observation:
    return change(
        IT, "Modified", clock, uid=uid(1), old=str(version - 1), version=str(version), words=words, **more
    )


def pod(which: int, clock: str, words: tuple[str, ...] = (), version: int = 100) -> Observation:
    target = (POD, OTHER)[which]
    if not words:
        body: dict[str, object] = {"metadata": {"name": target.name, "uid": uid(10 + which)}}
        owners = (owner(IT, uid(1)),)
        return change(target, "Added", clock, uid=uid(10 + which), version="100", owners=owners, body=body)
    old, new = str(version - 1), str(version)
    return change(target, "Modified", clock, uid=uid(10 + which), old=old, version=new, words=words)


STORY: list[Observation] = [
    change(IT, "Added", "10:00:00", uid=uid(1), version="1"),
    request(IT, "create", "10:00:00.100", uid=uid(1), version="1", code=201),
    spec("10:01:00", 2, "+ status.replicas = 1"),
    spec("10:05:00", 3, "spec.replicas 1 → 2", "metadata.generation 1 → 2"),
    request(IT, "patch", "10:05:00.500", uid=uid(1), version="3"),
    spec("10:05:01", 4, "metadata.annotations['a'] 1 → 2"),
    pod(0, "10:05:02"),
    pod(
        0, "10:05:04", ("status.phase Pending → Running", "status.conditions[Ready].status False → True"), 101
    ),
    event(POD, "Started", "10:05:03", uid=uid(10)),
    spec("10:40:30", 5, "spec.template.spec.containers[web].image a → b"),
    request(IT, "patch", "10:40:30.250", uid=uid(1), version="5", user="alice"),
]


def starts(*observations: Observation) -> list[Fact]:
    alone = dataclasses.replace(OWNED, down=0)
    return starts_of(story_of(IT, weave(*observations), selection=alone).root)


def run(clock: str, *observations: Observation, quiet: int = 10 * MINUTE, until: str = "23:00:00") -> Run:
    tree = story_of(IT, weave(*observations), since=at(clock), until=at(until))
    return run_of(tree, start=at(clock), quiet=quiet)


def test_a_run_begins_with_a_creation_or_with_what_is_wanted() -> None:
    expected = [at("10:00:00.100"), at("10:05:00.500"), at("10:40:30.250")]
    assert [fact.start for fact in starts(*STORY)] == expected


def test_what_became_of_an_object_begins_no_run() -> None:
    words = ("status.replicas 1 → 2", "metadata.labels.a 1 → 2", "+ spec.nodeName = n", "… 3 more")
    assert starts(*[spec(f"10:0{n}:00", n + 2, line) for n, line in enumerate(words)]) == []
    assert len(starts(spec("10:00:00", 2, "data.a 1 → 2"))) == 1
    assert len(starts(spec("10:00:00", 2, "metadata.generation 1 → 2"))) == 1


@pytest.mark.parametrize(
    ("clock", "precision", "expected"),
    [
        ("10:05:00", MINUTE, "10:05:00.500"),  # in that minute
        ("10:40:00", MINUTE, "10:40:30.250"),
        ("10:05:00", SECOND, "10:05:00.500"),
        ("10:05:00", 1, "10:00:00.100"),  # on at that very moment
        ("10:20:00", 1, "10:05:00.500"),
        ("22:00:00", MINUTE, "10:40:30.250"),
    ],
)
def test_which_run_a_time_means(clock: str, precision: int, expected: str) -> None:
    chosen = choose_start(starts(*STORY), at(clock), precision=precision)
    assert chosen is not None
    assert chosen.start == at(expected)


def test_no_run_had_begun() -> None:
    assert choose_start([], 1, precision=1) is None
    assert choose_start(starts(*STORY), at("09:00:00"), precision=MINUTE) is None


def test_steps_name_no_object_and_count_from_the_start() -> None:
    found = run("10:05:00.500", *STORY, until="10:30:00")
    steps = {name: timing.times for name, timing in found.steps.items()}
    assert steps[StepName("Deployment", "patch")] == (0,)
    assert steps[StepName("Pod", "created")] == (1_500_000_000,)
    assert steps[StepName("Pod", "event Started")] == (2_500_000_000,)
    assert steps[StepName("Pod", "phase Running")] == (3_500_000_000,)
    assert steps[StepName("Pod", "Ready True")] == (3_500_000_000,)
    assert found.objects == {"Deployment": 1, "Pod": 1}
    assert found.made == {"Pod": POD}
    assert found.end == at("10:05:04")


def test_a_run_ends_with_a_silence_and_what_comes_later_is_counted() -> None:
    found = run("10:05:00.500", *STORY, quiet=5 * MINUTE)
    assert (found.end, found.left_out > 0) == (at("10:05:04"), True)
    assert run("10:05:00.500", *STORY, quiet=60 * MINUTE).left_out == 0


def test_what_is_told_of_the_second_in_which_the_next_run_begins_is_of_that_one() -> None:
    late = event(IT, "ScalingReplicaSet", "10:40:30", event_uid="late")
    before = run_of(
        story_of(IT, weave(*STORY, late), since=at("10:05:00.500"), until=at("10:40:30.250") - 1),
        start=at("10:05:00.500"),
        quiet=60 * MINUTE,
    )
    assert StepName("Deployment", "event ScalingReplicaSet") not in before.steps
    after = run("10:40:30.250", *STORY, late)
    assert after.steps[StepName("Deployment", "event ScalingReplicaSet")].times == (0,)


def test_repeated_events_conflicts_and_gaps_are_steps() -> None:
    storm: list[Observation] = [
        request(IT, "update", f"10:00:0{n}.500", code=409, reason="Conflict", base="1", uid=uid(1))
        for n in (1, 2, 3)
    ]
    back_off: list[Observation] = [
        event(POD, "BackOff", "10:00:05", uid=uid(10), count=1),
        event(POD, "BackOff", "10:00:25", uid=uid(10), count=3, first="10:00:05"),
    ]
    missed = gap(IT, "Relist", "10:00:06", "10:00:07")
    found = run("10:00:00.100", *STORY[:2], pod(0, "10:00:01"), *storm, *back_off, missed)
    assert len(found.steps[StepName("Deployment", "update → 409 Conflict")].times) == 3
    assert len(found.steps[StepName("Pod", "event BackOff")].times) == 2
    assert StepName("Deployment", "gap Relist") in found.steps


def test_two_runs_side_by_side() -> None:
    slow: list[Observation] = [*STORY[:7], pod(0, "10:05:09", ("status.phase Pending → Running",), 101)]
    compared = compare(
        run("10:05:00.500", *STORY, until="10:30:00"), run("10:05:00.500", *slow, until="10:30:00")
    )
    later = {row.name.what: row.later for row in compared.both if row.later}
    assert later == {"changed": 5 * SECOND, "phase Running": 5 * SECOND}
    assert {row.name.what for row in compared.only_a} >= {"Ready True", "event Started"}
    assert compared.only_b == []
    shape = comparison_as_json(compared)
    assert shape["only_a"] == [{"kind": row.name.kind, "what": row.name.what} for row in compared.only_a]
    assert shape["a"]["took_ms"] == 3500.0


def test_fields_that_no_two_objects_share_are_left_out() -> None:
    one: dict[str, Any] = {
        "metadata": {"name": "a", "uid": "1", "labels": {"x": "1"}},
        "status": {"startTime": "now", "phase": "A"},
    }
    other = {
        "metadata": {"name": "b", "uid": "2", "labels": {"x": "2"}},
        "status": {"startTime": "then", "phase": "B"},
    }
    ended = ended_alike("Pod", ("a", "b"), (one, other))
    assert [change.label for change in ended.fields] == ["metadata.labels.x", "status.phase"]
    assert one["metadata"]["name"] == "a"  # it stays as it was
    assert ended_alike("Pod", ("a", "b"), (None, other), "gone").unknown == "gone"


times = st.lists(st.integers(0, 59), min_size=1, max_size=6, unique=True)


@given(times, times)
def test_a_comparison_leaves_no_step_out_and_swaps(a: list[int], b: list[int]) -> None:
    def of(seconds: list[int]) -> Run:
        events = [event(IT, f"R{s % 3}", f"10:00:{s:02d}", event_uid=f"e{s}") for s in seconds]
        return run("10:00:00", change(IT, "Added", "10:00:00", uid=uid(1), version="1"), *events)

    one, other = of(a), of(b)
    forth, back = compare(one, other), compare(other, one)
    assert {row.name for row in forth.rows} == {*one.steps, *other.steps}
    assert [row.name for row in forth.rows] == [row.name for row in back.rows]
    assert [row.later for row in forth.rows] == [-row.later for row in back.rows]
    same = compare(one, one)
    assert same.only_a == same.only_b == []
    assert not any(row.later for row in same.rows)
