"""What follows from a complete list: who is not in it is gone, and what changed since anybody watched gets a gap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubeweft.kube.receiving import Missed
from kubeweft.model.observations import Gap
from kubeweft.model.references import ObjectKey
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.facts import Facts


class Listing:
    """Whom one list has shown so far; ``names`` are their namespaces and names."""

    __slots__ = ("_is_readable", "_uids", "names")

    def __init__(self) -> None:
        """Nobody."""
        self.names: set[tuple[str, str]] = set()
        self._uids: set[str] = set()
        self._is_readable = True

    def show(self, kind: str, facts: Facts) -> None:
        """A line of the list; one that was streamed may also take an object back (DELETED)."""
        self.names.add((facts.namespace, facts.name))
        if kind == "DELETED":
            self._uids.discard(facts.uid)
        else:
            self._uids.add(facts.uid)

    def show_unreadable(self, kind: str, uid: str) -> None:
        """A line that tells no more than its UID, or not even that: then anybody may be meant."""
        if kind == "DELETED":
            self._uids.discard(uid)
        else:
            self._uids.add(uid)
            self._is_readable = self._is_readable and bool(uid)

    def missing(self, known: Iterable[str]) -> list[str]:
        """Of the UIDs known before, those that are gone; call it when the list is complete."""
        return [uid for uid in known if uid not in self._uids] if self._is_readable else []


class Unseen:
    """The objects that changed while nobody watched, as far as lists have shown it."""

    def __init__(self, differ: Differ, observer: str) -> None:
        """``observer`` names us in the gaps."""
        self._differ = differ
        self._observer = observer
        self._keys: dict[ObjectKey, None] = {}

    def add(self, key: ObjectKey) -> None:
        """This one did. It still needs its gap if the list that has shown it breaks off."""
        self._keys[key] = None

    def clear(self) -> None:
        """All of them have been told."""
        self._keys.clear()

    def gaps(self, missed: Missed) -> Iterator[Gap]:
        """One for the whole type, and one for each of them."""
        whole_type = self._differ.key("", "")
        for key in (whole_type, *self._keys):
            if key is whole_type or self._differ.rules.wants_object(key):
                yield Gap(
                    key=key,
                    observer=self._observer,
                    reason=missed.reason,
                    message=missed.message,
                    start=missed.start,
                    end=missed.end,
                    count=len(self._keys) if key is whole_type else 0,
                )
