"""The receiver of one watch: lists, relists, gaps, checkpoints and what a new run makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from kubeweft.kube.receiving import Missed, ResumePoint, WatchLine
from kubeweft.model.observations import Change, Gap, Known, Observation
from kubeweft.model.plan import Plan, Redaction, Scope, ValuePattern
from kubeweft.model.references import ResourceType
from kubeweft.sources.objects import absorbing, progress
from kubeweft.sources.objects.progress import CHECKPOINT_EVERY
from kubeweft.sources.objects.receiving import ObjectReceiver
from kubeweft.store.interfaces import Checkpoint, Resume, StoredVersion
from watched_objects import (
    DEPLOYMENTS,
    OTHER_UID,
    RECEIVED,
    UID,
    WIDGETS,
    differ_of,
    nested,
    owner,
    rules_of,
    watched,
)

MISSED = Missed("Expired", "too old", RECEIVED - 5, RECEIVED + 5)
DEMO = "deployments.apps/default/demo"


class Disk:
    """What has been delivered durably, and what a new run would find there."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[Sequence[Observation], Sequence[Checkpoint]]] = []
        self.resume: Resume | None = None
        self.closed: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def deliver(self, observations: Sequence[Observation], checkpoints: Sequence[Checkpoint]) -> None:
        if self.closed is not None:
            self.reached.set()
            await self.closed.wait()
        self.deliveries.append((tuple(observations), tuple(checkpoints)))
        for checkpoint in checkpoints:
            self.resume = self._after(checkpoint)

    def _after(self, checkpoint: Checkpoint) -> Resume:
        before = self.resume or Resume("", 0, (), ())
        versions = {one.uid: one for one in before.versions}
        assert not set(checkpoint.removed) & {one.uid for one in checkpoint.versions}
        versions.update({one.uid: one for one in checkpoint.versions})
        kept = [one for uid, one in versions.items() if uid not in checkpoint.removed]
        dictionaries = dict(before.dictionaries) | dict(checkpoint.dictionaries)
        assert all(one.dictionary in (0, *dictionaries) for one in kept), (
            "a body whose dictionary is not there"
        )
        return Resume(checkpoint.version, checkpoint.time, kept, tuple(dictionaries.items()))

    @property
    def observations(self) -> list[Observation]:
        return [one for found, _ in self.deliveries for one in found]

    @property
    def changes(self) -> list[Change]:
        return [one for one in self.observations if isinstance(one, Change)]

    @property
    def gaps(self) -> list[Gap]:
        return [one for one in self.observations if isinstance(one, Gap)]

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [one for _, found in self.deliveries for one in found]

    def told(self) -> list[tuple[str, str, str]]:
        """Type and versions of each change."""
        return [(change.type, change.old_version, change.version) for change in self.changes]

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.deliveries.clear()


class Run:
    """One run of a receiver on a disk, with a clock that the test moves."""

    def __init__(self, disk: Disk, resource: ResourceType = DEPLOYMENTS, *, plan: Plan | None = None) -> None:
        self.now = RECEIVED
        self.differ = differ_of(resource, plan=plan)
        self.receiver = ObjectReceiver(
            self.differ, deliver=disk.deliver, resume=disk.resume, clock=lambda: self.now, observer="me"
        )

    async def changed(self, *lines: tuple[str, bytes], version: str = "100") -> None:
        await self.receiver.changed([WatchLine(*line) for line in lines], version)

    async def listed(self, *objects: bytes) -> None:
        await self.receiver.listed([WatchLine("ADDED", one) for one in objects])

    async def whole_list(self, *objects: bytes, version: str = "100", missed: Missed | None = None) -> None:
        await self.receiver.list_started()
        await self.listed(*objects)
        await self.receiver.list_finished(version, missed)


def other(version: int, **more: object) -> bytes:
    return watched(version, name="other", uid=OTHER_UID, **more)  # type: ignore[arg-type]  # passed on


# ---------------------------------------------------------------------------------------------------- lists


async def test_a_first_list_gives_sightings_and_one_checkpoint_at_its_end() -> None:
    disk = Disk()
    run = Run(disk)
    assert await run.receiver.resume_point() == ResumePoint("", 0)
    run.now += 10 * CHECKPOINT_EVERY
    await run.whole_list(watched(5), other(6), version="9")
    assert disk.told() == [("Sighting", "", "5"), ("Sighting", "", "6")]
    assert disk.gaps == []
    (checkpoint,) = disk.checkpoints  # an incomplete list is no state to begin from
    assert (checkpoint.version, len(checkpoint.versions)) == ("9", 2)
    assert (checkpoint.cluster, checkpoint.group, checkpoint.resource) == ("local", "apps", "deployments")


async def test_listed_objects_are_small_at_once() -> None:
    """Before the first checkpoint, which may be a hundred thousand objects later."""
    run = Run(Disk())
    await run.receiver.list_started()
    for start in range(0, 100, 10):
        await run.listed(
            *(watched(5, uid=f"uid-{n}", spec={"text": "word " * 500}) for n in range(start, start + 10))
        )
    assert max(len(one.body) for one in list(run.differ.remembered.values())[10:]) < 100


async def test_a_list_after_lost_versions_tells_all_that_happened_meanwhile() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), other(6), watched(7, name="third", uid="third"), version="9")
    disk.forget()
    await run.whole_list(
        watched(30, spec={"replicas": 9}),
        watched(7, name="third", uid="third"),
        watched(40, name="new", uid="new"),
        version="50",
        missed=MISSED,
    )
    assert disk.told() == [("Modified", "5", "30"), ("Sighting", "", "40"), ("Deleted", "6", "")]
    gaps = {(gap.key.name, gap.count): gap for gap in disk.gaps}
    assert set(gaps) == {("", 2), ("demo", 0), ("other", 0)}
    assert {(g.reason, g.message, g.start, g.end, g.observer) for g in disk.gaps} == {(*MISSED, "me")}
    observations, (checkpoint,) = disk.deliveries[-1]
    assert (checkpoint.version, checkpoint.removed) == ("50", (OTHER_UID,))
    assert (
        len(observations) == 1 + 3
    )  # the deletion and the gaps are durable with the checkpoint that follows


async def test_a_list_without_loss_leaves_no_gap() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5))
    await run.whole_list(watched(6), missed=None)
    assert (disk.told()[1:], disk.gaps) == ([("Modified", "5", "6")], [])


async def test_half_a_list_says_of_nothing_that_it_is_gone() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), other(6))
    disk.forget()
    await run.receiver.list_started()
    await run.listed(watched(8))
    await run.whole_list(watched(8), other(6), version="20", missed=MISSED)
    assert disk.told() == [("Modified", "5", "8")]


async def test_what_half_a_list_found_still_gets_its_gap() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), other(6))
    await run.receiver.list_started()
    await run.listed(watched(8))
    await run.whole_list(watched(8), other(6), version="20", missed=MISSED)
    assert {gap.key.name for gap in disk.gaps} == {"", "demo"}


async def test_what_was_seen_only_in_a_void_list_is_gone() -> None:
    disk = Disk()
    run = Run(disk)
    await run.receiver.list_started()
    await run.listed(watched(5), other(6))
    await run.whole_list(watched(5), version="20")
    assert disk.told() == [("Sighting", "", "5"), ("Sighting", "", "6"), ("Deleted", "6", "")]


async def test_a_streamed_list_may_change_its_mind() -> None:
    disk = Disk()
    run = Run(disk)
    await run.receiver.list_started()
    await run.listed(watched(5), other(6))
    await run.receiver.listed(
        [WatchLine("MODIFIED", watched(7, spec={"replicas": 3})), WatchLine("DELETED", other(8))]
    )
    await run.receiver.list_finished("9", None)
    assert disk.told() == [
        ("Sighting", "", "5"),
        ("Sighting", "", "6"),
        ("Modified", "5", "7"),
        ("Deleted", "6", "8"),
    ]
    assert [one.uid for one in disk.checkpoints[-1].versions] == [UID]


# --------------------------------------------------------------------------------------- unreadable objects


async def test_an_object_that_cannot_be_read_stops_nobody() -> None:
    disk = Disk()
    run = Run(disk, WIDGETS)
    deep = nested(watched(6, resource=WIDGETS), 300)
    await run.changed(
        ("ADDED", watched(5, resource=WIDGETS)), ("MODIFIED", deep), ("ADDED", b"{"), ("ADDED", other(8))
    )
    assert disk.told() == [("Added", "", "5"), ("Added", "", "8")]


async def test_an_object_that_cannot_be_read_is_not_taken_for_deleted() -> None:
    disk = Disk()
    run = Run(disk, WIDGETS)
    await run.whole_list(watched(5, resource=WIDGETS), other(6))
    disk.forget()
    await run.whole_list(nested(watched(7, resource=WIDGETS), 300), version="20", missed=MISSED)
    assert disk.told() == [("Deleted", "6", "")]
    await run.whole_list(watched(8, resource=WIDGETS), version="30")
    assert disk.told()[1:] == [("Modified", "5", "8")]


async def test_a_list_with_a_nameless_object_says_of_nothing_that_it_is_gone() -> None:
    disk = Disk()
    run = Run(disk, WIDGETS)
    await run.whole_list(watched(5, resource=WIDGETS))
    disk.forget()
    await run.whole_list(b'{"metadata":', version="20")
    assert disk.told() == []
    await run.whole_list(version="30")
    assert disk.told() == [("Deleted", "5", "")]


async def test_the_deletion_of_an_object_that_cannot_be_read_is_told() -> None:
    disk = Disk()
    run = Run(disk, WIDGETS)
    await run.whole_list(watched(5, resource=WIDGETS))
    await run.changed(("DELETED", nested(watched(7, resource=WIDGETS), 300)))
    assert disk.told() == [("Sighting", "", "5"), ("Deleted", "5", "")]
    await run.receiver.flush()
    assert disk.resume is not None
    assert disk.resume.versions == []


# ---------------------------------------------------------------------------------------------- checkpoints


async def test_spans_are_written_at_once_and_checkpoints_now_and_then() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), version="9")
    disk.forget()
    await run.changed(("MODIFIED", watched(10)), version="10")
    await run.changed(("MODIFIED", watched(11)), version="11")
    assert (len(disk.changes), disk.checkpoints) == (2, [])
    run.now += CHECKPOINT_EVERY
    await run.changed(("MODIFIED", watched(12)), version="12")
    observations, (checkpoint,) = disk.deliveries[-1]
    assert [o.version for o in observations if isinstance(o, Change)] == ["12"]
    assert (checkpoint.version, checkpoint.time) == ("12", run.now)
    assert [(one.uid, one.version) for one in checkpoint.versions] == [(UID, "12")]


async def test_many_changes_do_not_wait_for_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MOST_DIRTY", 3)
    disk = Disk()
    run = Run(disk)
    await run.whole_list(version="1")
    disk.forget()
    for version in range(10, 15):
        await run.changed(("ADDED", watched(version, uid=f"uid-{version}")), version=str(version))
    assert [(c.version, len(c.versions)) for c in disk.checkpoints] == [("13", 4)]


async def test_a_bookmark_moves_the_checkpoint() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), version="9")
    run.now += CHECKPOINT_EVERY
    await run.changed(version="500")
    assert (disk.checkpoints[-1].version, disk.checkpoints[-1].versions) == ("500", ())


async def test_a_flush_writes_what_is_new_once() -> None:
    disk = Disk()
    run = Run(disk)
    await run.receiver.flush()
    await run.whole_list(watched(5), version="9")
    await run.receiver.flush()
    assert len(disk.checkpoints) == 1
    await run.changed(("DELETED", watched(10)), version="10")
    await run.receiver.flush()
    await run.receiver.flush()
    assert [(c.version, c.removed) for c in disk.checkpoints[1:]] == [("10", (UID,))]


async def test_a_checkpoint_never_overtakes_its_spans() -> None:
    """While changes wait for a full store, the checkpoint of the flusher has to wait behind them."""
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), version="9")
    await run.changed(("MODIFIED", watched(10, spec={"replicas": 3})), version="10")
    disk.closed = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run.changed(("MODIFIED", watched(11, spec={"replicas": 4})), version="11"))
        await disk.reached.wait()
        group.create_task(run.receiver.flush())
        for _ in range(5):
            await asyncio.sleep(0)
        assert (disk.told()[-1], len(disk.checkpoints)) == (("Modified", "5", "10"), 1)
        disk.closed.set()
    assert (disk.told()[-1], disk.checkpoints[-1].version) == (("Modified", "10", "11"), "11")


@pytest.mark.parametrize("line", [("MODIFIED", watched(11, spec={"replicas": 4})), ("DELETED", watched(11))])
async def test_changes_that_were_broken_off_are_in_no_checkpoint(line: tuple[str, bytes]) -> None:
    """A stop while the spans wait: the last flush must not say that they are done, or the next run skips them."""
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), version="9")
    await run.changed(("MODIFIED", watched(10, spec={"replicas": 3})), version="10")
    disk.closed = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run.changed(line, version="11")
    disk.closed = None
    await run.receiver.flush()
    assert (disk.told()[-1], disk.checkpoints[-1].version) == (("Modified", "5", "10"), "9")
    again = Run(disk)
    await again.receiver.resume_point()
    await again.changed(("MODIFIED", watched(10, spec={"replicas": 3})), line, version="11")
    assert disk.told()[-1][1:] == ("10", "11")


# -------------------------------------------------------------------------------------------------- restarts


LINES = [
    ("ADDED", watched(10, uid="a")),
    ("MODIFIED", watched(11, "10:00:01", spec={"replicas": 3})),
    ("MODIFIED", watched(12, "10:00:02", uid="a", spec={"replicas": 4})),
    ("MODIFIED", watched(13, "10:30:02", spec={"replicas": 5})),
    ("DELETED", watched(14, "10:30:03", uid="a", spec={"replicas": 4})),
    ("ADDED", watched(15, "10:30:04", uid="b", spec={"replicas": 1})),
    ("MODIFIED", watched(16, "10:30:05", uid="b", spec={"replicas": 2})),
]


@pytest.mark.parametrize("killed_after", range(len(LINES) + 1))
async def test_a_replay_from_the_last_checkpoint_makes_the_same_changes(killed_after: int) -> None:
    whole = Disk()
    run = Run(whole)
    await run.whole_list(watched(5), version="9")
    for line in LINES:
        await run.changed(line, version=str(orjson.loads(line[1])["metadata"]["resourceVersion"]))

    cut = Disk()
    first = Run(cut)
    await first.whole_list(watched(5), version="9")
    for number, line in enumerate(LINES[:killed_after]):
        first.now += CHECKPOINT_EVERY // 2  # a checkpoint with every other change
        await first.changed(line, version=str(10 + number))
    second = Run(cut)
    reached = int((await second.receiver.resume_point()).version)
    for number, line in enumerate(LINES, 10):
        if number > reached:
            await second.changed(line, version=str(number))
    told = {(c.uid, c.type, c.old_version, c.version): replace_receipt(c) for c in cut.changes}
    assert told == {(c.uid, c.type, c.old_version, c.version): replace_receipt(c) for c in whole.changes}


def replace_receipt(change: Change) -> Change:
    """A deletion that tells no time has that of its receipt, which a replay cannot know."""
    if change.time_source == "object":
        return change
    return Change(**{name: getattr(change, name) for name in Change.__struct_fields__} | {"time": 0})


async def test_a_new_run_tells_again_who_owns_whom_and_nothing_else() -> None:
    disk = Disk()
    first = Run(disk)
    await first.whole_list(
        watched(5, metadata={"ownerReferences": [owner("ReplicaSet", "rs")]}), other(6), version="9"
    )
    disk.forget()
    second = Run(disk)
    assert await second.receiver.resume_point() == ResumePoint("9", first.now)
    known = {
        str(one.key): [o.name for o in one.owners] for one in disk.observations if isinstance(one, Known)
    }
    assert known == {DEMO: ["rs"], "deployments.apps/default/other": []}
    assert len(disk.observations) == 2
    assert await second.receiver.resume_point() == ResumePoint("", 0)  # asked again: begin with a list


async def test_a_new_run_that_has_to_list_finds_what_was_deleted_meanwhile() -> None:
    disk = Disk()
    first = Run(disk)
    await first.whole_list(watched(5), other(6), version="9")
    disk.forget()
    second = Run(disk)
    await second.receiver.resume_point()
    await second.whole_list(watched(8, spec={"replicas": 3}), version="50", missed=MISSED)
    assert disk.told() == [("Modified", "5", "8"), ("Deleted", "6", "")]
    assert {gap.key.name for gap in disk.gaps} == {"", "demo", "other"}


# ----------------------------------------------------------------------------------------------------- rules


CANARY = "canary-2f6b1c"
HIDING = Plan(redaction=Redaction(patterns=(ValuePattern(CANARY),)))


def readable(version: StoredVersion, disk: Disk) -> bytes:
    reader = differ_of()
    assert disk.resume is not None
    reader.load(replace(disk.resume, versions=[version]))
    return reader.compression.unpack(reader.remembered[version.uid])


async def test_new_rules_reach_what_is_remembered_and_what_is_on_disk() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5, spec={"text": CANARY}), version="9")
    assert disk.resume is not None
    assert CANARY in readable(disk.resume.versions[0], disk).decode()
    disk.forget()
    run.receiver.use(rules_of(HIDING))
    await run.changed(("MODIFIED", watched(10, spec={"text": CANARY + " again"})), version="10")
    await run.receiver.flush()
    assert CANARY not in str(disk.observations)
    assert CANARY not in readable(disk.resume.versions[0], disk).decode()


async def test_new_rules_reach_the_disk_also_where_nothing_happens() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5, spec={"text": CANARY}), version="9")
    run.receiver.use(rules_of(HIDING))
    await run.receiver.flush()
    assert disk.resume is not None
    assert CANARY not in readable(disk.resume.versions[0], disk).decode()


async def test_rules_that_changed_while_nobody_watched_hold_from_the_start() -> None:
    disk = Disk()
    await Run(disk).whole_list(watched(5, spec={"text": CANARY}), version="9")
    disk.forget()
    second = Run(disk, plan=HIDING)
    await second.receiver.resume_point()
    await second.changed(("MODIFIED", watched(10, spec={"text": "gone"})), version="10")
    assert CANARY not in str(disk.observations)


@pytest.mark.parametrize("as_new_run", [False, True])
async def test_an_object_too_deep_for_new_rules_keeps_its_metadata_and_holds_up_no_other(
    as_new_run: bool,
) -> None:
    disk = Disk()
    run = Run(disk)
    deep = nested(watched(5, spec={"text": CANARY}), 300)
    await run.whole_list(deep, other(6, spec={"text": CANARY}), version="9")
    disk.forget()
    skipped = _skipped()
    if as_new_run:
        run = Run(disk, plan=HIDING)
        assert (await run.receiver.resume_point()).version == "9"
    else:
        run.receiver.use(rules_of(HIDING))
    await run.receiver.flush()
    assert run.receiver.is_up_to_date
    assert _skipped() == skipped + 1
    assert disk.resume is not None
    assert len(disk.resume.versions) == 2
    assert all(CANARY not in readable(version, disk).decode() for version in disk.resume.versions)
    assert all(CANARY.encode() not in body for _, body in run.receiver.remembered())

    await run.changed(
        ("MODIFIED", nested(watched(10, spec={"text": CANARY}), 300)),
        ("MODIFIED", other(11, spec={"text": "else"})),
        version="11",
    )
    assert disk.told()[:1] == [("Modified", "6", "11")]
    await run.changed(("DELETED", watched(12, spec={"text": CANARY})), version="12")
    assert disk.told()[-1] == ("Deleted", "5", "12")
    assert "spec" not in disk.changes[-1].patch  # it was there before, it could not be looked into
    assert CANARY not in str(disk.observations)


def _skipped() -> float:
    return float(absorbing.BAD_OBJECTS.labels(resource=str(DEPLOYMENTS))._value.get())


async def test_what_no_policy_selects_is_remembered_but_not_told() -> None:
    disk = Disk()
    nobody = Plan(scopes=(Scope(policy="p", namespaces=frozenset({"elsewhere"})),))
    run = Run(disk, plan=nobody)
    await run.whole_list(watched(5), other(6), version="9")
    await run.changed(("MODIFIED", watched(10, spec={"replicas": 3})), version="10")
    await run.whole_list(watched(10, spec={"replicas": 3}), version="20", missed=MISSED)
    assert disk.told() == []
    assert [gap.key.name for gap in disk.gaps] == [""]
    run.receiver.use(rules_of())
    await run.changed(("MODIFIED", watched(11, spec={"replicas": 4})), version="11")
    assert disk.told() == [("Modified", "10", "11"), ("Sighting", "", "11")]


async def test_versions_told_again_after_a_deletion_are_no_trouble() -> None:
    disk = Disk()
    run = Run(disk)
    await run.whole_list(watched(5), version="9")
    await run.changed(("DELETED", watched(10)), version="10")
    disk.forget()
    for line in (("MODIFIED", watched(7)), ("DELETED", watched(10)), ("ADDED", watched(5))):
        await run.changed(line, version="11")
        await run.receiver.flush()
    assert disk.told() == []
    assert disk.resume is not None
    assert disk.resume.versions == []
