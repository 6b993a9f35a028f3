"""The kinds that a long-lived reader knows: the built-in ones, and those that its store tells, looked up now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from kubeweft.app.showing import VIRTUAL_KINDS
from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ResourceType

REFRESH = 30.0  # seconds; a kind that is new is called by its resource until then


@runtime_checkable
class KnowsResources(Protocol):
    """A reader that can tell which resource types it has."""

    def known_resources(self) -> Sequence[tuple[str, str, str]]:
        """All (group, resource, kind) that have spans; the kind is empty where no span has told it."""


class StoredKinds:
    """May be asked from any thread: what is known is never changed, only replaced."""

    def __init__(self, reader: object, *, clock: Callable[[], float] = time.monotonic) -> None:
        """A reader that cannot tell its resources leaves it with the built-in kinds."""
        self._reader = reader if isinstance(reader, KnowsResources) else None
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds = _warm(Kinds())
        self._next = clock()

    def lookup(self, word: str) -> list[ResourceType]:
        """All resource types that a kind, plural, singular or short name can mean, in any case."""
        return self._current().lookup(word)

    def kind_of(self, group: str, resource: str) -> ResourceType | None:
        """The resource type of a plural resource name, or None while it is unknown."""
        return self._current().kind_of(group, resource)

    def _current(self) -> Kinds:
        if self._reader is not None and self._clock() >= self._next and self._lock.acquire(blocking=False):
            try:
                self._kinds = learned(self._reader)
            except (
                UserError,
                NotNow,
            ):  # a store that cannot be read now says so to whoever asks for more than names
                pass
            finally:
                self._next = self._clock() + REFRESH
                self._lock.release()
        return self._kinds


def learned(reader: KnowsResources) -> Kinds:
    """The built-in kinds and those that a reader tells."""
    kinds = Kinds()
    for group, resource, told in reader.known_resources():
        kind = told or VIRTUAL_KINDS.get((group, resource), "")
        if kind and kinds.kind_of(group, resource) is None:
            kinds.learn(ResourceType(group, "", resource, kind, True))
    return _warm(kinds)


def _warm(kinds: Kinds) -> Kinds:
    """With the index of words made, which would otherwise be made by the first thread that asks, in sight of others."""
    kinds.lookup("pod")
    return kinds
