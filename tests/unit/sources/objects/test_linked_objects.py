"""What the watch of a type tells the rules, and what of its objects is chosen, partial, or named by other traces."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from kubeweft.kube.receiving import ResumePoint, WatchLine
from kubeweft.model.observations import Change, Known, Observation, Related, TraceContext
from kubeweft.model.plan import Plan, Scope
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation
from kubeweft.model.selectors import LabelSelector, Requirement, ResourcePattern
from kubeweft.sources.objects.choosing import Chooser
from kubeweft.sources.objects.receiving import ObjectReceiver
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import Checkpoint, Resume
from watched_objects import DEPLOYMENTS, RECEIVED, at, differ_of, rules_of, watched

DEMO = ObjectKey("local", "apps", "deployments", "default", "demo")
NODE = ObjectKey("local", "", "nodes", "", "n1")
PARENT_HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CONTEXT = TraceContext(
    bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736"),
    bytes.fromhex("00f067aa0ba902b7"),
    "tracing.k8s.io/traceparent",
)
TEAM_A = LabelSelector((Requirement("team", "In", frozenset({"a"})),))
METADATA_ONLY = Plan(scopes=(Scope(policy="m", metadata_only=True),))


class OneNode:
    """Rules that relate every object to one Node, and tell what they were told."""

    def __init__(self, *, fields: frozenset[str] = frozenset({"spec"})) -> None:
        self.told: list[tuple[str, int]] = []
        self.fields: list[frozenset[str] | None] = []  # that each version was said to differ in
        self.target = NODE
        self._fields = fields

    def reads(self, group: str, resource: str) -> bool:
        return (group, resource) == ("apps", "deployments")

    def is_touched(self, group: str, resource: str, fields: frozenset[str]) -> bool:
        return bool(fields & self._fields)

    def take(
        self, key: ObjectKey, body: bytes, *, time: int, fields: frozenset[str] | None = None
    ) -> list[Related]:
        assert orjson.loads(body)["metadata"]["name"] == key.name
        self.fields.append(fields)
        self.told.append((key.name, time))
        return [Related(key, (Relation(self.target, "Peer", "On", "one-node"),), time)]

    def gone(self, key: ObjectKey, *, time: int) -> list[Related]:
        self.told.append((f"-{key.name}", time))
        return [Related(key, (), time)]


class Run:
    """One run of a receiver that keeps all it has delivered."""

    def __init__(
        self,
        linker: OneNode | None = None,
        *,
        plan: Plan | None = None,
        resume: Resume | None = None,
        partial: bool = False,
    ) -> None:
        plan = plan or Plan()
        self.linker = linker or OneNode()
        self.delivered: list[Observation] = []
        self.checkpoints: list[Checkpoint] = []
        differ = differ_of(DEPLOYMENTS, plan=plan)
        differ.partial = partial
        differ.rules = Rules(plan=plan, redactor=rules_of(plan).redactor, chooser=Chooser("local", plan))
        self.receiver = ObjectReceiver(
            differ,
            deliver=self._deliver,
            resume=resume,
            clock=lambda: RECEIVED,
            observer="me",
            linker=self.linker,
        )

    async def _deliver(self, observations: Sequence[Observation], checkpoints: Sequence[Checkpoint]) -> None:
        self.delivered += observations
        self.checkpoints += checkpoints

    async def see(self, *lines: tuple[str, bytes]) -> None:
        await self.receiver.changed([WatchLine(*line) for line in lines], "100")

    @property
    def related(self) -> list[Related]:
        return [one for one in self.delivered if isinstance(one, Related)]

    @property
    def changes(self) -> list[Change]:
        return [one for one in self.delivered if isinstance(one, Change)]

    def resume(self) -> Resume:
        (checkpoint,) = self.checkpoints[-1:]
        return Resume(
            checkpoint.version, checkpoint.time, checkpoint.versions, tuple(checkpoint.dictionaries)
        )


def annotated(version: int, clock: str, **annotations: str) -> bytes:
    named = {key.replace("__", "/").replace("_", "."): value for key, value in annotations.items()}
    return watched(version, clock, metadata={"annotations": named})


async def test_rules_are_told_each_version_in_which_something_they_read_has_changed() -> None:
    run = Run()
    await run.see(("ADDED", watched(5, "10:00:00")))
    await run.see(("MODIFIED", watched(6, "10:00:01", spec={"replicas": 2}, status={"a": 1})))
    await run.see(("MODIFIED", watched(7, "10:00:02", spec={"replicas": 3}, status={"a": 1})))
    await run.see(("MODIFIED", watched(7, "10:00:02", spec={"replicas": 3}, status={"a": 1})))
    await run.see(("DELETED", watched(8, "10:00:03", metadata={"deletionTimestamp": "2026-11-21T10:00:03Z"})))
    assert run.linker.told == [
        ("demo", at("10:00:00")),
        ("demo", at("10:00:02")),
        ("-demo", at("10:00:03")),
    ]
    assert run.linker.fields == [None, frozenset({"spec"})]
    assert [len(one.relations) for one in run.related] == [1, 1, 0]


async def test_relations_come_after_the_change_they_follow_from() -> None:
    run = Run()
    await run.see(("ADDED", watched(5)))
    assert [type(one) for one in run.delivered] == [Change, Related]


async def test_when_the_rules_have_changed_quiet_objects_are_told_again() -> None:
    run = Run()
    await run.see(("ADDED", watched(5, "10:10:00")))
    await run.receiver.flush()
    run.linker.target = NODE._replace(name="n2")
    run.receiver.relink()
    await run.receiver.flush()
    last = run.related[-1]
    assert last.relations[0].target.name == "n2"
    assert last.time == at("10:00:00"), "the window in which it was last seen to change"
    await run.receiver.flush()
    assert len(run.related) == 2


async def test_a_new_run_tells_the_rules_what_is_remembered() -> None:
    run = Run()
    await run.see(("ADDED", watched(5, "10:10:00")))
    await run.receiver.flush()
    again = Run(resume=run.resume())
    assert (await again.receiver.resume_point()).version == "100"
    assert [type(one) for one in again.delivered] == [Known, Related]
    assert again.linker.told == [("demo", at("10:00:00"))]


async def test_an_object_that_is_not_selected_begins_no_links() -> None:
    run = Run(plan=Plan(scopes=(Scope(policy="a", object_selector=TEAM_A),)))
    await run.see(("ADDED", watched(5, "10:00:00")))
    assert run.changes == []
    assert [one.selected for one in run.related] == [False]
    await run.see(("MODIFIED", watched(6, "10:00:01", metadata={"labels": {"team": "a"}})))
    assert [one.type for one in run.changes] == ["Modified", "Sighting"]


async def test_a_watch_waits_for_namespaces_where_they_matter() -> None:
    run = Run(plan=Plan(scopes=(Scope(policy="a", namespace_selector=TEAM_A),)))
    chooser = run.receiver._differ.rules.chooser
    assert chooser is not None
    chooser.namespaces_are_told()
    assert await run.receiver.resume_point() == ResumePoint("", 0)


async def test_a_named_trace_is_on_the_change_that_named_it_only() -> None:
    run = Run()
    await run.see(("ADDED", annotated(5, "10:00:00", tracing_k8s_io__traceparent=PARENT_HEADER)))
    await run.see(("MODIFIED", annotated(6, "10:00:01", tracing_k8s_io__traceparent=PARENT_HEADER, more="x")))
    newer = PARENT_HEADER.replace("4bf9", "ffff")
    await run.see(("MODIFIED", annotated(7, "10:00:02", tracing_k8s_io__traceparent=newer)))
    assert [len(one.contexts) for one in run.changes] == [1, 0, 1]
    assert run.changes[0].contexts == (CONTEXT,)


async def test_metadata_only_keeps_nothing_else() -> None:
    run = Run(plan=METADATA_ONLY, partial=True)
    await run.see(("ADDED", watched(5, spec={"replicas": 2})))
    (change,) = run.changes
    assert set(orjson.loads(change.body)) == {"kind", "apiVersion", "metadata"}


async def test_asking_for_whole_objects_again_is_no_change_of_them() -> None:
    partial = Run(plan=METADATA_ONLY, partial=True)
    await partial.see(("ADDED", watched(5, "10:00:00")))
    await partial.receiver.flush()
    whole = Run(resume=partial.resume())
    await whole.receiver.resume_point()
    await whole.see(
        ("MODIFIED", watched(6, "10:00:01", metadata={"labels": {"a": "b"}}, spec={"replicas": 3}))
    )
    modified, sighting = whole.changes
    assert modified.words
    assert not any("spec" in word for word in modified.words)
    assert orjson.loads(sighting.body)["spec"] == {"replicas": 3}
    await whole.see(("MODIFIED", watched(7, "10:00:02", spec={"replicas": 4})))
    assert any("spec.replicas 3 → 4" in word for word in whole.changes[-1].words)


async def test_going_over_to_metadata_is_no_change_either() -> None:
    whole = Run()
    await whole.see(("ADDED", watched(5, "10:00:00")))
    await whole.receiver.flush()
    partial = Run(plan=METADATA_ONLY, resume=whole.resume(), partial=True)
    await partial.receiver.resume_point()
    await partial.see(("MODIFIED", watched(6, "10:00:01", metadata={"labels": {"a": "b"}})))
    assert not any("spec" in word for word in partial.changes[0].words)


async def test_of_other_types_nothing_is_told() -> None:
    run = Run()
    run.receiver._differ.resource = DEPLOYMENTS._replace(resource="statefulsets")
    await run.see(("ADDED", watched(5)))
    assert run.linker.told == []


def test_a_scope_for_metadata_beside_one_for_everything_is_everything() -> None:
    deployments = ResourcePattern(frozenset({"apps"}), frozenset({"deployments"}))
    plan = Plan(scopes=(Scope(policy="m", metadata_only=True), Scope(policy="d", resources=(deployments,))))
    assert not plan.wants_metadata_only("apps", "deployments")
    assert plan.wants_metadata_only("", "pods")
