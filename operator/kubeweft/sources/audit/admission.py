"""Bounds what bodies in flight may take of memory: who does not fit is told to come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kubeweft.model.errors import NotNow

MEBIBYTE = 1024 * 1024
COME_BACK = 1.0  # seconds: a body is in flight for less than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of the audit webhook. An API server sends 2 to 40 MiB at most, unless its batches are enlarged.

    ``answer_seconds`` has to stay below 30: then the API server gives up and sends the batch again.
    """

    body_bytes: int = 64 * MEBIBYTE
    bytes_in_flight: int = 256 * MEBIBYTE
    bodies_in_flight: int = 64
    read_seconds: float = 30.0
    answer_seconds: float = 25.0


class Admission:
    """Counts bodies in flight and their bytes."""

    def __init__(self, limits: Limits) -> None:
        """Begin with nothing in flight."""
        self._limits = limits
        self.bodies = 0
        self.bytes = 0

    @contextmanager
    def body(self, announced: int) -> Iterator[Ticket]:
        """Admit one body of ``announced`` bytes (0 if unknown); raises ``NotNow`` if it does not fit."""
        if self.bodies >= self._limits.bodies_in_flight:
            raise NotNow("too many bodies in flight", delay=COME_BACK)
        ticket = Ticket(self)
        self.bodies += 1
        try:
            ticket.grow_to(announced)
            yield ticket
        finally:
            self.bodies -= 1
            self.bytes -= ticket.bytes

    def fits(self, more: int) -> bool:
        """Whether so many more bytes may come in."""
        return self.bytes + more <= self._limits.bytes_in_flight


class Ticket:
    """One body in flight."""

    __slots__ = ("_admission", "bytes")

    def __init__(self, admission: Admission) -> None:
        """Made by :meth:`Admission.body`."""
        self._admission = admission
        self.bytes = 0

    def grow_to(self, size: int) -> None:
        """Make room for ``size`` bytes in all; raises ``NotNow`` if there is none."""
        more = size - self.bytes
        if more <= 0:
            return
        if not self._admission.fits(more):
            raise NotNow("too many bytes in flight", delay=COME_BACK)
        self._admission.bytes += more
        self.bytes = size
