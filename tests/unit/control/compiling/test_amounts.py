"""Retention: sizes and times as Kubernetes writes them, the longest of all policies, and never less by a mistake."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.control.compiling.amounts import quantity_in_bytes
from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Retention

GIBIBYTE = 1024**3


def retention_of(**specs: dict[str, Any]) -> Retention:
    declared = [DeclaredObject(resource=POLICIES, name=name, spec=spec) for name, spec in specs.items()]
    return compile_policies(declared, Installation()).plan.retention


def keeping(age: str | None = None, size: str | int | None = None, **spec: Any) -> dict[str, Any]:
    given = {"maxAge": age, "maxBytes": size}
    return {"retention": {name: value for name, value in given.items() if value is not None}, **spec}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10Gi", 10 * GIBIBYTE),
        ("1.5Gi", 3 * GIBIBYTE // 2),
        ("500M", 500_000_000),
        ("2k", 2000),
        ("1Pi", 1024**5),
        ("0.3", 1),
        ("1048576", 1048576),
        (1048576, 1048576),
        ("999999999999999Pi", 999999999999999 * 1024**5),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert quantity_in_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "Gi", "10gi", "10 Gi", "-1", "+1", "1e3", "1.Gi", ".5Gi", "10Gi\n", "١"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadInput):
        quantity_in_bytes(text)


@given(
    st.integers(0, 10**15 - 1),
    st.text("0123456789", max_size=9),
    st.sampled_from(["", "k", "M", "Mi", "Gi", "T"]),
)
def test_parts_of_a_byte_are_rounded_up_and_nothing_else(whole: int, digits: str, unit: str) -> None:
    text = f"{whole}.{digits}{unit}" if digits else f"{whole}{unit}"
    exact = Fraction(f"{whole}.{digits or 0}") * quantity_in_bytes(f"1{unit}")
    assert 0 <= quantity_in_bytes(text) - exact < 1


def test_what_nobody_limits_has_no_limit() -> None:
    assert retention_of(a={}, b={}) == Retention(max_age=0.0, max_bytes=0)
    assert retention_of() == Retention()


def test_the_longest_and_the_largest_win() -> None:
    found = retention_of(a=keeping("1h", "20Gi"), b=keeping("48h", "1Gi"))
    assert found == Retention(max_age=48 * 3600.0, max_bytes=20 * GIBIBYTE)


def test_each_limit_counts_by_itself() -> None:
    assert retention_of(a=keeping("1h", "1Gi"), b=keeping(size="2Gi")) == Retention(max_bytes=2 * GIBIBYTE)
    assert retention_of(a=keeping("1h", "1Gi"), b=keeping("2h")) == Retention(max_age=7200.0)
    assert retention_of(a=keeping("1h"), b=keeping(size="1Gi")) == Retention()


@pytest.mark.parametrize(
    "unlimited",
    [{}, {"suspend": True}, {"clusters": []}, {"retention": {"maxAge": "1s"}}, {"no such field": 1}],
)
def test_a_policy_without_a_limit_is_not_cut_by_another(unlimited: dict[str, Any]) -> None:
    assert retention_of(keep=unlimited, short=keeping("1h", "1Gi")) == Retention()


@pytest.mark.parametrize(
    "more",
    [
        {"suspend": True},
        {"clusters": []},
        {"match": {"resources": [{"apiGroups": [""], "resources": ["Pod"]}]}},
    ],
)
def test_a_pause_or_a_mistake_deletes_nothing(more: dict[str, Any]) -> None:
    assert retention_of(a=keeping("720h", "50Gi", **more), b=keeping("1h", "1Gi")) == Retention(
        max_age=720 * 3600.0, max_bytes=50 * GIBIBYTE
    )
