"""How far the watch of one resource type has come, and the checkpoints that say so.

The last versions are not written with every change but now and then, together with the resourceVersion reached: after
a crash the watch begins at the last checkpoint and makes the same spans again, byte for byte, which the store knows
already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kubeweft.sources.objects.differing import PARTIAL_MARK, Differ
from kubeweft.store.interfaces import Checkpoint, StoredVersion

CHECKPOINT_EVERY = 1_000_000_000  # ns
MOST_DIRTY = 2_000

Clock = Callable[[], int]  # the time now, in nanoseconds since the epoch


@dataclass
class Progress:
    """What has been seen of late: the version reached, and objects by UID, with their namespace and name."""

    version: str = ""
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def keep(self, uid: str, namespace: str, name: str) -> None:
        """The object's last version has to be written."""
        self.removed.discard(uid)
        self.versions[uid] = (namespace, name)

    def drop(self, uid: str) -> None:
        """Nothing is remembered of the object any more."""
        self.versions.pop(uid, None)
        self.removed.add(uid)

    def take(self, newer: Progress) -> None:
        """Add what came after it."""
        self.version = newer.version or self.version
        for uid in newer.removed:
            self.versions.pop(uid, None)
        for uid in newer.versions:
            self.removed.discard(uid)
        self.versions.update(newer.versions)
        self.removed.update(newer.removed)


class Checkpoints:
    """Makes the checkpoints of one watch; ``progress`` is what is durable and in none of them yet."""

    def __init__(self, differ: Differ, clock: Clock) -> None:
        """What the ``differ`` remembers is what they are made of."""
        self.progress = Progress()
        self._differ = differ
        self._clock = clock
        self._last = clock()

    @property
    def are_due(self) -> bool:
        """Whether enough has been seen for the next one, or long enough ago."""
        return len(self.progress.versions) >= MOST_DIRTY or self._clock() - self._last >= CHECKPOINT_EVERY

    @property
    def have_news(self) -> bool:
        """Whether the next one would hold any object. Before a whole list, there is no version to begin at."""
        progress = self.progress
        return bool(progress.version and (progress.versions or progress.removed))

    def make(self) -> Checkpoint:
        """The next one, of all progress."""
        progress = self.progress
        self.progress = Progress(version=progress.version)
        self._last = self._clock()
        versions = tuple(
            StoredVersion(
                *progress.versions[uid],
                uid,
                known.version,
                known.snapshot_window,
                known.dictionary,
                known.body,
                PARTIAL_MARK if known.partial else b"",
            )
            for uid, known in self._differ.settle(progress.versions)
        )
        dictionary = self._differ.take_new_dictionary()
        return Checkpoint(
            cluster=self._differ.cluster,
            group=self._differ.resource.group,
            resource=self._differ.resource.resource,
            version=progress.version,
            time=self._last,
            versions=versions,
            removed=tuple(progress.removed),
            dictionaries=(dictionary,) if dictionary is not None else (),
        )
