"""What is known of an object outlives its name's re-creation, restarts and changes of policies."""

from __future__ import annotations

from collections.abc import Sequence

from kubeweft.kube.receiving import WatchLine
from kubeweft.links.linker import Linker
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Change, Known, Observation, Related
from kubeweft.model.plan import Plan, Redaction, Scope
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.rules import ByFieldPath, LinkRule, SourceSelector, Target
from kubeweft.model.selectors import LabelSelector, MatchCondition, Requirement, ResourcePattern
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.sources.objects.choosing import Chooser
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.receiving import ObjectReceiver
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import Checkpoint, Resume
from kubeweft.weaving.weaver import Weaver
from watched_objects import RECEIVED, at, watched

PODS = ResourceType("", "v1", "pods", "Pod", True)
SPACES = ResourceType("", "v1", "namespaces", "Namespace", False)
POD = ObjectKey("local", "", "pods", "default", "web-0")
TEAM_A = LabelSelector((Requirement("team", "In", frozenset({"a"})),))
ON_NODE = LinkRule(
    name="pod-node",
    source=SourceSelector(resources=(ResourcePattern(frozenset({""}), frozenset({"pods"})),)),
    targets=(Target(name="node", finder=ByFieldPath(name=("spec", "nodeName")), resource="nodes"),),
)
EVERYTHING = Plan(scopes=(Scope(policy="all"),))
IN_TEAM_A = Plan(
    scopes=(
        Scope(
            policy="all",
            conditions=(MatchCondition("team", 'namespaceObject.metadata.labels["team"] == "a"'),),
        ),
    )
)


def linker_of(*rules: LinkRule) -> Linker:
    linker = Linker(Kinds())
    linker.use(rules)
    return linker


def rules_of(plan: Plan, chooser: Chooser | None = None) -> Rules:
    return Rules(
        plan=plan,
        redactor=Redactor(plan.redaction, b"k" * 32),
        chooser=chooser or Chooser("local", plan),
    )


def pod(
    version: int, *, uid: str = "first", clock: str = "10:00:00", team: str = "", node: str = "n1"
) -> bytes:
    labels = {"labels": {"team": team}} if team else {}
    return watched(
        version, clock, resource=PODS, name="web-0", uid=uid, metadata=labels, spec={"nodeName": node}
    )


def space(version: int, team: str) -> bytes:
    metadata = {"labels": {"team": team}, "namespace": ""}
    return watched(version, resource=SPACES, name="default", uid="space", metadata=metadata, spec={})


class Run:
    """One run of a receiver that keeps all it has delivered."""

    def __init__(
        self,
        plan: Plan = EVERYTHING,
        *,
        resource: ResourceType = PODS,
        linker: Linker | None = None,
        resume: Resume | None = None,
        chooser: Chooser | None = None,
    ) -> None:
        self.delivered: list[Observation] = []
        self.checkpoints: list[Checkpoint] = []
        self.rules = rules_of(plan, chooser)
        self.receiver = ObjectReceiver(
            Differ("local", resource, window_length=DEFAULT_WINDOW, rules=self.rules),
            deliver=self._deliver,
            resume=resume,
            clock=lambda: RECEIVED,
            observer="me",
            linker=linker or linker_of(ON_NODE),
        )

    async def _deliver(self, observations: Sequence[Observation], checkpoints: Sequence[Checkpoint]) -> None:
        self.delivered += observations
        self.checkpoints += checkpoints

    async def see(self, kind: str, raw: bytes) -> None:
        await self.receiver.changed([WatchLine(kind, raw)], "100")

    def use(self, plan: Plan) -> None:
        chooser = self.rules.chooser
        assert chooser is not None
        if plan.scopes != self.rules.plan.scopes:
            chooser = Chooser.after(chooser, plan)
        self.rules = rules_of(plan, chooser)
        self.receiver.use(self.rules)

    async def resume(self) -> Resume:
        await self.receiver.flush()
        last = self.checkpoints[-1]
        return Resume(last.version, last.time, last.versions, tuple(last.dictionaries))

    @property
    def related(self) -> list[Related]:
        return [one for one in self.delivered if isinstance(one, Related)]


async def test_an_object_made_again_unseen_is_not_gone() -> None:
    linker = linker_of(ON_NODE)
    run = Run(linker=linker, plan=Plan(scopes=(Scope(policy="a", object_selector=TEAM_A),)))
    await run.see("ADDED", pod(5, team="a"))
    await run.receiver.list_started()
    await run.receiver.listed([WatchLine("ADDED", pod(9, uid="second", team="a"))])
    await run.receiver.list_finished("20", None)
    told = [(type(one), getattr(one, "type", "")) for one in run.delivered if not isinstance(one, Related)]
    assert told[-2:] == [(Change, "Deleted"), (Known, "")]
    assert linker.statistics()["pod-node"].matched == 1
    assert run.rules.wants_object(POD)


def test_relations_of_an_object_made_again_outlive_a_pause() -> None:
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())
    relations = Related(POD, linker_of(ON_NODE).take(POD, pod(5), time=1)[0].relations, at("10:00:00"))
    gone = Change(
        key=POD, kind="Pod", api_version="v1", uid="first", old_version="5", version="6", type="Deleted",
        time=at("10:00:05"), time_source="object",
    )  # fmt: skip
    weaver.weave([relations, gone, relations])
    later = at("10:00:00") + 20 * DEFAULT_WINDOW
    weaver.know_activity(POD._replace(name="other"), later)
    weaver.prune()
    assert any(s.source == "link" for s in weaver.know_activity(POD, later))


async def test_no_link_is_written_into_1970() -> None:
    """What is reshaped by other redaction has no window of its own any more."""
    run = Run()
    await run.see("ADDED", pod(5))
    hiding = Plan(scopes=EVERYTHING.scopes, ignore_paths=frozenset({("spec", "nodeName")}))
    run.use(hiding)
    again = Run(hiding, resume=await run.resume())
    await again.receiver.resume_point()
    third = Run(hiding, resume=await again.resume() if again.checkpoints else None)
    await third.receiver.resume_point()
    for each in (run, again, third):
        assert all(one.time > 0 or not one.selected for one in each.related)


async def test_two_plans_between_two_flushes_still_judge_everything() -> None:
    run = Run()
    await run.see("ADDED", pod(5, team="b"))
    choosy = Plan(scopes=(Scope(policy="a", object_selector=TEAM_A),))
    run.use(choosy)
    run.use(Plan(scopes=choosy.scopes, redaction=Redaction(user_identity="Omit")))
    await run.receiver.flush()
    assert run.receiver.is_up_to_date
    assert not run.rules.wants_object(POD)


async def test_a_namespace_that_changes_has_its_objects_judged_again() -> None:
    chooser = Chooser("local", IN_TEAM_A)
    spaces = Run(IN_TEAM_A, resource=SPACES, chooser=chooser)
    pods = Run(IN_TEAM_A, chooser=chooser)
    await pods.see("ADDED", pod(5))
    assert not pods.rules.wants_object(POD), "its namespace is not known"
    for version, team, wanted in ((6, "a", True), (7, "b", False)):
        await spaces.see("ADDED" if version == 6 else "MODIFIED", space(version, team))
        await pods.receiver.flush()
        assert pods.rules.wants_object(POD) is wanted


async def test_a_watch_that_starts_again_tells_what_may_have_been_lost() -> None:
    linker = linker_of(ON_NODE)
    first = Run(linker=linker)
    await first.see("ADDED", pod(5))
    second = Run(linker=linker, resume=await first.resume())
    await second.receiver.resume_point()
    assert [len(one.relations) for one in second.related] == [1]


async def test_of_objects_that_nobody_selects_nothing_stays() -> None:
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())
    run = Run(plan=Plan(scopes=(Scope(policy="a", object_selector=TEAM_A),)))
    await run.see("ADDED", pod(5))
    await run.see("DELETED", pod(6))
    assert weaver.weave(run.delivered) == []
    assert weaver.size == 0


def test_of_a_cluster_that_is_left_nothing_is_carried_on() -> None:
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())
    weaver.weave([Related(POD, linker_of(ON_NODE).take(POD, pod(5), time=1)[0].relations, at("10:00:00"))])
    weaver.forget_cluster("local")
    assert not any(s.source == "link" for s in weaver.know_activity(POD, at("10:30:00")))


async def test_requests_are_kept_where_no_namespace_can_be_told() -> None:
    chooser = Chooser("local", Plan(scopes=(Scope(policy="a", namespace_selector=TEAM_A),)))
    assert chooser.wants_request(POD, verb="update", user="me")
    assert not chooser.wants_object(POD)
    chooser.namespaces_are_told()
    assert not chooser.wants_request(POD, verb="update", user="me")
