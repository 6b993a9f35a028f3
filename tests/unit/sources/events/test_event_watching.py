"""Events from their watch: told once, in durable batches, whatever is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from audit_events import kubernetes_event
from kubeweft.kube.receiving import Missed, Receiver, ResumePoint, WatchLine
from kubeweft.model.errors import NotNow
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Gap, Observation
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.sources.events import watching
from kubeweft.sources.events.parsing import EventReader
from kubeweft.sources.events.watching import CHECKPOINT_EVERY, EventReceiver, EventRules
from kubeweft.store.interfaces import Checkpoint, Resume

EVENTS = ResourceType("", "v1", "events", "Event", True)
WIDGETS = ResourceType("example.com", "v1", "widgets", "Widget", True)


class Desk:
    """Where a receiver delivers to, with a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Observation], list[Checkpoint]]] = []
        self.full = False
        self.now = 10**18
        self.kinds = Kinds()
        self.wanted = True

    async def deliver(self, observations: Sequence[Observation], checkpoints: Sequence[Checkpoint]) -> None:
        if self.full:
            raise NotNow("full", delay=1.0)
        self.batches.append((list(observations), list(checkpoints)))

    def receiver(self, resume: Resume | None = None) -> EventReceiver:
        reader = EventReader("c1", kinds=self.kinds, redactor=Redactor(Redaction(), b"k" * 32))
        return EventReceiver(
            cluster="c1",
            resource=EVENTS,
            rules=EventRules(reader, lambda _key: self.wanted),
            deliver=self.deliver,
            resume=resume,
            clock=lambda: self.now,
            observer="me",
        )

    @property
    def seen(self) -> list[tuple[str, int]]:
        return [
            (s.event_uid, s.count) for batch, _ in self.batches for s in batch if isinstance(s, EventSeen)
        ]

    @property
    def versions(self) -> list[str]:
        return [checkpoint.version for _, checkpoints in self.batches for checkpoint in checkpoints]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def line(uid: str, count: int = 1, *, type: str = "ADDED", **changes: Any) -> WatchLine:  # noqa: A002
    """One line of a watch."""
    event = kubernetes_event(count=count, **changes)
    event["metadata"]["uid"] = uid
    return WatchLine(type, orjson.dumps(event))


def about_widget(uid: str) -> WatchLine:
    """An Event about an object of a kind that is not built in."""
    return line(uid, involvedObject={"kind": "Widget", "name": "w", "apiVersion": "example.com/v1"})


def test_it_is_a_receiver(desk: Desk) -> None:
    receiver: Receiver = desk.receiver()
    assert receiver is not None


async def test_each_state_is_told_once(desk: Desk) -> None:
    receiver = desk.receiver()
    await receiver.changed([line("a"), line("b")], "5")
    await receiver.changed([line("a"), line("a", 2, type="MODIFIED")], "7")
    await receiver.changed([line("a", 2, type="MODIFIED"), line("b", type="DELETED")], "8")
    assert desk.seen == [("a", 1), ("b", 1), ("a", 2)]


async def test_a_list_tells_what_exists_and_ends_with_a_checkpoint(desk: Desk) -> None:
    receiver = desk.receiver()
    assert await receiver.resume_point() == ResumePoint("", 0)
    await receiver.list_started()
    await receiver.listed([line("a")])
    await receiver.listed([line("b")])
    await receiver.list_finished("9", None)
    assert desk.seen == [("a", 1), ("b", 1)]
    assert desk.batches[-1] == ([], [Checkpoint("c1", "", "events", "9", desk.now)])


async def test_lost_versions_are_a_gap_in_the_batch_of_the_checkpoint(desk: Desk) -> None:
    receiver = desk.receiver()
    await receiver.list_finished("9", Missed("Expired", "too old", 100, 200))
    ((gap,), (checkpoint,)) = desk.batches[0]
    assert gap == Gap(
        key=ObjectKey("c1", "", "events", "", ""),
        observer="me",
        reason="Expired",
        message="too old",
        start=100,
        end=200,
    )
    assert checkpoint.version == "9"


async def test_it_resumes_where_a_former_run_came_to(desk: Desk) -> None:
    receiver = desk.receiver(Resume(version="41", time=7, versions=(), dictionaries=()))
    assert await receiver.resume_point() == ResumePoint("41", 7)
    await receiver.flush()
    assert desk.versions == ["41"]


async def test_checkpoints_come_with_the_batch_but_not_with_every_one(desk: Desk) -> None:
    receiver = desk.receiver()
    await receiver.changed([line("a")], "1")
    await receiver.changed([line("b")], "2")
    desk.now += CHECKPOINT_EVERY
    await receiver.changed([line("c")], "3")
    assert desk.versions == ["1", "3"]
    assert [len(found) for found, _ in desk.batches] == [1, 1, 1]


async def test_a_bookmark_alone_becomes_a_checkpoint_when_it_is_due(desk: Desk) -> None:
    receiver = desk.receiver()
    await receiver.changed([], "1")
    await receiver.changed([], "2")
    assert desk.versions == ["1"]


async def test_what_could_not_be_delivered_is_handed_over_again(desk: Desk) -> None:
    receiver = desk.receiver()
    desk.full = True
    with pytest.raises(NotNow):
        await receiver.changed([line("a"), about_widget("w")], "5")
    desk.full = False
    await receiver.changed([line("a"), about_widget("w")], "5")
    assert desk.seen == [("a", 1)]
    assert desk.versions == ["5"]
    desk.kinds.learn(WIDGETS)
    await receiver.kinds_learned()
    assert desk.seen == [("a", 1), ("w", 1)]


async def test_a_full_store_never_loses_an_event_that_waited_for_its_kind(desk: Desk) -> None:
    receiver = desk.receiver()
    await receiver.changed([about_widget("w")], "5")
    desk.kinds.learn(WIDGETS)
    desk.full = True
    with pytest.raises(NotNow):
        await receiver.kinds_learned()
    desk.full = False
    await receiver.changed([line("a")], "6")
    assert sorted(desk.seen) == [("a", 1), ("w", 1)]


async def test_a_bad_event_is_skipped_and_counted(desk: Desk) -> None:
    def bad() -> float:
        return REGISTRY.get_sample_value("kubeweft_events_total", {"outcome": "bad"}) or 0

    before = bad()
    await desk.receiver().changed(
        [WatchLine("ADDED", b'{"metadata":{}}'), WatchLine("ADDED", b"{"), line("a")], "5"
    )
    assert desk.seen == [("a", 1)]
    assert bad() == before + 2


async def test_unwanted_events_are_not_delivered(desk: Desk) -> None:
    receiver = desk.receiver()
    desk.wanted = False
    await receiver.changed([line("a")], "5")
    assert desk.seen == []
    desk.wanted = True
    await receiver.changed([line("a")], "5")
    assert desk.seen == [("a", 1)]


async def test_nothing_is_asked_for_before_the_namespaces_are_known(desk: Desk) -> None:
    known, receiver = asyncio.Event(), desk.receiver()

    async def wait() -> None:
        await known.wait()

    receiver.rules = EventRules(receiver.rules.reader, lambda _key: True, wait)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(receiver.resume_point())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not asked.done()
        known.set()
    assert asked.result() == ResumePoint("", 0)


async def test_new_rules_hold_at_once(desk: Desk) -> None:
    receiver = desk.receiver()
    receiver.rules = EventRules(receiver.rules.reader, lambda _key: False)
    await receiver.changed([line("a")], "5")
    assert desk.seen == []


async def test_what_is_remembered_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_REMEMBERED", 10)
    receiver = desk.receiver()
    await receiver.changed([line(str(number)) for number in range(100)], "5")
    assert len(receiver._told) == 10
