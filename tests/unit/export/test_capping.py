"""The cap: so many spans a second as they arrive, what exceeds counted and told, backlogs left alone."""

from __future__ import annotations

import pytest

from export_intake import EPOCH, Outlet
from kubeweft.export.arrivals import MOST_KEPT, Arrivals
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Exporter, Sampling
from memory_spool import MemorySpool
from otlp_spans import change_spans


def outlet(spool: MemorySpool, *, cap: int = 10) -> Outlet:
    sampling = Sampling(spans_per_second=cap)
    return Outlet(spool, Exporter("team/otlp", "e:4317", sampling=sampling), limit=50)


@pytest.fixture
def out() -> Outlet:
    return outlet(MemorySpool(step=3))


def arrive(out: Outlet, seconds: int, *, each: int, first: int = 0) -> None:
    """So many spans in each second, none of them delivered meanwhile."""
    for second in range(seconds):
        out.time += 1.0
        out.arrive(change_spans(each, first=first + second * each))


def drain(out: Outlet) -> None:
    while out.turn():
        pass


def test_what_fits_leaves(out: Outlet) -> None:
    for second in range(30):
        arrive(out, 1, each=10, first=10 * second)
        drain(out)
    assert (len(out.received), out.dropped) == (300, 0)


def test_what_exceeds_is_dropped_and_counted(out: Outlet) -> None:
    for second in range(5):
        arrive(out, 1, each=25, first=25 * second)
        drain(out)
    assert (len(out.received), out.dropped) == (50, 75)
    assert [span.span_id for span in out.received[:10]] == [span.span_id for span in change_spans(10)]
    assert out.position == 125 * 3


def test_spans_count_when_they_arrive_not_when_they_are_sent(out: Outlet) -> None:
    """The receiver was down for a minute; then all leaves at once."""
    arrive(out, 60, each=10)
    drain(out)
    assert (len(out.received), out.dropped) == (600, 0)


def test_after_a_long_time_of_quiet_no_more_may_leave_at_once(out: Outlet) -> None:
    out.time += 3600
    out._intake.arrivals.note(0)
    arrive(out, 1, each=50)
    drain(out)
    assert (len(out.received), out.dropped) == (10, 40)


def test_what_lay_there_before_the_start_passes() -> None:
    spool = MemorySpool()
    spool.add(change_spans(500))
    out = outlet(spool)
    drain(out)
    arrive(out, 1, each=25, first=500)
    drain(out)
    assert (len(out.received), out.dropped) == (510, 15)


def test_the_receiver_is_told_every_ten_seconds_at_most(out: Outlet) -> None:
    counts = []
    for second in range(65):
        arrive(out, 1, each=25, first=25 * second)
        drain(out)
    gaps = [span for span in out.received if span.source == "gap"]
    for gap in gaps:
        count = gap.attributes[v.GAP_COUNT]
        assert isinstance(count, int)
        counts.append(count)
        assert gap.attributes[v.GAP_OBSERVER] == "team/otlp"
        assert gap.attributes[v.GAP_REASON] == "OverCap"
        assert f"{count} spans were not sent: more than 10 a second" in gap.error
        assert gap.end - gap.start >= 10_000_000_000
        assert gap.parent_span_id == identity.object_span_id(gap.trace_id)
    assert 5 <= len(gaps) <= 6
    assert all(gap.start > EPOCH for gap in gaps)
    roots = [span for span in out.received if span.source == "object"]
    assert {gap.trace_id for gap in gaps} == {span.trace_id for span in roots}
    assert sum(counts) + 15 * 11 >= out.dropped >= sum(counts)


def test_what_was_dropped_last_is_told_in_the_quiet_after_it(out: Outlet) -> None:
    arrive(out, 1, each=25)
    drain(out)
    due = out._intake.until_due()
    assert due is not None
    assert due == pytest.approx(10.0)
    out.time += due
    drain(out)
    assert [span.attributes[v.GAP_COUNT] for span in out.received if span.source == "gap"] == [15]
    assert out._intake.until_due() is None


class TestArrivals:
    """When what arrived."""

    def setup_method(self) -> None:
        self.time = 100.0
        self.arrivals = Arrivals(0, backlog=0, now=lambda: self.time)

    def note(self, time: float, position: int) -> None:
        self.time = time
        self.arrivals.note(position)

    def test_old_enough_is_what_was_noted_long_enough_ago(self) -> None:
        self.note(101, 5)
        self.note(102, 9)
        self.time = 103.5
        assert self.arrivals.settled(2, 0) == 5
        assert self.arrivals.until_settled(2, 5) == pytest.approx(0.5)
        self.time = 104
        assert self.arrivals.settled(2, 5) == 9
        assert self.arrivals.until_settled(2, 9) is None

    def test_neighbours_in_time_are_one_and_count_from_the_last(self) -> None:
        for step in range(10):
            self.note(101 + step / 100, step + 1)
        assert self.arrivals.of(2) == self.arrivals.of(10)
        self.time = 103.05
        assert self.arrivals.settled(2, 0) == 1, "the youngest of them is not old enough"
        self.time = 103.1
        assert self.arrivals.settled(2, 0) == 10

    def test_steady_growth_does_not_put_off_for_ever(self) -> None:
        for step in range(1, 500):
            self.note(100 + step / 100, step)
        assert self.arrivals.settled(2, 0) >= 270

    def test_what_is_kept_is_bounded(self) -> None:
        for step in range(1, 3 * MOST_KEPT):
            self.note(100.0 + step, step)
        assert len(self.arrivals._kept) <= MOST_KEPT
        last = 0
        while (arrival := self.arrivals.of(last + 1)) is not None:
            assert arrival.position - last == pytest.approx(arrival.ended - arrival.begun)
            last = arrival.position
        assert last == 3 * MOST_KEPT - 1

    def test_forgetting(self) -> None:
        self.note(101, 5)
        self.note(102, 9)
        self.arrivals.forget(5)
        assert self.arrivals.of(3) == self.arrivals.of(9)
        self.arrivals.forget(9)
        assert self.arrivals.of(9) is None
