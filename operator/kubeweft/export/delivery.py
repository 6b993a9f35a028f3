"""Brings spans to one receiver, in order, and never gives one up for a trouble that may pass.

What the receiver does not take now waits and goes again, the same bytes. What it refuses is taken apart until the one
span is found that it refuses alone: with a clear answer (OTLP's INVALID_ARGUMENT, HTTP 400) that span is dropped and
counted. Other refusals (HTTP 500, INTERNAL) may be the receiver's own trouble, so a span is dropped for them only if
the receiver keeps refusing it while it takes others; until that is proved everything waits. The same proof is asked
for where a receiver that blames the data has accepted nothing for a while: it may lack a tenant header, say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, assert_never

from kubeweft.export.backoff import Backoff
from kubeweft.export.carriers import Carrier, Payload, Piece
from kubeweft.export.outcomes import Accepted, Rejected, RetryLater, Unauthenticated
from kubeweft.export.standing import Standing

# So many spans may be dropped without proof until the receiver accepts something.
DROPS_PER_ACCEPTANCE: Final = 16
_TRIES_OF_ROUNDS: Final = (2, 3, 4)

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Placed(Generic[Piece]):
    """One prepared span, the position that is reached with it, and its IDs as a person would look for it.

    Of several spans for one place in the spool, only the last one reaches its position.
    """

    position: int
    piece: Piece
    label: str


class Delivery(Generic[Piece, Payload]):
    """``confirm`` is awaited with the position up to which every span is accepted or dropped."""

    def __init__(
        self,
        carrier: Carrier[Piece, Payload],
        *,
        standing: Standing,
        confirm: Callable[[int], Awaitable[None]],
        backoff: Backoff,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._carrier = carrier
        self._standing = standing
        self._confirm = confirm
        self._backoff = backoff
        self._pause = pause
        self._witness_turn = 1
        self._drops_left = 0

    async def deliver(self, batches: Sequence[list[Placed[Piece]]]) -> list[Placed[Piece]]:
        """Deliver batches in order; gives those that have to be delivered again, as there was no verdict."""
        parts = deque(batches)
        while parts:
            part = parts.popleft()
            outcome = await self._send(part)
            if isinstance(outcome, Accepted):
                await self._confirm(part[-1].position)
            elif len(part) > 1:
                if not outcome.certain:
                    await self._wait(outcome)
                middle = len(part) // 2
                parts.extendleft((part[middle:], part[:middle]))
            else:
                believed = outcome.certain and self._drops_left > 0
                verdict = outcome if believed else await self._verdict(part, outcome, parts)
                if verdict is None:
                    return [placed for left in (part, *parts) for placed in left]
                if isinstance(verdict, Rejected):
                    self._drops_left -= 1
                    self._standing.dropped(part[0].label, verdict)
                await self._confirm(part[0].position)
        return []

    async def _send(self, part: list[Placed[Piece]]) -> Accepted | Rejected:
        """Repeat until the receiver decides."""
        payload = self._carrier.pack([placed.piece for placed in part])
        while True:
            outcome = await self._carrier.send(payload, len(part))
            match outcome:
                case Accepted():
                    self._backoff.reset()
                    self._drops_left = DROPS_PER_ACCEPTANCE
                    self._standing.accepted(outcome, len(part))
                    return outcome
                case Rejected():
                    return outcome
                case RetryLater() | Unauthenticated():
                    await self._wait(outcome)
                case _:
                    assert_never(outcome)

    async def _verdict(
        self, suspect: list[Placed[Piece]], refusal: Rejected, others: Sequence[list[Placed[Piece]]]
    ) -> Accepted | Rejected | None:
        """Rejected if the receiver takes other spans in between, and still refuses this one each time.

        The number of tries differs from round to round: behind a load balancer with a broken server, a fixed rhythm
        could meet the broken one with this span every time. The witnesses come from the spans that follow, and are
        sent again in their place. Where none follows, nothing is held up by waiting.
        """
        following = [placed for part in others for placed in part]
        for tries in _TRIES_OF_ROUNDS:
            await self._wait(refusal)
            if not following or not isinstance(await self._send([self._witness(following)]), Accepted):
                self._witness_turn += 1
                return None
            for _ in range(tries):
                outcome = await self._send(suspect)
                if isinstance(outcome, Accepted):
                    return outcome
        return refusal

    def _witness(self, following: Sequence[Placed[Piece]]) -> Placed[Piece]:
        """From the end on, and another one after each that was refused: neighbours are often bad for one reason."""
        return following[-self._witness_turn % len(following)]

    async def _wait(self, outcome: RetryLater | Rejected | Unauthenticated) -> None:
        if isinstance(outcome, Unauthenticated):
            wait = self._backoff.slowest()
        else:
            wait = self._backoff.next(outcome.delay if isinstance(outcome, RetryLater) else None)
        self._standing.failed(outcome, wait=wait)
        await self._pause(wait)
