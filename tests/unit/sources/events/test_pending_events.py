"""Events whose kind is not known yet are kept, within bounds, until it is."""

from __future__ import annotations

from audit_events import kubernetes_event
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ResourceType
from kubeweft.sources.events.parsing import EventReader, Unresolved
from kubeweft.sources.events.pending import Pending


class CountingKinds(Kinds):
    """Counts how often it is asked."""

    asked = 0

    def resource_of(self, group: str, kind: str) -> ResourceType | None:
        self.asked += 1
        return super().resource_of(group, kind)


def unresolved(reader: EventReader, kind: str, name: str) -> Unresolved:
    """An Event about an object of an unknown kind."""
    event = kubernetes_event(involvedObject={"kind": kind, "name": name, "apiVersion": "example.com/v1"})
    event["metadata"]["uid"] = f"uid-{name}"
    found = reader.read(event)
    assert isinstance(found, Unresolved)
    return found


def reader(kinds: Kinds) -> EventReader:
    return EventReader("c1", kinds=kinds, redactor=Redactor(Redaction(), b"k" * 32))


def test_events_are_ready_once_their_kind_is_known_until_they_are_delivered() -> None:
    kinds = Kinds()
    read, pending = reader(kinds), Pending()
    pending.keep([unresolved(read, "Widget", "w"), unresolved(read, "Gadget", "g")])
    assert pending.ready(read) == ()
    kinds.learn(ResourceType("example.com", "v1", "widgets", "Widget", True))
    ready = pending.ready(read)
    assert [seen.key.resource for seen in ready] == ["widgets"]
    assert pending.ready(read) == ready  # not delivered: the store was full
    assert len(pending) == 1
    pending.delivered(ready)
    assert pending.ready(read) == ()


def test_what_does_not_fit_is_dropped_oldest_first_and_counted() -> None:
    kinds = Kinds()
    read, pending = reader(kinds), Pending(most=3)
    pending.keep(unresolved(read, "Widget", f"w{number}") for number in range(5))
    assert (len(pending), pending.dropped) == (3, 2)
    kinds.learn(ResourceType("example.com", "v1", "widgets", "Widget", True))
    assert [seen.key.name for seen in pending.ready(read)] == ["w2", "w3", "w4"]


def test_an_unknown_kind_is_asked_for_once_however_many_wait_for_it() -> None:
    kinds = CountingKinds()
    read, pending = reader(kinds), Pending()
    pending.keep(unresolved(read, "Widget", f"w{number}") for number in range(100))
    kinds.asked = 0
    pending.ready(read)
    assert kinds.asked == 1
    assert len(pending) == 100
