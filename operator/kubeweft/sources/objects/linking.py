"""Tells the linker what the watch of one resource type sees, and hands on which relations follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from kubeweft.model.observations import Change, Related
from kubeweft.model.references import ObjectKey


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


def follow(linker: Linker, changes: Sequence[Change], body: bytes) -> Iterator[Related]:
    """The relations that follow from the changes that one watch event made; ``body`` is the object after it."""
    if not changes:
        return
    key, change = changes[0].key, changes[0]
    if not linker.reads(key.group, key.resource):
        return
    if change.type == "Deleted":
        yield from linker.gone(key, time=change.time)
    elif change.fields is None or linker.is_touched(key.group, key.resource, change.fields):
        yield from linker.take(key, body, time=change.time, fields=change.fields)
