"""What a reflector hands over, and what it asks of the one who receives it.

Nothing here decodes an object: bodies travel as the bytes the API server sent. The order of calls is fixed, so that a
receiver can write every call as one durable batch::

    resume_point()                                          once, first
    ( list_started()  listed(lines)*  list_finished(...) )  for each complete initial state
    changed(lines, version)*                                from then on, in the order of the versions

A ``list_started`` may follow at any point of a list: the half list before it is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class WatchLine(NamedTuple):
    """One object as watched: ``type`` is ADDED, MODIFIED or DELETED, ``object`` its JSON as sent.

    Objects of a paged list lack ``kind`` and ``apiVersion``, as the API server leaves both out of the items of lists.
    """

    type: str
    object: bytes


class ResumePoint(NamedTuple):
    """The version a former run reached, and when it was written (nanoseconds). An empty version: start with a list."""

    version: str
    time: int


class Missed(NamedTuple):
    """Why versions between the last one handed over and a new list are unknown, and from when to when.

    ``start`` is when the last version was received (a bookmark counts, so a quiet type is at most a minute early);
    ``end`` is when the new list was complete. Both are nanoseconds.
    """

    reason: str
    message: str
    start: int
    end: int


class Receiver(Protocol):
    """Takes what one reflector brings; every call returns only when it is durable, which is the back-pressure.

    ``model.errors.NotNow`` means: hand over the same again after its delay. Any other error ends the reflector.
    """

    async def resume_point(self) -> ResumePoint:
        """How far a former run came."""

    async def list_started(self) -> None:
        """A complete state follows; what was listed without a ``list_finished`` is void."""

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of the state. A streamed list may hold an object again (MODIFIED), or take it back (DELETED)."""

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """The state is complete at ``version``: what was known and not listed is gone.

        ``missed`` is set if the list follows on lost versions: it belongs into the same durable batch.
        """

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """The next changes, complete up to ``version``; without lines, only the version has advanced."""
