"""Somebody who may see what a test says, and who remembers what was asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet

from kubeweft.model.references import ObjectKey


class FakeViewer:
    """May see the objects for which ``may`` is true; after ``most`` objects the rest stays undecided."""

    def __init__(self, may: Callable[[ObjectKey], bool], *, most: int = 10**9) -> None:
        self._may = may
        self._left = most
        self.asked: list[ObjectKey] = []
        self.undecided = 0

    def allowed(self, keys: Collection[ObjectKey], *, by_name: bool = True) -> AbstractSet[ObjectKey]:
        """In the order of the keys, so that a test can say which are undecided."""
        self.asked.extend(keys)
        found = set()
        for key in sorted(keys):
            self._left -= 1
            if self._left < 0:
                self.undecided += 1
            elif self._may(key) and (by_name or self._may(key._replace(name=""))):
                found.add(key)
        return found

    def clusters(self, names: Iterable[str]) -> list[str]:
        """Known in those in which some object may be seen."""
        return [name for name in names if self._may(ObjectKey(name, "", "pods", "default", ""))]
