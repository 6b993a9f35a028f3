"""What was stored twice is shown once."""

from __future__ import annotations

from kubeweft.display.reading.assembling import assemble
from kubeweft.display.steps.duplicates import fold_duplicates
from kubeweft.model.observations import Observation
from memory_reader import MemoryReader
from span_builders import at, change, key, request, uid, weave

IT, ME = key("configmaps", "it"), uid(1)


def steps_shown(*observations: Observation) -> list[tuple[str, str]]:
    """Old and new version of every change left."""
    tree = fold_duplicates(assemble(MemoryReader(weave(*observations)), IT))
    return sorted(
        (f.text("kubeweft.change.old_version"), f.text("kubeweft.object.resource_version"))
        for f in tree.root.facts
        if f.span.source == "change"
    )


def step(old: str, version: str, clock: str = "10:00:05") -> Observation:
    return change(IT, "Modified", clock, uid=ME, old=old, version=version)


def test_one_span_in_two_windows_is_one_fact_at_its_earlier_time() -> None:
    seen = [step("6", "7", "10:29:59"), step("6", "7", "10:30:01")]
    tree = fold_duplicates(assemble(MemoryReader(weave(*seen)), IT))
    (fact,) = tree.root.facts
    assert fact.span.start == at("10:29:59")
    assert fact.span.trace_id == tree.root.windows[0].trace_id


def test_a_large_step_goes_where_small_ones_tell_the_same() -> None:
    assert steps_shown(step("3", "6"), step("3", "4"), step("4", "5"), step("5", "6")) == [
        ("3", "4"),
        ("4", "5"),
        ("5", "6"),
    ]


def test_a_large_step_stays_where_a_small_one_is_missing() -> None:
    assert steps_shown(step("3", "6"), step("5", "6")) == [("3", "6"), ("5", "6")]


def test_steps_of_another_life_explain_nothing() -> None:
    other = change(IT, "Modified", "10:00:05", uid=uid(2), old="3", version="4")
    assert len(steps_shown(step("3", "5"), other, step("4", "5"))) == 3


def test_two_requests_with_one_forged_audit_id_stay_two() -> None:
    tree = fold_duplicates(
        assemble(
            MemoryReader(
                weave(
                    request(IT, "patch", "10:00:05.1", audit_id="forged"),
                    request(IT, "patch", "10:00:05.2", audit_id="forged"),
                )
            ),
            IT,
        )
    )
    assert len(tree.root.facts) == 2
