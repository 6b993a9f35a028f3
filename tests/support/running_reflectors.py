"""Runs one reflector for the length of a test, with limits short enough to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from fake_apiserver import PODS
from kubeweft.kube.clients import ClusterClient
from kubeweft.kube.pacing import Limits
from kubeweft.kube.receiving import Receiver
from kubeweft.kube.reflector import Reflector
from kubeweft.model.references import ResourceType
from recording_receiver import LIMIT

QUICK = Limits(
    page=3,
    request=5.0,
    silence=5.0,
    steady_after=0.0,
    first_pause=0.01,
    longest_pause=0.05,
    slow_pause=60.0,
)
Watching = Callable[..., AbstractAsyncContextManager[Reflector]]


def watching_with(client: ClusterClient) -> Watching:
    """``async with watching(receiver) as reflector``: it runs until the end of the block."""

    @contextlib.asynccontextmanager
    async def run(
        receiver: Receiver,
        resource: ResourceType = PODS,
        *,
        limits: Limits = QUICK,
        metadata_only: bool = False,
        list_slots: asyncio.Semaphore | None = None,
        on_recovery: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Reflector]:
        reflector = Reflector(
            client,
            resource,
            receiver,
            list_slots=list_slots or asyncio.Semaphore(8),
            metadata_only=metadata_only,
            on_recovery=on_recovery,
            limits=limits,
            rng=random.Random(1),
        )
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reflector.run())
            try:
                yield reflector
            finally:
                task.cancel()

    return run


async def eventually(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait until ``condition`` is true, for what nobody announces."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.005)
