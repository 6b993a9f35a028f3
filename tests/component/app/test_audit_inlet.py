"""The audit webhook as the operator runs it: closed until there is a plan, then everything it says yes to is on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from audit_events import audit_event, event_list, kubernetes_event
from audit_log import stored
from controlplane.ports import free_ports
from kubeweft.app.auditing import AuditInlet
from kubeweft.app.pipeline import Pipeline
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan, Redaction, Scope
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.settings import load
from kubeweft.sources.events.parsing import parse_event
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver
from watched_objects import rules_of

BATCH = event_list(audit_event())
USER = "system:serviceaccount:kube-system:deployment-controller"


class Place:
    """An inlet that listens, and the store behind it."""

    def __init__(self, file: Path, writer: Writer) -> None:
        (self.port,) = free_ports(1)
        self.file = file
        settings = load(flags={"audit_listen": f"127.0.0.1:{self.port}"}, file=None)
        kinds = Kinds()
        self.pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=kinds), writer)
        self.inlet = AuditInlet(settings, kinds=kinds, pipeline=self.pipeline, rules=rules_of())

    async def post(self, body: bytes = BATCH) -> int:
        url = f"http://127.0.0.1:{self.port}/audit"
        async with aiohttp.ClientSession() as client, client.post(url, data=body) as answer:
            if answer.status == 429:
                assert float(answer.headers["Retry-After"]) > 0
            return answer.status

    def users(self) -> list[str]:
        """Who made the requests that are stored."""
        return [str(s.attributes[v.USER]) for s in stored(self.file).values() if s.source == "request"]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    with SqliteStore(tmp_path / "kubeweft.db") as store:
        async with Writer(store) as writer:
            place = Place(tmp_path / "kubeweft.db", writer)
            async with place.inlet.listening():
                yield place


async def test_before_there_is_a_plan_senders_are_told_to_come_again(place: Place) -> None:
    assert await place.post() == 429
    assert stored(place.file) == {}
    assert place.inlet.last_time == 0
    place.inlet.open()
    assert await place.post() == 200
    assert place.users() == [USER]
    assert place.inlet.last_time > 0


async def test_what_is_sent_twice_is_stored_once(place: Place) -> None:
    place.inlet.open()
    assert [await place.post() for _ in range(3)] == [200] * 3
    assert place.users() == [USER]


async def test_other_rules_hold_from_the_next_batch_on(place: Place) -> None:
    place.inlet.open()
    place.inlet.use(rules_of(Plan(redaction=Redaction(user_identity="Omit"))))
    assert await place.post() == 200
    assert USER not in place.users()
    place.inlet.use(rules_of(Plan(scopes=(Scope(policy="p", omit_users=frozenset({USER})),))))
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


async def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "kubeweft.db") as store:
        async with Writer(store) as writer:
            pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds()), writer)
            settings = load(flags={"audit_listen": "127.0.0.1:0", "audit_tls_cert": "cert.pem"}, file=None)
            with pytest.raises(UserError, match="belong together"):
                AuditInlet(settings, kinds=Kinds(), pipeline=pipeline, rules=rules_of())
