"""Which cluster is which: no cluster is traced under two names, and no name stands for two clusters.

A cluster is known by the UID of its namespace ``kube-system``, as Kubernetes itself recommends. The UID that a name
stands for is remembered for as long as the store has data of this name: what two clusters did would otherwise be mixed
in one history. While a name is in use it stands for one cluster even if nothing is stored yet, because its watches
know objects and versions of that cluster. A name that becomes free keeps nothing of its former cluster: to go on
at versions of one cluster in another would lose changes, and tell of deletions that never were. Where the UID may not be read, nothing can be compared and nothing is
refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from kubeweft.model.errors import NotNow
from kubeweft.store.interfaces import Batch

BOOKMARK = "cluster-uid/"

Write = Callable[[Batch], Awaitable[object]]


class Memory(Protocol):
    """What the store remembers of clusters."""

    def bookmark(self, name: str) -> bytes | None:
        """What was saved under a name."""

    def clusters(self) -> list[str]:
        """The names of all clusters that have spans."""


class Identities:
    """Who is who among the clusters of one process. The ``local`` name comes before all others."""

    def __init__(self, memory: Memory, *, local: str, write: Write) -> None:
        """Nothing is claimed yet. ``write`` may raise ``NotNow``."""
        self._memory = memory
        self._local = local
        self._write = write
        self._known: dict[str, str] = {}  # what the store remembers, by name
        self._claimed: dict[
            str, str
        ] = {}  # of the names in use: what they have told, or what is remembered of them
        self._told: dict[str, str] = {}  # of the names in use: what they have told

    def expect(self, name: str) -> None:
        """This name is in use from now on: its remembered UID is taken for others, before anybody was asked."""
        self._claimed.setdefault(name, self._remembered(name))

    def forget(self, name: str) -> None:
        """This name is not in use any more; its UID is free for others."""
        self._claimed.pop(name, None)
        self._told.pop(name, None)

    def is_new(self, name: str) -> bool:
        """Whether nothing of this name has ever been seen."""
        return not self._remembered(name) and name not in self._memory.clusters()

    def claim(self, name: str, uid: str) -> str:
        """A cluster has told its UID: why it cannot be traced under this name, or nothing."""
        if not uid:
            return ""
        other = next((n for n, known in self._claimed.items() if known == uid and n != name), "")
        if other and name != self._local:
            return f"this is the cluster {other!r} (UID {uid}), which is not traced twice: remove one of both names"
        before = self._taken_by(name)
        if before not in ("", uid):
            return (
                f"this is another cluster (UID {uid}) than the one that was traced under the name {name!r} "
                f"(UID {before}): give it a name of its own"
            )
        if other:
            self._claimed[other] = ""
        self._claimed[name] = self._told[name] = uid
        return ""

    def _taken_by(self, name: str) -> str:
        """The UID that a name stands for and that no other may replace now; empty if any may have the name."""
        if name in self._told:
            return self._told[name]
        return self._remembered(name) if name in self._memory.clusters() else ""

    async def remember(self, name: str, uid: str) -> None:
        """Later runs know it too, and take up nothing that was seen in another cluster under this name.

        Call it with each look: what cannot be written now may be later. Raises ``NotNow`` if the cluster must not be
        watched before that.
        """
        before = self._remembered(name)
        if not uid or before == uid:
            return
        batch = Batch(bookmarks=((BOOKMARK + name, uid.encode()),), replaced=(name,) if before else ())
        try:
            await self._write(batch)
        except NotNow:
            if before:
                raise
        else:
            self._known[name] = uid

    def _remembered(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = (self._memory.bookmark(BOOKMARK + name) or b"").decode()
        return self._known[name]
