"""What ``delivery`` needs to know of the way spans travel: how one is prepared, how some are packed, how they are sent.

Preparing and packing are pure and may run in a thread; a packed batch may be sent many times.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from kubeweft.export.outcomes import Outcome
from kubeweft.export.sending import Sender
from kubeweft.model.spans import Span
from kubeweft.otlp.encoding import EncodedSpan, encode_span, join_spans

Piece = TypeVar("Piece")
Payload = TypeVar("Payload")


class Carrier(Protocol[Piece, Payload]):
    """One way out for spans, with one receiver at its end."""

    def prepare(self, span: Span) -> Piece:
        """One span in the form that travels."""

    def size(self, piece: Piece) -> int:
        """The bytes it adds to a batch, at most."""

    def pack(self, pieces: list[Piece]) -> Payload:
        """One batch."""

    async def send(self, payload: Payload, count: int) -> Outcome:
        """One attempt; never raises for what the receiver does."""

    async def close(self) -> None:
        """Let the receiver go, within two seconds."""


class OtlpCarrier:
    """Our own encoding over one of the OTLP senders."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def prepare(self, span: Span) -> EncodedSpan:
        """The bytes of one span."""
        return encode_span(span)

    def size(self, piece: EncodedSpan) -> int:
        """As if no other span of the batch had the same resource; 128 bytes are the framing and the scope."""
        return len(piece.resource) + len(piece.span) + 128

    def pack(self, pieces: list[EncodedSpan]) -> bytes:
        """The bytes of a request."""
        return join_spans(pieces)

    async def send(self, payload: bytes, count: int) -> Outcome:
        """One attempt over gRPC or HTTP."""
        return await self._sender.send(payload, count)

    async def close(self) -> None:
        """Close the connection."""
        await self._sender.close()
