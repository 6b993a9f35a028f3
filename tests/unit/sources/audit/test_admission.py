"""How much may be in flight, and that it is given back."""

from __future__ import annotations

import pytest

from kubeweft.model.errors import NotNow
from kubeweft.sources.audit.admission import Admission, Limits

LIMITS = Limits(bytes_in_flight=100, bodies_in_flight=2)


def test_bytes_are_counted_while_a_body_is_in_flight() -> None:
    admission = Admission(LIMITS)
    with admission.body(60), admission.body(40):
        assert (admission.bodies, admission.bytes) == (2, 100)
    assert (admission.bodies, admission.bytes) == (0, 0)


def test_a_body_that_does_not_fit_is_told_to_come_back() -> None:
    admission = Admission(LIMITS)
    with admission.body(60):
        with pytest.raises(NotNow), admission.body(41):
            pytest.fail("let in")
        assert (admission.bodies, admission.bytes) == (1, 60)


def test_one_body_too_many_is_told_to_come_back() -> None:
    admission = Admission(LIMITS)
    with admission.body(0), admission.body(0), pytest.raises(NotNow), admission.body(0):
        pytest.fail("let in")
    assert admission.bodies == 0


def test_a_body_of_unknown_length_takes_room_as_it_grows() -> None:
    admission = Admission(LIMITS)
    with admission.body(0) as ticket:
        ticket.grow_to(70)
        ticket.grow_to(30)  # already there
        assert admission.bytes == 70
        with pytest.raises(NotNow):
            ticket.grow_to(101)
    assert admission.bytes == 0


def test_room_is_given_back_after_a_failure() -> None:
    admission = Admission(LIMITS)
    with pytest.raises(ValueError, match="x"), admission.body(100):
        raise ValueError("x")
    assert (admission.bodies, admission.bytes) == (0, 0)
