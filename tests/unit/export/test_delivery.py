"""Delivery against a receiver that misbehaves in every way: order kept, nothing lost but what is proved bad."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.export.backoff import Backoff
from kubeweft.export.delivery import DROPS_PER_ACCEPTANCE, Delivery, Placed
from kubeweft.export.outcomes import Accepted, Outcome, Rejected, RetryLater, Unauthenticated
from kubeweft.export.standing import Standing
from kubeweft.model.spans import Span

Answer = Callable[[tuple[int, ...]], Outcome]


class Receiver:
    """A carrier whose spans are their positions; ``answer`` decides about each batch."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.sends: list[tuple[tuple[int, ...], Outcome]] = []

    def prepare(self, span: Span) -> int:
        raise AssertionError("delivery prepares nothing")

    def size(self, piece: int) -> int:
        raise AssertionError("delivery measures nothing")

    def pack(self, pieces: list[int]) -> tuple[int, ...]:
        return tuple(pieces)

    async def send(self, payload: tuple[int, ...], count: int) -> Outcome:
        assert count == len(payload) > 0
        outcome = self.answer(payload)
        self.sends.append((payload, outcome))
        return outcome

    async def close(self) -> None:
        pass

    @property
    def accepted(self) -> list[int]:
        """In order, repeats included."""
        return [number for batch, outcome in self.sends if isinstance(outcome, Accepted) for number in batch]


class Run:
    """One delivery with everything recorded; waiting takes no time."""

    def __init__(self, answer: Answer) -> None:
        self.receiver = Receiver(answer)
        self.waits: list[float] = []
        self.confirmed: list[int] = []
        self.standing = Standing("e", newest=lambda: 0, changed=lambda _: None)
        self.delivery: Delivery[int, tuple[int, ...]] = Delivery(
            self.receiver,
            standing=self.standing,
            confirm=self.confirm,
            backoff=Backoff(jitter=lambda low, high: high),
            pause=self.pause,
        )

    async def confirm(self, position: int) -> None:
        done = set(self.receiver.accepted)
        self.confirmed.append(position)
        assert position > max(self.confirmed[:-1], default=0)
        assert len(done) >= position - self.standing.state.rejected

    async def pause(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def deliver_all(self, count: int, *, batch: int = 512, turns: int = 50) -> None:
        """As the exporter does: what has no verdict is read again from the confirmed position."""
        for _ in range(turns):
            start = self.confirmed[-1] if self.confirmed else 0
            placed = [Placed(number, number, str(number)) for number in range(start + 1, count + 1)]
            batches = [placed[at : at + batch] for at in range(0, len(placed), batch)]
            if not await self.delivery.deliver(batches):
                return
        raise AssertionError(f"not delivered; stuck at {self.confirmed[-1:]}")


def in_turn(*outcomes: Outcome) -> Answer:
    """These outcomes one after the other, then success."""
    left: Iterator[Outcome] = iter(outcomes)
    return lambda _: next(left, Accepted())


def poison(*bad: int, certain: bool = True) -> Answer:
    return lambda batch: Rejected("bad", certain=certain) if set(batch) & set(bad) else Accepted()


async def test_batches_go_in_order() -> None:
    run = Run(in_turn())
    await run.deliver_all(10, batch=4)
    assert [batch for batch, _ in run.receiver.sends] == [(1, 2, 3, 4), (5, 6, 7, 8), (9, 10)]
    assert run.confirmed == [4, 8, 10]
    assert not run.waits


async def test_the_same_batch_again_until_it_is_taken() -> None:
    trouble = [RetryLater("down")] * 40
    run = Run(in_turn(*trouble))
    await run.deliver_all(3)
    assert [batch for batch, _ in run.receiver.sends] == [(1, 2, 3)] * 41
    assert run.waits[:6] == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert run.standing.state.retries == 40


async def test_a_delay_that_is_asked_for_is_kept_and_waiting_starts_anew_after_success() -> None:
    run = Run(in_turn(RetryLater("busy", 7.0, busy=True), RetryLater("down"), Accepted(), RetryLater("down")))
    await run.deliver_all(2, batch=1)
    assert run.waits == [pytest.approx(7.7), 4.0, 2.0]


async def test_missing_credentials_are_asked_about_slowly() -> None:
    run = Run(in_turn(Unauthenticated("no"), Unauthenticated("no")))
    await run.deliver_all(1)
    assert run.waits == [30.0, 30.0]
    assert run.standing.state.reason == "Exporting"


async def test_the_bad_span_is_found_and_dropped_alone_without_waiting() -> None:
    run = Run(poison(300))
    await run.deliver_all(512)
    assert run.receiver.accepted == [n for n in range(1, 513) if n != 300]
    assert run.standing.state.rejected == 1
    assert run.standing.state.sent == 511
    assert run.confirmed[-1] == 512
    assert not run.waits
    assert len(run.receiver.sends) <= 2 * 9 + 1


async def test_a_bad_span_at_the_start_is_proved_by_a_witness() -> None:
    """The receiver has not accepted anything yet, so the answer alone is not believed."""
    run = Run(poison(1))
    await run.deliver_all(8)
    assert set(run.receiver.accepted) == set(range(2, 9))
    assert run.standing.state.rejected == 1
    assert len(run.waits) == 3


async def test_a_receiver_that_blames_all_data_costs_no_span() -> None:
    """It may lack a tenant header, say: 400 for everything is not the fault of the spans."""
    run = Run(lambda _: Rejected("no tenant"))
    with pytest.raises(AssertionError, match="not delivered"):
        await run.deliver_all(600, turns=30)
    assert run.standing.state.rejected == 0
    assert not run.confirmed
    assert len(run.waits) >= 30
    assert not run.standing.state.ready


async def test_a_receiver_that_begins_to_blame_all_data_costs_few_spans() -> None:
    healthy = True

    def answer(batch: tuple[int, ...]) -> Outcome:
        return Accepted() if healthy else Rejected("tenant deleted")

    run = Run(answer)
    await run.deliver_all(100)
    healthy = False
    with pytest.raises(AssertionError, match="not delivered"):
        await run.deliver_all(600, turns=30)
    assert run.standing.state.rejected == DROPS_PER_ACCEPTANCE
    healthy = True
    await run.deliver_all(600)
    assert set(run.receiver.accepted) == set(range(1, 601)) - set(range(101, 101 + DROPS_PER_ACCEPTANCE))


async def test_an_outage_of_http_500_costs_no_span() -> None:
    left = 200

    def answer(batch: tuple[int, ...]) -> Outcome:
        nonlocal left
        left -= 1
        return Rejected("HTTP 500", certain=False) if left > 0 else Accepted()

    run = Run(answer)
    await run.deliver_all(512, turns=100)
    assert set(run.receiver.accepted) == set(range(1, 513))
    assert run.standing.state.rejected == 0
    assert len(run.waits) >= 150  # nearly every attempt waited


async def test_a_span_that_breaks_the_receiver_is_dropped_after_proof() -> None:
    run = Run(poison(5, certain=False))
    await run.deliver_all(16)
    assert set(run.receiver.accepted) == set(range(1, 17)) - {5}
    assert run.standing.state.rejected == 1


async def test_a_run_of_spans_that_break_the_receiver_is_dropped_after_proof() -> None:
    bad = set(range(3, 9))
    run = Run(poison(*bad, certain=False))
    await run.deliver_all(16)
    assert set(run.receiver.accepted) == set(range(1, 17)) - bad
    assert run.standing.state.rejected == len(bad)


@pytest.mark.parametrize("servers", ["BG", "GB", "BGG", "BBG", "BGBG", "BBBG", "BGGB", "BBBBG"])
async def test_a_load_balancer_with_broken_servers_costs_no_span(servers: str) -> None:
    """Requests go round robin to good and broken servers: the worst rhythm there is."""
    turn = -1

    def answer(batch: tuple[int, ...]) -> Outcome:
        nonlocal turn
        turn += 1
        return Accepted() if servers[turn % len(servers)] == "G" else Rejected("HTTP 500", certain=False)

    run = Run(answer)
    await run.deliver_all(64, batch=8, turns=400)
    assert set(run.receiver.accepted) == set(range(1, 65))
    assert run.standing.state.rejected == 0


async def test_the_last_span_waits_for_a_witness() -> None:
    """Nothing waits behind it, so nothing is held up; it goes once a later span proves it bad."""
    run = Run(poison(4, certain=False))
    with pytest.raises(AssertionError, match="not delivered"):
        await run.deliver_all(4, turns=5)
    assert run.standing.state.rejected == 0
    await run.deliver_all(6)
    assert run.standing.state.rejected == 1
    assert run.confirmed[-1] == 6


async def test_a_limit_on_the_size_of_a_message_only_splits() -> None:
    run = Run(lambda batch: Rejected("too large", certain=False) if len(batch) > 100 else Accepted())
    await run.deliver_all(512)
    assert run.receiver.accepted == list(range(1, 513))
    assert run.standing.state.rejected == 0


outcomes = st.one_of(
    st.just(Accepted()),
    st.builds(RetryLater, st.just("down"), st.one_of(st.none(), st.floats(0, 10))),
    st.builds(Rejected, st.just("bad"), certain=st.just(False)),
    st.just(Unauthenticated("no")),
)


@given(
    count=st.integers(1, 40),
    batch=st.integers(1, 16),
    bad=st.sets(st.integers(1, 40), max_size=4),
    certain=st.booleans(),
    trouble=st.lists(outcomes, max_size=40),
)
def test_whatever_happens_only_bad_spans_are_lost(
    count: int, batch: int, bad: set[int], certain: bool, trouble: list[Outcome]
) -> None:
    """One good span follows as a witness. First arrivals are in order unless a witness went ahead."""
    bad -= {count + 1}
    judge = poison(*bad, certain=certain)
    left = iter(trouble)

    def answer(numbers: tuple[int, ...]) -> Outcome:
        first = next(left, Accepted())
        return judge(numbers) if isinstance(first, Accepted) else first

    run = Run(answer)
    asyncio.run(run.deliver_all(count + 1, batch=batch, turns=200))
    assert set(run.receiver.accepted) == set(range(1, count + 2)) - bad
    assert run.standing.state.rejected == len(bad & set(range(1, count + 1)))
    assert run.confirmed[-1] == count + 1
    if not bad and all(isinstance(outcome, Accepted | RetryLater | Unauthenticated) for outcome in trouble):
        assert run.receiver.accepted == list(range(1, count + 2))
