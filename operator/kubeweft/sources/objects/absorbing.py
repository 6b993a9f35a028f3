"""From the lines of one watch to all that follows from them: changes, relations, and who is gone.

Nothing here waits, and nothing is durable yet: :mod:`kubeweft.sources.objects.receiving` sees to both.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence

from prometheus_client import Counter

from kubeweft.kube.receiving import WatchLine
from kubeweft.model.errors import BadInput
from kubeweft.model.observations import Change, Known, Related
from kubeweft.model.references import ResourceType
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.facts import Facts, uid_in
from kubeweft.sources.objects.linking import Relater
from kubeweft.sources.objects.listing import Listing
from kubeweft.sources.objects.progress import Progress
from kubeweft.sources.objects.witnessing import Witness

logger = logging.getLogger(__name__)

BAD_OBJECTS = Counter("kubeweft_bad_objects_total", "Watched objects that could not be read.", ["resource"])

Found = Change | Related | Known


def tell_unreadable(resource: ResourceType, reason: str) -> None:
    """An object of this type cannot be read, or no more than its metadata: count it, and say why."""
    BAD_OBJECTS.labels(resource=str(resource)).inc()
    logger.warning("skipped an object: resource=%s reason=%s", resource, reason)


class Absorber:
    """Shows each object of one watch to those that are concerned: differ, chooser and rules."""

    def __init__(self, differ: Differ, *, witness: Witness, relater: Relater) -> None:
        """All three belong to the same watch."""
        self._differ = differ
        self._witness = witness
        self._relater = relater

    def absorb(
        self, lines: Sequence[WatchLine], seen: Progress, *, received: int, listing: Listing | None = None
    ) -> Iterator[Found]:
        """What some lines make, of a ``listing`` or else of a watch; what has to be kept of them is added to ``seen``.

        All are read before the first is compared, which is a fifth quicker.
        """
        differ = self._differ
        wants_object = differ.rules.wants_object
        is_witness, is_related = self._witness.is_asked, self._relater.is_asked
        for line, reading in [(line, self._read(line)) for line in lines]:
            if reading is None:
                yield from self._absorb_unreadable(line, seen, received=received, listing=listing)
                continue
            facts, body = reading
            if is_witness:
                self._testify(line.type, facts, body)
            if listing is not None and line.type == "ADDED":
                changes = differ.take_listed(facts, body, received=received)
            else:
                changes = differ.take(line.type, facts, body, received=received)
            if facts.uid in differ.remembered:
                seen.keep(facts.uid, facts.namespace, facts.name)
            else:
                seen.drop(facts.uid)  # also where a version is told again of what was deleted since
            if listing is not None:
                listing.show(line.type, facts)
            for change in changes:
                if wants_object(change.key):
                    yield change
            if is_related:
                yield from self._relater.follow(changes, body)

    def absorb_missing(self, listing: Listing, seen: Progress, *, received: int) -> Iterator[Found]:
        """What follows for those that a complete list did not show."""
        for uid in listing.missing(self._differ.remembered):
            yield from self._absorb_end(uid, seen, received=received, living=listing.names)

    def _read(self, line: WatchLine) -> tuple[Facts, bytes] | None:
        try:
            return self._differ.read(line.object)
        except BadInput as error:
            tell_unreadable(self._differ.resource, str(error))
            return None

    def _testify(self, kind: str, facts: Facts, body: bytes) -> None:
        key = self._differ.key(facts.namespace, facts.name)
        self._witness.tell(key, body)
        if kind == "DELETED":
            self._witness.tell_gone(key)

    def _absorb_unreadable(
        self, line: WatchLine, seen: Progress, *, received: int, listing: Listing | None
    ) -> Iterator[Found]:
        """What cannot be read is there all the same, or gone: that much its UID tells."""
        uid = uid_in(line.object)
        if listing is not None:
            listing.show_unreadable(line.type, uid)
        if line.type == "DELETED":
            yield from self._absorb_end(uid, seen, received=received)

    def _absorb_end(
        self, uid: str, seen: Progress, *, received: int, living: Collection[tuple[str, str]] = ()
    ) -> Iterator[Found]:
        """An object is gone; others may bear its name by now (``living``: namespace and name)."""
        change = self._differ.missing(uid, received=received)
        if change is None:
            return
        seen.drop(uid)
        if self._differ.rules.wants_object(change.key):
            yield change
        if change.key[3:] in living:
            yield Known(change.key, ())
            return
        yield from self._relater.follow([change], change.body)
        self._witness.tell_gone(change.key)
