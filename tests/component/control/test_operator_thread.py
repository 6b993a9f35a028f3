"""Kopf in its thread against a small API server: what it tells, what it never does, how it ends and starts again."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import kopf
import pytest
from aiohttp import web
from kubernetes_asyncio.client.configuration import Configuration

from fake_apiserver import CRDS, FakeApiServer
from kubeweft.control.api import TYPES, KubernetesControlApi
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.watching.handlers import safe_settings
from kubeweft.control.watching.operator_thread import STOP_LIMIT, OperatorThread
from kubeweft.kube.clients import collection_path
from kubeweft.model.errors import UserError
from kubeweft.model.references import ResourceType

POLICY, RULE = TYPES[POLICIES], TYPES[LINK_RULES]
API_SERVICES = ResourceType("apiregistration.k8s.io", "v1", "apiservices", "APIService", False)
NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", False)
EVENTS = ResourceType("", "v1", "events", "Event", True)
FOREIGN_FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"


class CompleteApiServer(FakeApiServer):
    """With the fields of discovery that Kopf cannot do without."""

    def _legacy_version(self, group: str, version: str) -> web.StreamResponse:
        answer = super()._legacy_version(group, version)
        assert isinstance(answer, web.Response)
        found = json.loads(answer.text or "{}")
        resources = [{**entry, "singularName": entry["kind"].lower()} for entry in found["resources"]]
        return web.json_response({**found, "resources": resources})


class Recorded:
    """A steering that keeps what it is told, in the loop it belongs to."""

    def __init__(self) -> None:
        self.policies: dict[str, Any] = {}
        self.rules: dict[str, Any] = {}
        self.rediscoveries = 0
        self.starts = 0
        self.failures: list[str] = []
        self.threads: set[str] = set()
        self.changed = asyncio.Event()

    def policy_seen(self, name: str, body: Any) -> None:
        self.policies[name] = body
        self._note()

    def link_rule_seen(self, name: str, body: Any) -> None:
        self.rules[name] = body
        self._note()

    def types_changed(self) -> None:
        self.rediscoveries += 1
        self._note()

    def ready(self) -> None:
        self.starts += 1
        self._note()

    def failed(self, reason: str) -> None:
        self.failures.append(reason)
        self._note()

    def _note(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds, looking whenever something was told."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def impatient() -> kopf.OperatorSettings:
    settings = safe_settings()
    settings.networking.error_backoffs = (0.01,)
    settings.watching.server_timeout = 60
    settings.watching.reconnect_backoff = 0.01
    return settings


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with CompleteApiServer([NAMESPACES, EVENTS, CRDS, API_SERVICES, POLICY, RULE]) as server:
        server.create(CRDS, "tracingpolicies.kubeweft.io", spec={"group": "kubeweft.io"})
        server.create(API_SERVICES, "v1.")
        yield server


@pytest.fixture
async def steering() -> Recorded:
    return Recorded()


@asynccontextmanager
async def running(
    server: FakeApiServer, steering: Recorded, login: Callable[[], Any] | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    async def log_in() -> Configuration:
        return Configuration(host=server.url)

    async with server.client() as client, asyncio.TaskGroup() as tasks:
        served = KubernetesControlApi(client).served
        thread = OperatorThread(
            steering, login or log_in, served=served, backoffs=(0.05,), settings=impatient
        )
        task = tasks.create_task(thread.run())
        try:
            yield task
        finally:
            task.cancel()


async def test_policies_and_rules_are_told_as_they_are(server: FakeApiServer, steering: Recorded) -> None:
    server.create(POLICY, "early", spec={"suspend": True})
    async with running(server, steering):
        await steering.until(lambda: "early" in steering.policies)
        assert steering.policies["early"]["spec"] == {"suspend": True}
        server.create(POLICY, "late", spec={})
        server.create(RULE, "rule", spec={})
        await steering.until(lambda: "late" in steering.policies and "rule" in steering.rules)
        server.update(POLICY, "late", spec={"priority": 1})
        await steering.until(lambda: steering.policies["late"]["spec"] == {"priority": 1})
        server.delete(POLICY, "late")
        await steering.until(lambda: steering.policies["late"] is None)
    assert steering.threads == {threading.current_thread().name}


async def test_types_that_come_and_go_are_told(server: FakeApiServer, steering: Recorded) -> None:
    async with running(server, steering):
        await steering.until(lambda: steering.starts)
        for resource in (CRDS, API_SERVICES):
            seen = steering.rediscoveries
            server.create(resource, "v1.example.com", spec={"group": "example.com"})
            await steering.until(lambda: steering.rediscoveries > seen)  # noqa: B023  awaited in this turn


async def test_nothing_is_ever_written(server: FakeApiServer, steering: Recorded) -> None:
    """Not even where another Kopf operator left its finalizer, which Kopf's own defaults would take away."""
    body = server.create(POLICY, "a", spec={})
    body["metadata"]["finalizers"] = [FOREIGN_FINALIZER]
    async with running(server, steering):
        await steering.until(lambda: "a" in steering.policies)
        server.update(POLICY, "a", spec={"suspend": True})
        await steering.until(lambda: steering.policies["a"]["spec"])
    assert {asked.method for asked in server.asked} == {"GET"}


async def test_it_stops_in_time(server: FakeApiServer, steering: Recorded) -> None:
    async with running(server, steering):
        await steering.until(lambda: steering.starts)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < STOP_LIMIT
    assert not [thread for thread in threading.enumerate() if thread.name == "kopf"]


async def test_it_stops_in_time_while_it_starts(server: FakeApiServer, steering: Recorded) -> None:
    async with running(server, steering):
        await asyncio.sleep(0)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < STOP_LIMIT


async def test_a_forbidden_watch_ends_kopf_and_it_starts_again(
    server: FakeApiServer, steering: Recorded
) -> None:
    server.create(POLICY, "a", spec={})
    server.forbidden.add(collection_path(POLICY))
    async with running(server, steering):
        await steering.until(lambda: steering.failures)
        assert "forbidden" in steering.failures[0].lower()
        server.forbidden.clear()
        await steering.until(lambda: "a" in steering.policies)


async def test_a_login_that_fails_is_told_and_tried_again(server: FakeApiServer, steering: Recorded) -> None:
    outcomes: list[Exception] = [UserError("there is no kubeconfig file x: check --kubeconfig")]

    async def login() -> Configuration:
        if outcomes:
            raise outcomes.pop()
        return Configuration(host=server.url)

    async with running(server, steering, login):
        await steering.until(lambda: steering.failures)
        await steering.until(lambda: steering.starts)


async def test_the_token_of_the_configuration_is_used(server: FakeApiServer, steering: Recorded) -> None:
    async def login() -> Configuration:
        configuration = Configuration(host=server.url)
        configuration.api_key["BearerToken"] = "abc"
        configuration.api_key_prefix["BearerToken"] = "Bearer"
        return configuration

    async with running(server, steering, login):
        await steering.until(lambda: steering.starts)
    assert "Bearer abc" in {asked.authorization for asked in server.asked}


async def test_policies_take_effect_when_their_crds_come_later(
    server: FakeApiServer, steering: Recorded
) -> None:
    """Even if no event about a CRD comes once discovery shows them, which is how Kopf alone would miss them."""
    server.unserve(POLICY)
    server.unserve(RULE)
    async with running(server, steering):
        await steering.until(lambda: steering.starts == 1)
        server.serve(POLICY)
        server.serve(RULE)
        server.create(POLICY, "a", spec={})
        await steering.until(lambda: "a" in steering.policies and steering.starts == 2)
    assert steering.failures == []


async def test_crds_that_go_and_come_back(server: FakeApiServer, steering: Recorded) -> None:
    async with running(server, steering):
        await steering.until(lambda: steering.starts)
        server.unserve(POLICY)
        server.delete(CRDS, "tracingpolicies.kubeweft.io")
        seen = steering.rediscoveries
        server.serve(POLICY)
        server.create(CRDS, "tracingpolicies.kubeweft.io", spec={"group": "kubeweft.io"})
        server.create(POLICY, "b", spec={})
        await steering.until(lambda: steering.rediscoveries > seen and "b" in steering.policies)
