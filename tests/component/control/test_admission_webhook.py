"""Admission against a small API server that, as the real one, asks over TLS whoever its configuration names."""

import asyncio
import base64
import itertools
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp import web
from kubernetes_asyncio.client.configuration import Configuration

from controlplane.ports import free_ports
from fake_apiserver import CRDS, FakeApiServer, answer, status_body
from kubeweft.control.admission.addresses import Address
from kubeweft.control.admission.configuration import HOLDER, NAME, PATH
from kubeweft.control.admission.judging import Judge
from kubeweft.control.admission.rotation import LONGEST_OVERLAP
from kubeweft.control.admission.setting_up import Admission
from kubeweft.control.api import TYPES, KubernetesControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.watching.handlers import safe_settings
from kubeweft.control.watching.operator_thread import STOP_LIMIT, OperatorThread
from kubeweft.model.references import ResourceType
from kubeweft.model.windows import NANOSECONDS
from kubeweft.runtime import clock

POLICY, RULE = TYPES[POLICIES], TYPES[LINK_RULES]
KINDS = {POLICIES: "TracingPolicy", LINK_RULES: "LinkRule"}
OTHERS = [
    ResourceType("", "v1", "namespaces", "Namespace", False),
    ResourceType("", "v1", "events", "Event", True),
    CRDS,
    ResourceType("apiregistration.k8s.io", "v1", "apiservices", "APIService", False),
    ResourceType("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "X", False),
]
A_RULE = {
    "source": {"resources": [{"apiGroups": [""], "resources": ["pods"]}]},
    "targets": [
        {
            "name": "node",
            "type": "FieldPath",
            "resource": {"resource": "nodes"},
            "fieldPath": {"name": "spec.nodeName"},
        }
    ],
}
Json = dict[str, Any]


class AskingApiServer(FakeApiServer):
    """Keeps one webhook configuration, and asks by it."""

    def __init__(self, resources: list[ResourceType]) -> None:
        super().__init__(resources)
        self.configuration: Json | None = None
        self.refuses = 0
        self.writes: list[str] = []
        self.secrets: dict[str, Json] = {}

    def _legacy_version(self, group: str, version: str) -> web.StreamResponse:
        """With the fields of discovery that Kopf cannot do without."""
        answered = super()._legacy_version(group, version)
        assert isinstance(answered, web.Response)
        found = json.loads(answered.text or "{}")
        resources = [{**entry, "singularName": entry["kind"].lower()} for entry in found["resources"]]
        return web.json_response({**found, "resources": resources})

    def _answer_other(self, request: web.Request) -> web.StreamResponse:
        asked = self.asked[-1]
        if "/secrets/" in asked.path:
            secret = self.secrets.get(asked.path.rpartition("/")[2])
            return web.json_response(secret) if secret else _failure(404, "no such secret")
        if asked.path != PATH:
            return super()._answer_other(request)
        if self.refuses:
            return _failure(self.refuses, f'User "tester" cannot {asked.method} {NAME}')
        if asked.method != "GET":
            self.writes.append(asked.method)
        if asked.method == "PATCH":
            self._keep(json.loads(asked.body))
        elif self.configuration is None:
            return _failure(404, f"{NAME} not found")
        elif asked.method == "DELETE":
            wanted = json.loads(asked.body)["preconditions"]
            if wanted["resourceVersion"] != self.configuration["metadata"]["resourceVersion"]:
                return _failure(409, "the object has been modified")
            self.configuration = None
            return web.json_response(status_body(200, "deleted"))
        return web.json_response(self.configuration)

    def _keep(self, body: Json) -> None:
        self.version += 1
        self.configuration = body
        body["metadata"] |= {"uid": "1", "resourceVersion": str(self.version)}

    async def ask(self, resource: str, spec: Json, *, old: Json | None = None, name: str = "new") -> Json:
        """The answer to the review of an object, over a connection that trusts the bundle and nothing else."""
        return await ask(self.client_config, review(resource, spec, old=old, name=name))

    @property
    def client_config(self) -> Json:
        assert self.configuration is not None
        (webhook,) = self.configuration["webhooks"]
        config: Json = webhook["clientConfig"]
        return config


def _failure(code: int, message: str) -> web.Response:
    return web.json_response(status_body(code, message), status=code)


async def ask(config: Json, body: Json) -> Json:
    trusting = ssl.create_default_context(cadata=base64.b64decode(config["caBundle"]).decode())
    async with (
        aiohttp.ClientSession() as session,
        session.post(config["url"], json=body, ssl=trusting, timeout=aiohttp.ClientTimeout(3)) as answered,
    ):
        assert answered.status == 200, await answered.text()
        found: Json = await answered.json()
    assert found["response"]["uid"] == body["request"]["uid"]
    return dict(found["response"])


_uids = itertools.count()


def review(resource: str, spec: Json, *, old: Json | None, name: str) -> Json:
    def document(spec: Json) -> Json:
        metadata = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {
            "apiVersion": "kubeweft.io/v1alpha1",
            "kind": KINDS[resource],
            "metadata": metadata,
            "spec": spec,
        }

    request = {
        "uid": f"review-{next(_uids)}",
        "resource": {"group": "kubeweft.io", "version": "v1alpha1", "resource": resource},
        "kind": {"group": "kubeweft.io", "version": "v1alpha1", "kind": KINDS[resource]},
        "operation": "CREATE" if old is None else "UPDATE",
        "userInfo": {"username": "somebody", "groups": []},
        "object": document(spec),
        "oldObject": None if old is None else document(old),
        "dryRun": False,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class Seen:
    """A steering that keeps which policies it was told of, and whether Kopf has failed."""

    def __init__(self) -> None:
        self.policies: set[str] = set()
        self.failures: list[str] = []
        self.starts = 0

    def policy_seen(self, name: str, body: Any) -> None:
        self.policies.add(name)

    def link_rule_seen(self, name: str, body: Any) -> None:
        """Not looked at here."""

    def types_changed(self) -> None:
        """Not looked at here."""

    def ready(self) -> None:
        self.starts += 1

    def failed(self, reason: str) -> None:
        self.failures.append(reason)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncIterator[AskingApiServer]:
    server = AskingApiServer([*OTHERS, POLICY, RULE])
    async with server:
        server.create(CRDS, "tracingpolicies.kubeweft.io", spec={"group": "kubeweft.io"})
        server.create(OTHERS[3], "v1.")
        yield server


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def declared() -> dict[str, dict[str, DeclaredObject]]:
    """What else is declared, by type and name."""
    return {POLICIES: {}, LINK_RULES: {}}


@pytest.fixture
def address() -> Address:
    return Address(listen_host="127.0.0.1", port=free_ports(1)[0])


@pytest.fixture
def admission(address: Address, declared: dict[str, dict[str, DeclaredObject]]) -> Admission:
    judge = Judge(lambda resource: dict(declared[resource]), Installation(namespace="ours"))
    return Admission(address=address, judge=judge, look_every=0.2, again_after=0.05)


def impatient() -> kopf.OperatorSettings:
    settings = safe_settings()
    settings.networking.error_backoffs = (0.01,)
    settings.watching.server_timeout = 60
    return settings


@asynccontextmanager
async def running(server: FakeApiServer, seen: Seen, admission: Admission) -> AsyncIterator[None]:
    async def log_in() -> Configuration:
        return Configuration(host=server.url)

    async with server.client() as client, asyncio.TaskGroup() as tasks:
        served = KubernetesControlApi(client).served
        thread = OperatorThread(
            seen, log_in, served=served, admission=admission, backoffs=(0.05,), settings=impatient
        )
        task = tasks.create_task(thread.run())
        try:
            await until(lambda: seen.starts)
            yield
        finally:
            task.cancel()


# ------------------------------------------------------------------------------------------------------ the answers


async def test_a_bad_rule_is_refused_with_all_its_problems(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        spec = {
            **A_RULE,
            "priority": 5000,
            "link": {"role": "Peer", "class": "lower", "grouping": "SameTrace"},
        }
        answered = await server.ask(LINK_RULES, spec)
    assert not answered["allowed"]
    assert answered["status"]["code"] == 422
    for field in ("spec.priority", "spec.link.class", "spec.link.role"):
        assert field in answered["status"]["message"]


async def test_a_rule_that_does_not_compile_is_refused(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    target = {
        "name": "t",
        "type": "CEL",
        "resource": {"resource": "nodes"},
        "cel": {"expression": "object.("},
    }
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        answered = await server.ask(LINK_RULES, {**A_RULE, "targets": [target]})
    assert not answered["allowed"]
    assert "spec.targets[t].cel.expression" in answered["status"]["message"]


async def test_a_refusal_is_no_error_of_ours(
    server: AskingApiServer, seen: Seen, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="kubeweft.control"):
        async with running(server, seen, admission):
            await until(lambda: server.configuration)
            await server.ask(LINK_RULES, {**A_RULE, "priority": 5000}, name="bad")
    assert "refused at admission: object=linkrules/bad" in caplog.messages
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_good_objects_pass_without_a_word(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        for resource, spec in ((LINK_RULES, A_RULE), (POLICIES, {})):
            answered = await server.ask(resource, spec)
            assert answered["allowed"], answered
            assert "warnings" not in answered
            assert "patch" not in answered


async def test_a_bad_object_may_be_changed_but_for_its_spec(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    bad = {**A_RULE, "priority": 5000}
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        assert (await server.ask(LINK_RULES, bad, old=bad))["allowed"]
        assert not (await server.ask(LINK_RULES, bad, old=A_RULE))["allowed"]


async def test_what_is_not_there_yet_is_warned_about(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    server.secrets["there"] = {"data": {"kubeconfig": base64.b64encode(b"x").decode()}}
    clusters = [
        {"name": "a", "kubeconfigSecretRef": {"name": "there"}},
        {"name": "b", "kubeconfigSecretRef": {"name": "missing"}},
    ]
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        rule = await server.ask(LINK_RULES, {**A_RULE, "cluster": {"mode": "Named", "name": "elsewhere"}})
        policy = await server.ask(POLICIES, {"clusters": clusters})
    assert rule["allowed"]
    assert "elsewhere" in rule["warnings"][0]
    assert policy["allowed"]
    assert len(policy["warnings"]) == 1
    assert "ours/missing" in policy["warnings"][0]


async def test_a_conflict_with_another_policy_is_warned_about(
    server: AskingApiServer, seen: Seen, admission: Admission, declared: dict[str, dict[str, DeclaredObject]]
) -> None:
    def clusters(secret: str) -> list[Json]:
        return [{"name": "a", "kubeconfigSecretRef": {"name": secret}}]

    first = DeclaredObject(resource=POLICIES, name="first", spec={"priority": 5, "clusters": clusters("x")})
    declared[POLICIES]["first"] = first
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        answered = await server.ask(POLICIES, {"clusters": clusters("y")})
    assert answered["allowed"]
    assert any("'first'" in warning for warning in answered["warnings"])


class Broken(Judge):
    """A fault of ours."""

    async def opinion(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a fault of ours")


async def test_a_fault_of_ours_lets_everything_through(
    server: AskingApiServer, seen: Seen, address: Address
) -> None:
    broken = Broken(lambda resource: {}, Installation())
    async with running(server, seen, Admission(address=address, judge=broken)):
        await until(lambda: server.configuration)
        answered = await server.ask(LINK_RULES, {**A_RULE, "priority": 5000})
    assert answered["allowed"]
    assert "could not check" in answered["warnings"][0]


async def test_what_is_no_review_is_no_success(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    foreign = review(POLICIES, {}, old=None, name="x")
    foreign["request"]["resource"] = {"group": "apps", "version": "v1", "resource": "deployments"}
    bodies: list[Any] = [foreign, {}, {"request": {}}, [], "x"]
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        for body in bodies:
            with pytest.raises(AssertionError, match="no review"):
                await ask(server.client_config, body)
        assert (await server.ask(POLICIES, {}))["allowed"]
    assert not seen.failures


async def test_it_answers_quickly_while_the_main_loop_is_busy(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    def review_in_thread() -> list[float]:
        async def measure() -> list[float]:
            times = []
            for _ in range(10):
                began = time.perf_counter()
                assert not (await server.ask(LINK_RULES, {**A_RULE, "priority": 5000}))["allowed"]
                times.append(time.perf_counter() - began)
            return times

        return asyncio.run(measure())

    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        measuring = asyncio.get_running_loop().run_in_executor(None, review_in_thread)
        while not measuring.done():
            busy = time.perf_counter() + 0.2
            while time.perf_counter() < busy:
                sum(range(1000))
            await asyncio.sleep(0)
        times = sorted(await measuring)
    assert times[len(times) // 2] < 1.0, times


# ------------------------------------------------------------------------------------------- the configuration's life


async def test_only_our_types_are_asked_about_and_failures_are_ignored(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        assert server.configuration is not None
        (webhook,) = server.configuration["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["sideEffects"] == "None"
    assert webhook["timeoutSeconds"] <= 5
    (rule,) = webhook["rules"]
    assert rule["apiGroups"] == ["kubeweft.io"]
    assert set(rule["resources"]) == {POLICIES, LINK_RULES}
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}


async def test_it_is_gone_after_a_stop_and_nothing_else_was_written(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        await server.ask(POLICIES, {})
        stopping = time.monotonic()
    assert time.monotonic() - stopping < STOP_LIMIT
    assert server.configuration is None
    assert server.writes == ["PATCH", "DELETE"]
    assert {(a.method, a.path) for a in server.asked if a.method != "GET"} == {
        ("PATCH", PATH),
        ("DELETE", PATH),
    }


async def test_what_a_killed_process_left_is_taken_over(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    server._keep({"metadata": {"name": NAME, "annotations": {HOLDER: "dead"}}, "webhooks": []})
    async with running(server, seen, admission):
        await until(lambda: server.writes)
        assert (await server.ask(POLICIES, {}))["allowed"]
    assert server.configuration is None


async def test_what_another_process_has_taken_over_stays(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        server._keep({"metadata": {"name": NAME, "annotations": {HOLDER: "newer"}}, "webhooks": []})
    assert server.configuration is not None
    assert server.writes == ["PATCH"]


async def test_a_stop_without_an_answer_is_in_time(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    silence = asyncio.Event()

    async def stay_silent(_: web.Request) -> web.StreamResponse:
        await silence.wait()
        return web.Response()

    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        server.script(PATH, stay_silent, times=100)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < STOP_LIMIT
    silence.set()


async def test_without_permission_all_the_rest_works(
    server: AskingApiServer, seen: Seen, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses = 403
    server.create(POLICY, "a", spec={})
    with caplog.at_level(logging.INFO, logger="kubeweft.control"):
        async with running(server, seen, admission):
            await until(lambda: "a" in seen.policies and "not checked at admission" in caplog.text)
            server.create(POLICY, "b", spec={})
            await until(lambda: "b" in seen.policies)
    told = [r.getMessage() for r in caplog.records if "admission" in r.getMessage()]
    assert len(told) == 1
    assert "apply config/rbac/admission.yaml" in told[0]
    assert not seen.failures


async def test_without_its_port_all_the_rest_works_and_it_comes_back(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    occupant = await asyncio.start_server(lambda *_: None, "127.0.0.1", admission.address.port)
    server.create(POLICY, "a", spec={})
    async with running(server, seen, admission):
        await until(lambda: "a" in seen.policies)
        assert server.configuration is None
        occupant.close()
        await until(lambda: server.configuration)
        assert (await server.ask(POLICIES, {}))["allowed"]
    assert not seen.failures


async def test_an_api_server_that_fails_at_first_is_asked_again(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    server.script(PATH + "*", answer(500), times=2)
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
    assert not seen.failures


class Clock:
    """Ahead of the real one by less than the skew that certificates tolerate, in nanoseconds."""

    def __init__(self) -> None:
        self.by = 0

    def now(self) -> int:
        return clock.now() + self.by


async def test_certificates_change_and_every_request_is_answered(
    server: AskingApiServer, seen: Seen, address: Address, admission: Admission
) -> None:
    """A server that has not seen the newest bundle yet still trusts what is served."""
    lifetime, ahead = 24 * 60 * NANOSECONDS, Clock()
    short = Admission(
        address=address, judge=admission.judge, lifetime=lifetime, now=ahead.now, look_every=0.02
    )
    async with running(server, seen, short):
        await until(lambda: server.configuration)
        known = server.client_config
        sizes = [authorities_in(known)]
        for passed in (lifetime * 2 // 3, LONGEST_OVERLAP) * 3:
            await next_look(server)
            ahead.by += passed
            await until(lambda: server.client_config["caBundle"] != known["caBundle"])  # noqa: B023
            for config in (known, server.client_config):
                await ask(config, review(POLICIES, {}, old=None, name="x"))
            known = server.client_config
            sizes.append(authorities_in(known))
    assert sizes == [1, 2, 1, 2, 1, 2, 1]
    assert not seen.failures


def authorities_in(config: Json) -> int:
    return base64.b64decode(config["caBundle"]).count(b"BEGIN")


async def next_look(server: AskingApiServer) -> None:
    """The round that published what is there has ended when the next begins, by reading the configuration."""
    before = len(server.asked)
    await until(lambda: any((a.method, a.path) == ("GET", PATH) for a in server.asked[before:]))


async def test_through_a_service_it_is_known_by_the_name_of_the_service(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    address = Address(listen_host="127.0.0.1", port=admission.address.port, service=("space", "front"))
    async with running(server, seen, Admission(address=address, judge=admission.judge)):
        await until(lambda: server.configuration)
        config = server.client_config
        trusting = ssl.create_default_context(cadata=base64.b64decode(config["caBundle"]).decode())
        url = f"https://127.0.0.1:{config['service']['port']}{config['service']['path']}"
        body = review(POLICIES, {}, old=None, name="x")
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, ssl=trusting, server_hostname="front.space.svc") as answered,
        ):
            assert (await answered.json())["response"]["allowed"]


async def test_only_those_who_are_told_the_path_can_ask(
    server: AskingApiServer, seen: Seen, admission: Admission
) -> None:
    async with running(server, seen, admission):
        await until(lambda: server.configuration)
        known = server.client_config
        guessed = {**known, "url": known["url"].rpartition("/")[0]}
        with pytest.raises(AssertionError, match="Not Found"):
            await ask(guessed, review(POLICIES, {}, old=None, name="x"))


async def test_a_certificate_that_cannot_be_made_stops_nothing_else(
    server: AskingApiServer, seen: Seen, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    unnameable = Address(listen_host="127.0.0.1", port=free_ports(1)[0], host="schlüssel")
    server.create(POLICY, "a", spec={})
    with caplog.at_level(logging.WARNING, logger="kubeweft.control"):
        async with running(server, seen, Admission(address=unnameable, judge=admission.judge)):
            await until(lambda: "a" in seen.policies and "not checked at admission" in caplog.text)
    assert server.configuration is None
    assert not seen.failures
