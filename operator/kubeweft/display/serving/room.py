"""How much may be under way at once: spans in memory, or questions. First come, first served.

Whoever waits too long, or comes when too many wait already, is told to come again.
"""

from __future__ import annotations

import asyncio

from kubeweft.model.errors import NotNow

BUSY = "too many questions at a time: try again"


class Busy(NotNow):
    """There is no room now, because others use it."""


class Room:
    """So much room for all who share it; used within one event loop."""

    def __init__(self, size: int, *, waiting: int, admission: float) -> None:
        """At most ``waiting`` wait for room, for ``admission`` seconds each."""
        self.waiting = 0
        self._size = self._free = size
        self._most_waiting = waiting
        self._admission = admission
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, amount: int) -> Share:
        """A share, as soon as there is room for it; raises ``Busy`` where that takes too long."""
        amount = min(amount, self._size)
        if self.waiting >= self._most_waiting and (self._free < amount or self._line.locked()):
            raise Busy(BUSY, delay=2)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._admission), self._line:
                while self._free < amount:
                    self._freed.clear()
                    await self._freed.wait()
                self._free -= amount
        except TimeoutError:
            raise Busy(BUSY, delay=5) from None
        finally:
            self.waiting -= 1
        return Share(self, amount)

    def give_back(self, amount: int) -> None:
        """Somebody needs so much less."""
        self._free += amount
        self._freed.set()


class Share:
    """What somebody holds of a room, until they keep nothing of it."""

    def __init__(self, room: Room, amount: int) -> None:
        """Made by :meth:`Room.take`."""
        self._room = room
        self._amount = amount

    def keep(self, amount: int) -> None:
        """Give back all beyond ``amount``."""
        if amount < self._amount:
            self._room.give_back(self._amount - amount)
            self._amount = amount
