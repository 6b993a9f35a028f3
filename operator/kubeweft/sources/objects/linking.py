"""Tells the linker what the watch of one resource type sees, and hands on which relations follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec.structs import replace

from kubeweft.model.observations import Change, Related
from kubeweft.model.references import ObjectKey
from kubeweft.sources.objects.differing import Differ


class Linker(Protocol):
    """What is asked of the rules; :class:`kubeweft.links.linker.Linker` is one."""

    def reads(self, group: str, resource: str) -> bool:
        """Whether objects of this type matter to any rule."""

    def is_touched(self, group: str, resource: str, fields: frozenset[str]) -> bool:
        """Whether a change of these top-level fields alone can matter."""

    def take(
        self, key: ObjectKey, body: bytes, *, time: int, fields: frozenset[str] | None = None
    ) -> list[Related]:
        """An object is now so, different in these top-level fields at most; gives all whose relations have changed."""

    def gone(self, key: ObjectKey, *, time: int) -> list[Related]:
        """An object is gone; gives all whose relations have changed."""


class NoRules:
    """The linker where there are none."""

    def reads(self, group: str, resource: str) -> bool:
        """Nothing."""
        del group, resource
        return False

    def is_touched(self, group: str, resource: str, fields: frozenset[str]) -> bool:
        """Never."""
        del group, resource, fields
        return False

    def take(
        self, key: ObjectKey, body: bytes, *, time: int, fields: frozenset[str] | None = None
    ) -> list[Related]:
        """None."""
        del key, body, time, fields
        return []

    def gone(self, key: ObjectKey, *, time: int) -> list[Related]:
        """None."""
        del key, time
        return []


NO_RULES = NoRules()


class Relater:
    """What the rules make of the objects of one watch."""

    def __init__(self, linker: Linker, differ: Differ) -> None:
        """The ``differ`` knows whose watch it is, and the policies in force."""
        self._linker = linker
        self._differ = differ

    @property
    def is_asked(self) -> bool:
        """Whether objects of this type matter to any rule."""
        return self._linker.reads(self._differ.resource.group, self._differ.resource.resource)

    def follow(self, changes: Sequence[Change], body: bytes) -> Iterator[Related]:
        """What follows from the changes that one watch event made; ``body`` is the object after it."""
        if not changes:
            return
        change = changes[0]
        for related in self._told(change, body):
            yield self._marked(related)
        if change.type == "Deleted" and not self._differ.rules.wants_object(change.key):
            yield Related(change.key, (), change.time, selected=False)  # no change tells of its end

    def relate(self, key: ObjectKey, body: bytes, window: int) -> Iterator[Related]:
        """What follows from an object that last changed in this window; negative where that is not known."""
        if self.is_asked:
            for related in self._linker.take(key, body, time=max(window, 0)):
                yield self._marked(related) if window >= 0 else replace(related, selected=False)

    def _told(self, change: Change, body: bytes) -> list[Related]:
        key = change.key
        if change.type == "Deleted":
            return self._linker.gone(key, time=change.time)
        if change.fields is None or self._linker.is_touched(key.group, key.resource, change.fields):
            return self._linker.take(key, body, time=change.time, fields=change.fields)
        return []

    def _marked(self, related: Related) -> Related:
        """Marked where the object is not selected, or lives in a cluster whose policies are not known here."""
        key, differ = related.key, self._differ
        is_selected = key.cluster == differ.cluster and differ.rules.wants_object(key)
        return related if is_selected else replace(related, selected=False)
