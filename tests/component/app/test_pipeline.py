"""The way to the store when it is full: senders are told to come again, watches wait, and nothing hangs in the air."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_log import stored
from kubeweft.app import pipeline as pipeline_module
from kubeweft.app.pipeline import Pipeline
from kubeweft.model.errors import NotNow
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation
from kubeweft.model.references import ResourceType
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.store.embedded import failures
from kubeweft.store.interfaces import Checkpoint
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver
from span_builders import change, event, key, owner, request, uid

POD, REPLICA_SET, DEPLOYMENT = key("pods", "web-1-a"), key("replicasets", "web-1"), key("deployments", "web")
WIDGET = key("widgets", "w1")
LAGGARD = "an exporter that takes nothing"
MOST_PENDING = 3

STORY: list[Observation] = [
    change(
        REPLICA_SET,
        "Added",
        "10:00:01",
        uid=uid(2),
        version="2",
        owners=(owner(DEPLOYMENT, uid(1)),),
        body={"a": 1},
    ),
    change(
        POD, "Added", "10:00:02", uid=uid(3), version="3", owners=(owner(REPLICA_SET, uid(2)),), body={"a": 1}
    ),
    request(POD, "create", "10:00:02"),
    event(POD, "Started", "10:00:03"),
    request(DEPLOYMENT, "patch", "10:00:04"),
    event(POD, "BackOff", "10:31:00", count=3),
    request(DEPLOYMENT, "patch", "10:32:00", code=409),
]


class Place:
    """A store that can be made full and roomy again, and the pipeline that leads to it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.kinds = Kinds()
        self.store = SqliteStore(file, max_pending=MOST_PENDING)
        self.writer = Writer(self.store)
        self.pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=self.kinds), self.writer)
        self.store.export_position(LAGGARD)

    async def fill(self) -> None:
        """From now on nothing is taken: an exporter has too much to do."""
        self.store.activate_exporters([])
        await self.pipeline.deliver(
            [request(key("nodes", f"n{n}"), "get", "09:00:00") for n in range(MOST_PENDING)]
        )
        self.store.activate_exporters([LAGGARD])

    def make_room(self) -> None:
        """Everything is taken again."""
        self.store.activate_exporters([])

    async def refuse(self, *observations: Observation) -> None:
        """Offer something to the full store."""
        with pytest.raises(NotNow) as problem:
            await self.pipeline.offer(observations)
        assert problem.value.delay > 0

    def spans(self) -> set[tuple[bytes, bytes]]:
        """What is stored, without what made it full."""
        return {name for name, span in stored(self.file).items() if span.key.resource != "nodes"}


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(failures, "FULL_DELAY", 0.01)
    place = Place(tmp_path / "kubeweft.db")
    yield place
    await place.writer.aclose()
    place.store.close()


def everything() -> set[tuple[bytes, bytes]]:
    """The spans that the story makes where nothing is ever refused."""
    return set(sources())


async def test_what_is_offered_is_durable(place: Place) -> None:
    await place.pipeline.offer(STORY)
    assert place.spans() == everything()


async def test_what_is_refused_is_told_whole_the_next_time(place: Place) -> None:
    await place.fill()
    before = stored(place.file)
    await place.refuse(*STORY)
    assert stored(place.file) == before
    place.make_room()
    await place.pipeline.offer(STORY)
    assert place.spans() == everything()


async def test_others_that_rely_on_what_was_refused_bring_it_along(place: Place) -> None:
    """A watch shows the Pod whose object span and links were woven with the refused request, which may never return."""
    await place.pipeline.offer(STORY[:1])
    await place.fill()
    await place.refuse(*STORY[1:3])
    place.make_room()
    await place.pipeline.deliver(STORY[3:])
    assert sorted(sources()[name] for name in missing(place)) == ["change", "request"]


def sources() -> dict[tuple[bytes, bytes], str]:
    """What each span of the story is."""
    woven = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds()).weave(STORY)
    return {(span.trace_id, span.span_id): span.source for span in woven}


def missing(place: Place) -> set[tuple[bytes, bytes]]:
    return everything() - place.spans()


async def test_what_is_woven_while_a_write_hangs_has_its_root(place: Place) -> None:
    """Both were woven before the first was refused, so only the first brought the object span."""
    await place.fill()
    results = await asyncio.gather(
        place.pipeline.offer([STORY[2]]), place.pipeline.offer([STORY[3]]), return_exceptions=True
    )
    assert [type(result).__name__ for result in results] == ["StoreFull", "StoreFull"]
    place.make_room()
    await place.pipeline.offer([STORY[3]])
    spans = stored(place.file)
    found = [span for span in spans.values() if span.key == POD]
    assert sorted(span.source for span in found) == ["event", "object"]


async def test_a_thousand_refusals_cost_what_one_does(place: Place) -> None:
    await place.fill()
    for _ in range(1000):
        await place.refuse(*STORY)
    place.make_room()
    before = place.writer.statistics().spans
    await place.pipeline.offer(STORY)
    written = place.writer.statistics().spans - before
    assert place.spans() == everything()
    assert written == len(everything())


async def test_more_than_can_be_owed_is_woven_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "MOST_OWED", 2)
    await place.fill()
    await place.refuse(*STORY)
    place.make_room()
    for one in STORY:
        await place.pipeline.offer([one])
    assert place.spans() == everything()


@pytest.mark.parametrize("seed", range(10))
async def test_refusals_at_any_moment_lose_nothing(place: Place, seed: int) -> None:
    choice = random.Random(seed)
    waiting = [[one] for one in STORY]
    while waiting:
        if choice.random() < 0.5:
            await place.fill()
        else:
            place.make_room()
        part = choice.choice(waiting)
        with contextlib.suppress(NotNow):
            await place.pipeline.offer(part)
            waiting.remove(part)
    place.make_room()
    await place.pipeline.deliver([STORY[-1]])
    assert place.spans() == everything()


async def test_a_watch_waits_until_there_is_room(place: Place) -> None:
    await place.fill()
    checkpoint = Checkpoint("demo", "", "pods", "7", 5)
    waits = pipeline_module.WAITS._value.get()
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(place.pipeline.deliver(STORY, [checkpoint]))
        while pipeline_module.WAITS._value.get() < waits + 3:
            await asyncio.sleep(0)
        assert not delivery.done()
        assert place.store.resume("demo", "", "pods") is None
        place.make_room()
    assert place.spans() == everything()
    resume = place.store.resume("demo", "", "pods")
    assert resume is not None
    assert resume.version == "7"


async def test_a_watch_that_ends_while_it_waits_leaves_no_child_without_a_root(place: Place) -> None:
    await place.fill()
    delivery = asyncio.get_running_loop().create_task(place.pipeline.deliver(STORY[:3]))
    waits = pipeline_module.WAITS._value.get()
    while pipeline_module.WAITS._value.get() == waits:
        await asyncio.sleep(0)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    place.make_room()
    await place.pipeline.offer(STORY[3:])
    assert sorted(sources()[name] for name in missing(place)) == ["change", "change", "request"]


async def test_a_checkpoint_without_spans_is_written_also_when_spans_are_refused(place: Place) -> None:
    """It takes no room that an exporter would have to clear."""
    await place.fill()
    await place.pipeline.deliver((), [Checkpoint("demo", "", "pods", "9", 5)])
    resume = place.store.resume("demo", "", "pods")
    assert resume is not None
    assert resume.version == "9"


async def test_owners_of_kinds_learned_later_are_linked(place: Place) -> None:
    await place.pipeline.offer(
        [
            change(
                POD,
                "Added",
                "10:00:02",
                uid=uid(3),
                version="3",
                owners=(owner(WIDGET, uid(9)),),
                body={"a": 1},
            )
        ]
    )
    assert not [span for span in stored(place.file).values() if span.source == "link"]
    place.kinds.learn(ResourceType("example.com", "v1", "widgets", "Widget", True))
    await place.pipeline.kinds_learned()
    assert sorted(str(s.key) for s in stored(place.file).values() if s.source == "link") == [
        "pods/default/web-1-a",
        "widgets.example.com/default/w1",
    ]


async def test_nothing_is_written_for_nothing(place: Place) -> None:
    await place.pipeline.offer([])
    await place.pipeline.deliver([])
    await place.pipeline.kinds_learned()
    assert place.writer.statistics().batches == 0
