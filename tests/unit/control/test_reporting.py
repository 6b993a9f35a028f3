"""When a status is written: at once after news, seldom for counters, never without a difference, and not against a wall."""

import asyncio
import datetime
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fake_control_api import FakeControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.judging.health import ClusterHealth, Health, TypeHealth
from kubeweft.control.reporting import Reporter
from kubeweft.kube.failures import ApiFailure, Forbidden, NotServed, Refused, Unavailable
from kubeweft.links.statistics import RuleStatistics

PODS = TypeHealth("", "pods", "Watching")
RULE: dict[str, Any] = {
    "source": {"resources": [{"apiGroups": [""], "resources": ["pods"]}]},
    "targets": [{"name": "o", "type": "Owner", "owner": {}}],
}
SERVICES = TypeHealth("", "services", "Watching")


class Scene:
    """Declarations, an API server, health and a reporter with short waits."""

    def __init__(self, api: FakeControlApi) -> None:
        self.api = api
        self.declarations = Declarations(Installation(), on_plan=lambda plan: None)
        self.types: tuple[TypeHealth, ...] = (PODS,)
        self.rules: dict[str, RuleStatistics] = {}
        self.reporter = self.make(counters_every=60.0)

    def health(self) -> Health:
        cluster = ClusterHealth(name="local", types=self.types)
        return Health(plan=self.declarations.plan, clusters={"local": cluster}, rules=self.rules)

    def make(self, *, check_every: float = 60.0, counters_every: float) -> Reporter:
        return Reporter(
            self.declarations,
            self.api,
            health=self.health,
            now=lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
            check_every=check_every,
            counters_every=counters_every,
        )

    def watch_tells(self) -> None:
        """What Kopf would pass on now."""
        for (resource, name), body in self.api.bodies.items():
            if resource == POLICIES:
                self.declarations.policy_seen(name, body)
            else:
                self.declarations.link_rule_seen(name, body)


@pytest.fixture
async def scene(api: FakeControlApi) -> Scene:
    return Scene(api)


@pytest.fixture
async def running(scene: Scene) -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(scene.reporter.run())
        yield scene
        task.cancel()


def reasons(api: FakeControlApi, name: str, resource: str = POLICIES) -> dict[str, str]:
    conditions = api.bodies[resource, name]["status"]["conditions"]
    return {c["type"]: c["reason"] for c in conditions}


async def test_a_policy_that_was_seen_is_reported_at_once(running: Scene) -> None:
    running.api.put(POLICIES, "a")
    running.watch_tells()
    async with asyncio.timeout(5):
        await running.api.changed.wait()
    assert reasons(running.api, "a")["Ready"] == "Tracing"


async def test_link_rules_are_reported_too(scene: Scene) -> None:
    scene.api.put(LINK_RULES, "r")
    scene.watch_tells()
    await scene.reporter.report()
    assert reasons(scene.api, "r", LINK_RULES)["Ready"] == "InvalidSpec"


async def test_the_counts_of_a_rule_wait_and_its_first_error_does_not(scene: Scene) -> None:
    scene.api.put(LINK_RULES, "r", **RULE)
    scene.watch_tells()
    await scene.reporter.report()
    scene.rules = {"r": RuleStatistics(matched=5, resolved=4)}
    await scene.reporter.report()
    assert len(scene.api.writes) == 1
    scene.rules = {"r": RuleStatistics(matched=5, resolved=4, errors=1, first_error="no such key: node")}
    await scene.reporter.report()
    status = scene.api.bodies[LINK_RULES, "r"]["status"]
    assert (status["matchedObjects"], status["evaluationErrors"]) == (5, 1)
    assert "no such key: node" in status["conditions"][0]["message"]


async def test_nothing_is_written_twice_before_or_after_the_watch_tells_it(scene: Scene) -> None:
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    for _ in range(3):
        await scene.reporter.report()
    scene.watch_tells()
    for _ in range(3):
        await scene.reporter.report()
    assert len(scene.api.writes) == 1


async def test_counters_wait_and_conditions_do_not(scene: Scene) -> None:
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    await scene.reporter.report()
    scene.types = (PODS, SERVICES)
    await scene.reporter.report()
    assert len(scene.api.writes) == 1
    scene.types = (PODS, SERVICES, TypeHealth("", "secrets", "Forbidden"))
    await scene.reporter.report()
    assert len(scene.api.writes) == 2
    assert reasons(scene.api, "a")["ClustersReachable"] == "Forbidden"


async def test_counters_are_written_when_their_time_has_come(scene: Scene) -> None:
    reporter = scene.make(counters_every=0.0)
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    await reporter.report()
    scene.types = (PODS, SERVICES)
    await reporter.report()
    assert scene.api.bodies[POLICIES, "a"]["status"]["tracedResources"] == 2


async def test_a_status_that_somebody_spoiled_is_mended(scene: Scene) -> None:
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    await scene.reporter.report()
    scene.api.bodies[POLICIES, "a"]["status"] = {}
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    await scene.reporter.report()
    assert reasons(scene.api, "a")["Ready"] == "Tracing"


async def test_a_newer_report_than_we_could_give_is_left_alone(scene: Scene) -> None:
    body = scene.api.put(POLICIES, "a", generation=2)
    body["status"] = {"observedGeneration": 3, "conditions": []}
    scene.watch_tells()
    await scene.reporter.report()
    assert scene.api.writes == []


async def test_one_failure_does_not_keep_others_from_being_reported(scene: Scene) -> None:
    class Spoiling(FakeControlApi):
        async def write_status(self, resource: str, name: str, status: object) -> None:
            if name == "a":
                raise Refused("no", status=422)
            self.writes.append((resource, name, {}))

    spoiling = Spoiling()
    reporter = Reporter(scene.declarations, spoiling, health=Health)
    for name in "ab":
        scene.declarations.policy_seen(name, spoiling.put(POLICIES, name))
    await reporter.report()
    assert [name for _, name, _ in spoiling.writes] == ["b"]


@pytest.mark.parametrize(
    "failure",
    [
        Forbidden("no", status=403),
        NotServed("gone", status=404),
        Refused("conflict", status=409),
        Unavailable("away"),
    ],
)
async def test_a_failure_is_told_once_and_not_hammered(
    scene: Scene, failure: ApiFailure, caplog: pytest.LogCaptureFixture
) -> None:
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    scene.api.failure = failure
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await scene.reporter.report()
    assert len(scene.api.writes) == 1
    assert len([r for r in caplog.records if "status cannot be written" in r.message]) == 1
    assert scene.declarations.sweep_wanted.is_set() is isinstance(failure, NotServed)


@pytest.mark.parametrize("failure", [Forbidden("no", status=403), Unavailable("away")])
async def test_after_a_failure_it_is_tried_again(scene: Scene, failure: ApiFailure) -> None:
    reporter = scene.make(check_every=0.0, counters_every=0.0)
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    scene.api.failure = failure
    await reporter.report()
    scene.api.failure = None
    await reporter.report()
    assert reasons(scene.api, "a")["Ready"] == "Tracing"


async def test_what_is_gone_is_forgotten(scene: Scene) -> None:
    scene.api.put(POLICIES, "a")
    scene.watch_tells()
    await scene.reporter.report()
    scene.declarations.policy_seen("a", None)
    await scene.reporter.report()
    assert scene.reporter._written == {}
