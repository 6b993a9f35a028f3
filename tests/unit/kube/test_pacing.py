"""Waits: long enough, never too long, never all at the same moment."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.kube.failures import ApiFailure, Forbidden, Refused, Unauthorized, Unavailable
from kubeweft.kube.pacing import Limits, growing_pause, larger_page, pause_after

LIMITS = Limits()


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_pauses_grow_to_a_limit(failures: int, seed: int) -> None:
    pause = growing_pause(failures, limits=LIMITS, rng=random.Random(seed))
    assert 0 <= pause <= min(30.0, 2.0 ** min(failures - 1, 10))


def test_pauses_really_grow_and_differ() -> None:
    rng = random.Random(1)
    means = [sum(growing_pause(n, limits=LIMITS, rng=rng) for _ in range(500)) / 500 for n in (1, 3, 5, 20)]
    assert means == sorted(means)
    assert 0.4 < means[0] < 0.6
    assert 14 < means[-1] < 16


@pytest.mark.parametrize("failure", [Forbidden("no"), Refused("no")])
@given(failures=st.integers(1, 100), seed=st.integers())
def test_what_a_person_must_change_is_tried_slowly(failure: ApiFailure, failures: int, seed: int) -> None:
    assert 60 <= pause_after(failure, failures=failures, limits=LIMITS, rng=random.Random(seed)) <= 72


@given(told=st.floats(0, 10_000), seed=st.integers())
def test_the_server_is_obeyed_within_reason(told: float, seed: int) -> None:
    failure = Unavailable("busy", status=429, retry_after=told)
    pause = pause_after(failure, failures=1, limits=LIMITS, rng=random.Random(seed))
    assert min(told, 600) <= pause <= min(told, 600) * 1.2 + 1


def test_other_failures_back_off() -> None:
    for failure in (Unavailable("down"), Unauthorized("expired")):
        assert pause_after(failure, failures=1, limits=LIMITS, rng=random.Random(1)) <= 1


def test_pages_grow_until_there_is_one() -> None:
    sizes = [500]
    while sizes[-1]:
        sizes.append(larger_page(sizes[-1]))
    assert sizes == [500, 4000, 0]
