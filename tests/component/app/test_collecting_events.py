"""The watch of Events begins when the collector knows the namespaces that policies look at."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.app.collecting import Collector, Place
from kubeweft.app.pipeline import Pipeline
from kubeweft.kube.receiving import ResumePoint
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan, Scope
from kubeweft.model.references import ResourceType
from kubeweft.model.selectors import LabelSelector, Requirement
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

EVENTS = ResourceType("", "v1", "events", "Event", True)
TEAM = LabelSelector((Requirement("team", "In", frozenset({"a"})),))


async def test_the_watch_of_events_waits_for_the_namespaces(tmp_path: Path) -> None:
    kinds = Kinds()
    with SqliteStore(tmp_path / "kubeweft.db") as store:
        async with Writer(store) as writer, ApiClient() as client, asyncio.TaskGroup() as group:
            collector = Collector(
                client,
                place=Place(cluster="local", observer="me", window_length=DEFAULT_WINDOW),
                memory=store,
                pipeline=Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=kinds), writer),
                kinds=kinds,
                install_key=b"k" * 32,
                plan=Plan(scopes=(Scope(policy="p", namespace_selector=TEAM),)),
            )
            asked = group.create_task(collector._receiver_for(EVENTS).resume_point())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not asked.done()
            collector.chooser.namespaces_are_told()
            async with asyncio.timeout(5):
                assert await asked == ResumePoint("", 0)
