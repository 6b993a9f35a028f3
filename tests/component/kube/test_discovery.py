"""Asking a server what it has, whole or broken, new or old."""

from __future__ import annotations

import pytest

from fake_apiserver import DEPLOYMENTS, NODES, PODS, SECRETS, FakeApiServer, answer, raw
from kubeweft.kube.clients import ClusterClient
from kubeweft.kube.discovery import discover
from kubeweft.kube.failures import Forbidden, Unavailable
from kubeweft.model.references import ResourceType

WIDGETS = ResourceType("example.com", "v1", "widgets", "Widget", True)
REVIEWS = ResourceType("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False)
CORE = {PODS, SECRETS, NODES}


@pytest.mark.parametrize("aggregated", [True, False])
async def test_everything_is_found(server: FakeApiServer, client: ClusterClient, aggregated: bool) -> None:
    server.aggregated = aggregated
    server.serve(REVIEWS, ("create",))
    found = await discover(client)
    assert set(found.types) == {*CORE, DEPLOYMENTS}
    assert set(found.all_types) == {*CORE, DEPLOYMENTS, REVIEWS}
    assert found.stale == ()
    assert len(server.asked) == (2 if aggregated else 5)


@pytest.mark.parametrize("aggregated", [True, False])
async def test_one_dead_api_loses_nothing_else_and_keeps_what_was_known(
    server: FakeApiServer, client: ClusterClient, aggregated: bool
) -> None:
    server.aggregated = aggregated
    server.serve(WIDGETS)
    server.serve(REVIEWS, ("create",))
    before = await discover(client)
    server.stale = {"example.com", "authorization.k8s.io"}
    found = await discover(client, previous=before)
    assert set(found.types) == {*CORE, DEPLOYMENTS, WIDGETS}
    assert set(found.all_types) == {*CORE, DEPLOYMENTS, WIDGETS, REVIEWS}
    assert set(found.stale) == {"example.com/v1", "authorization.k8s.io/v1"}
    unknown = await discover(client)
    assert set(unknown.types) == {*CORE, DEPLOYMENTS}
    server.stale.clear()
    assert await discover(client, previous=found) == before


@pytest.mark.parametrize("aggregated", [True, False])
async def test_a_removed_type_is_forgotten(
    server: FakeApiServer, client: ClusterClient, aggregated: bool
) -> None:
    server.aggregated = aggregated
    server.serve(WIDGETS)
    before = await discover(client)
    server.unserve(WIDGETS)
    assert WIDGETS not in (await discover(client, previous=before)).all_types


async def test_a_version_removed_while_asking_is_not_stale(
    server: FakeApiServer, client: ClusterClient
) -> None:
    server.aggregated = False
    before = await discover(client)
    server.script("/apis/apps/v1", answer(404))
    found = await discover(client, previous=before)
    assert found.stale == ()
    assert set(found.types) == CORE


async def test_half_of_discovery_is_enough(server: FakeApiServer, client: ClusterClient) -> None:
    before = await discover(client)
    server.script("/apis", answer(503))
    found = await discover(client, previous=before)
    assert set(found.types) == set(before.types)
    assert found.stale == ("/apis",)
    server.script("/api", raw(b"{}"))
    found = await discover(client, previous=before)
    assert set(found.types) == set(before.types)
    assert found.stale == ("/api",)


async def test_nothing_at_all_is_an_error(server: FakeApiServer, client: ClusterClient) -> None:
    server.script("/api*", answer(503, "starting"), times=2)
    with pytest.raises(Unavailable, match="starting"):
        await discover(client)
    server.script("/api*", answer(403, "not for you"), times=2)
    with pytest.raises(Forbidden, match="not for you"):
        await discover(client)


async def test_a_server_that_refuses_the_content_type_is_asked_plainly(
    server: FakeApiServer, client: ClusterClient
) -> None:
    server.aggregated = False
    server.script("/api", answer(406))
    server.script("/apis", answer(406))
    assert set((await discover(client)).types) == {*CORE, DEPLOYMENTS}
