"""How long an exporter waits, and what it says of itself meanwhile."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from kubeweft.export.backoff import Backoff
from kubeweft.export.metrics import ExportCollector
from kubeweft.export.outcomes import Accepted, Rejected, RetryLater, Unauthenticated, shown
from kubeweft.export.standing import ExporterState, Standing


def highest(low: float, high: float) -> float:
    assert low <= high
    return high


def lowest(low: float, high: float) -> float:
    assert low <= high
    return low


def test_the_ceiling_doubles_up_to_thirty_seconds() -> None:
    backoff = Backoff(jitter=highest)
    assert [backoff.next() for _ in range(7)] == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    backoff.reset()
    assert backoff.next() == 2.0


@given(st.integers(0, 200), st.one_of(st.none(), st.floats(0, 300)))
def test_nobody_is_asked_more_than_once_a_second(failures: int, asked: float | None) -> None:
    backoff = Backoff(jitter=lowest)
    for _ in range(failures):
        backoff.next()
    assert backoff.next(asked) >= 1.0


@given(st.floats(1, 300))
def test_what_the_receiver_asks_for_is_kept(asked: float) -> None:
    assert asked <= Backoff(jitter=lowest).next(asked) <= Backoff(jitter=highest).next(asked) <= asked * 1.1


def test_what_only_a_person_can_repair_is_asked_rarely() -> None:
    assert Backoff(jitter=lowest).slowest() == 15.0


def standing(states: list[ExporterState], *, newest: int = 0) -> Standing:
    return Standing("e", newest=lambda: newest, changed=states.append)


def test_one_failure_is_usual_and_the_second_in_a_row_is_not() -> None:
    states: list[ExporterState] = []
    it = standing(states)
    it.idle()
    it.failed(RetryLater("refused"), wait=1)
    it.accepted(Accepted(), 1)
    it.failed(RetryLater("refused"), wait=1)
    it.failed(RetryLater("refused"), wait=2)
    it.accepted(Accepted(), 1)
    assert [(state.ready, state.reason) for state in states] == [
        (True, "Exporting"),
        (True, "Unreachable"),
        (True, "Exporting"),
        (True, "Unreachable"),
        (False, "Unreachable"),
        (True, "Exporting"),
    ]
    assert (it.state.sent, it.state.retries) == (2, 3)


def test_an_exporter_that_never_reached_its_receiver_is_not_ready() -> None:
    it = standing([])
    assert (it.state.ready, it.state.reason) == (False, "Pending")
    it.failed(RetryLater("refused"), wait=1)
    it.idle()
    assert (it.state.ready, it.state.reason) == (False, "Unreachable")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (RetryLater("x"), "Unreachable"),
        (RetryLater("x", busy=True), "Backpressure"),
        (Unauthenticated("x"), "AuthenticationFailed"),
        (Rejected("x", certain=False), "Rejected"),
    ],
)
def test_every_failure_has_its_reason(outcome: RetryLater | Unauthenticated | Rejected, reason: str) -> None:
    it = standing([])
    it.failed(outcome, wait=1)
    assert it.state.reason == reason
    assert it.state.message == "x (1 in a row; again after 1 s)"


def test_partial_success_is_logged_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    it = standing([])
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            it.accepted(Accepted(rejected=2, message="too old"), 10)
    assert len([record for record in caplog.records if "too old" in record.getMessage()]) == 1
    assert (it.state.sent, it.state.rejected) == (24, 6)
    assert it.state.message == "refused so far: 6, the last because: too old"


def test_an_outage_is_two_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    it = standing([])
    with caplog.at_level(logging.INFO):
        it.accepted(Accepted(), 1)
        for _ in range(5):
            it.failed(RetryLater("refused"), wait=1)
        it.accepted(Accepted(), 1)
        it.accepted(Accepted(), 1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_behind_is_what_waits() -> None:
    it = standing([], newest=50)
    it.moved(20)
    assert (it.state.position, it.state.behind) == (20, 30)


def test_states_become_metrics() -> None:
    registry = CollectorRegistry()
    state = ExporterState(ready=True, sent=5, rejected=1, retries=2, behind=7)
    registry.register(ExportCollector(lambda: {"jaeger": state}))
    got = {
        name: registry.get_sample_value(name, {"exporter": "jaeger"})
        for name in (
            "kubeweft_export_spans_total",
            "kubeweft_export_rejected_spans_total",
            "kubeweft_export_retries_total",
            "kubeweft_export_behind_spans",
            "kubeweft_export_ready",
        )
    }
    assert list(got.values()) == [5, 1, 2, 7, 1]


def test_what_a_receiver_says_is_shown_short_and_without_our_secrets() -> None:
    text = "bad\x1b[31m token\n 'Bearer abc123' " + "x" * 1000
    told = shown(text, ["Bearer abc123", "1"])
    assert told.startswith("bad [31m token '[redacted]' xxx")
    assert len(told) == 300
