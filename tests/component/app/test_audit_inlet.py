"""The audit webhook as the operator runs it: closed until there is a plan, then everything it says yes to is on disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import orjson
import pytest

from audit_events import audit_event, event_list, kubernetes_event
from audit_log import stored
from controlplane.ports import free_ports
from kubeweft.app.auditing import AuditInlet, Bookmarks
from kubeweft.app.pipeline import Pipeline
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import JoinedCluster, Plan, Redaction, Scope
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import LabelSelector, Requirement
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.settings import load
from kubeweft.sources.events.parsing import parse_event
from kubeweft.sources.objects.choosing import Chooser
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver
from running_reflectors import eventually
from watched_objects import rules_of

BATCH = event_list(audit_event())
USER = "system:serviceaccount:kube-system:deployment-controller"


class Place:
    """An inlet that listens, the rules of each cluster, and the store behind it."""

    def __init__(self, file: Path, store: SqliteStore, writer: Writer, **flags: object) -> None:
        (self.port,) = free_ports(1)
        self.file = file
        settings = load(flags={"audit_listen": f"127.0.0.1:{self.port}", **flags}, file=None)
        kinds = Kinds()
        self.rules: dict[str, Rules] = defaultdict(rules_of)
        self.pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=kinds), writer)
        self.inlet = AuditInlet(
            settings,
            rules_of=lambda name: self.rules[name],
            kinds_of=lambda _: kinds,
            pipeline=self.pipeline,
            bookmarks=Bookmarks(load=store.bookmark, save=writer.save_bookmark),
        )

    def use(self, rules: Rules, cluster: str = "local") -> None:
        """The plan has changed for a cluster."""
        self.rules[cluster] = rules

    async def post(self, body: bytes = BATCH, *, token: str = "") -> int:
        url = f"http://127.0.0.1:{self.port}/audit"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=headers) as answer:
            if answer.status == 429:
                assert float(answer.headers["Retry-After"]) > 0
            return answer.status

    def users(self) -> list[str]:
        """Who made the requests that are stored."""
        return [str(s.attributes[v.USER]) for s in stored(self.file).values() if s.source == "request"]

    def clusters(self) -> list[str]:
        """Where the requests were made that are stored."""
        return sorted(s.key.cluster for s in stored(self.file).values() if s.source == "request")


def joined(name: str, token: str) -> JoinedCluster:
    return JoinedCluster(name=name, kubeconfig=b"", audit_token=token)


@contextlib.asynccontextmanager
async def listening(folder: Path, **flags: object) -> AsyncIterator[Place]:
    """A place for the length of a block."""
    with SqliteStore(folder / "kubeweft.db") as store:
        async with Writer(store) as writer:
            place = Place(folder / "kubeweft.db", store, writer, **flags)
            async with place.inlet.listening():
                yield place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with listening(tmp_path) as place:
        yield place


async def test_before_there_is_a_plan_senders_are_told_to_come_again(place: Place) -> None:
    assert await place.post() == 429
    assert stored(place.file) == {}
    assert place.inlet.last_time("local") == 0
    place.inlet.open()
    assert await place.post() == 200
    assert place.users() == [USER]
    assert place.inlet.last_time("local") > 0


async def test_before_the_namespaces_are_known_senders_are_told_to_come_again(place: Place) -> None:
    team = LabelSelector((Requirement("team", "In", frozenset({"a"})),))
    rules = rules_of(Plan(scopes=(Scope(policy="p", namespace_selector=team),)))
    chooser = Chooser("local", rules.plan)
    place.use(replace(rules, chooser=chooser))
    place.inlet.open()
    assert await place.post() == 429
    assert stored(place.file) == {}
    chooser.judge(
        ObjectKey("local", "", "namespaces", "", "default"),
        orjson.dumps({"metadata": {"name": "default", "labels": {"team": "a"}}}),
    )
    chooser.namespaces_are_told()
    assert await place.post() == 200
    assert place.users() == [USER]


async def test_what_is_sent_twice_is_stored_once(place: Place) -> None:
    place.inlet.open()
    assert [await place.post() for _ in range(3)] == [200] * 3
    assert place.users() == [USER]


async def test_other_rules_hold_from_the_next_batch_on(place: Place) -> None:
    place.inlet.open()
    place.use(rules_of(Plan(redaction=Redaction(user_identity="Omit"))))
    assert await place.post() == 200
    assert USER not in place.users()
    place.use(rules_of(Plan(scopes=(Scope(policy="p", omit_users=frozenset({USER})),))))
    assert await place.post(event_list(audit_event(auditID="another"))) == 200
    assert len(place.users()) == 1


async def test_nonsense_is_refused_and_the_next_batch_taken(place: Place) -> None:
    place.inlet.open()
    assert await place.post(b"{") == 400
    assert await place.post() == 200


async def test_an_event_told_by_watch_and_audit_log_is_one_span(place: Place) -> None:
    place.inlet.open()
    rules = rules_of()
    seen = parse_event("local", kubernetes_event(), Kinds(), rules.redactor)
    await place.pipeline.deliver([seen])  # type: ignore[list-item]  # the kind of a Pod is known
    written = audit_event(
        verb="create",
        objectRef={"resource": "events", "namespace": "default", "name": "demo-1.18ea", "apiVersion": "v1"},
        responseObject=kubernetes_event(),
    )
    assert await place.post(event_list(written)) == 200
    assert [s.source for s in stored(place.file).values() if s.source != "object"] == ["event"]


async def test_each_cluster_sends_by_its_own_token_under_its_own_rules(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-home")
    async with listening(tmp_path, audit_token_file=str(tmp_path / "token")) as place:
        place.use(rules_of(Plan(scopes=(Scope(policy="p", omit_users=frozenset({USER})),))), "east")
        place.inlet.use([joined("west", "of-west"), joined("east", "of-east"), joined("south", "")])
        place.inlet.open()
        assert [await place.post(token=t) for t in ("of-west", "of-home", "of-east")] == [200] * 3
        assert [await place.post(token=t) for t in ("", "of-south", "of-")] == [401] * 3
        assert place.clusters() == ["local", "west"]
        assert [place.inlet.last_time(name) > 0 for name in ("local", "west", "east", "south")] == [
            True,
            True,
            False,
            False,
        ]
        place.inlet.use([joined("west", "renewed")])
        assert [await place.post(token=t) for t in ("of-west", "of-east")] == [401] * 2
        assert await place.post(event_list(audit_event(auditID="another")), token="renewed") == 200
        assert place.clusters() == ["local", "west", "west"]


async def test_who_may_be_known_soon_is_told_to_come_again(tmp_path: Path) -> None:
    """API servers throw away what is refused: before the plan is there, nobody is."""
    (tmp_path / "token").write_text("of-home")
    async with listening(tmp_path, audit_token_file=str(tmp_path / "token")) as place:
        assert [await place.post(token=t) for t in ("of-west", "of-home", "")] == [429] * 3
        place.inlet.use([joined("west", "of-west")])
        place.inlet.open()
        assert [await place.post(token=t) for t in ("of-west", "of-home", "")] == [200, 200, 401]


async def test_the_audit_log_of_the_local_cluster_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(orjson.dumps(audit_event()) + b"\n")
    async with listening(tmp_path, audit_log=str(log)) as place:
        place.use(rules_of(Plan(scopes=(Scope(policy="p", inlets=frozenset({"LogFile"})),))))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(place.inlet.follow_log())
            await eventually(lambda: place.users() == [USER])
            with log.open("ab") as more:
                more.write(orjson.dumps(audit_event(auditID="another")) + b"\n")
            await eventually(lambda: place.users() == [USER] * 2)
            assert place.clusters() == ["local", "local"]
            assert place.inlet.last_time("local") > 0
            task.cancel()


async def test_without_an_audit_log_there_is_nothing_to_follow(place: Place) -> None:
    await place.inlet.follow_log()


async def test_a_joined_clusters_token_ends_that_anybody_is_the_local_cluster(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path) as place:
        place.inlet.open()
        assert await place.post() == 200
        place.inlet.use([joined("west", "of-west")])
        assert "--audit-token-file" in caplog.text
        assert [await place.post(), await place.post(token="of-west")] == [401, 200]
        assert "of-west" not in caplog.text


async def test_requests_by_the_webhook_are_those_of_policies_that_have_this_inlet(place: Place) -> None:
    place.inlet.open()
    place.use(rules_of(Plan(scopes=(Scope(policy="p", inlets=frozenset({"LogFile"})),))))
    assert await place.post() == 200
    assert place.users() == []
    place.use(rules_of(Plan(scopes=(Scope(policy="p", inlets=frozenset({"Webhook"})),))))
    assert await place.post() == 200
    assert place.users() == [USER]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"audit_tls_cert": "cert.pem"}, "belong together"),
        ({"audit_client_ca": "ca.pem"}, "needs --audit-tls-cert"),
    ],
)
async def test_half_a_configuration_is_refused(tmp_path: Path, flags: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        async with listening(tmp_path, **flags):
            pass


async def test_a_cluster_whose_token_is_not_there_is_never_the_local_one(tmp_path: Path) -> None:
    async with listening(tmp_path) as place:
        place.inlet.open()
        for clusters in ([], [joined("west", "")]):
            place.inlet.use(clusters, audited=[("west", True)])
            assert [await place.post(token=token) for token in ("of-west", "")] == [429, 429]
            place.inlet.use(clusters, audited=[("west", False)])
            assert [await place.post(token=token) for token in ("of-west", "")] == [401, 401]
        assert place.clusters() == []
