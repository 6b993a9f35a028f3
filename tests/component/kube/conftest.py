"""A fake API server, a client of it, and reflectors on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fake_apiserver import DEPLOYMENTS, NODES, PODS, SECRETS, FakeApiServer
from kubeweft.kube.clients import ClusterClient
from running_reflectors import Watching, watching_with


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    """Serves four types, each empty."""
    async with FakeApiServer([PODS, SECRETS, NODES, DEPLOYMENTS]) as server:
        yield server


@pytest.fixture
async def client(server: FakeApiServer) -> AsyncIterator[ClusterClient]:
    """A client of the fake API server."""
    async with server.client() as client:
        yield client


@pytest.fixture
def watching(client: ClusterClient) -> Watching:
    """Starts reflectors."""
    return watching_with(client)
