"""``/readyz``: whether questions can be answered now, for whoever sends traffic here (a Service, a proxy, a monitor).

Nobody is asked who they are, so it tells no reason, and however often it is asked, the store is only tried now and then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from kubeweft.display.serving.http.describing import Answer, Asked, Route
from kubeweft.display.serving.http.schemas import reference
from kubeweft.display.serving.room import Busy
from kubeweft.display.serving.working import Workshop
from kubeweft.model.errors import KubeweftError, NotNow

BELIEVED: Final = 2.0  # seconds
PATIENCE: Final = 2.0  # seconds
NOT_READY: Final = "the store cannot be read now; the log of this server says why"

TryStore = Callable[[], object]
"""Reads something small from the store; raises ``KubeweftError`` where it cannot be read."""

logger = logging.getLogger(__name__)


def readiness_route(
    workshop: Workshop, try_store: TryStore, *, clock: Callable[[], float] = time.monotonic
) -> Route:
    """The route; ``clock`` is in seconds."""
    return Route(
        path="/readyz",
        name="readyz",
        group="Kubeweft",
        title="Whether the store can be read",
        handler=_Readiness(workshop, try_store, clock).answer,
        dialect="plain",
        guarded=False,
        answers=(
            Answer(status=200, means="It can.", media="text/plain"),
            Answer(status=503, means="It cannot be read now.", schema=reference("PlainError")),
        ),
    )


class _Readiness:
    def __init__(self, workshop: Workshop, try_store: TryStore, clock: Callable[[], float]) -> None:
        self._workshop, self._try_store, self._clock = workshop, try_store, clock
        self._trying = asyncio.Lock()
        self._is_ready, self._until = True, -1.0

    async def answer(self, _: Asked) -> web.StreamResponse:
        if self._clock() >= self._until and not self._trying.locked():
            async with self._trying:
                self._is_ready = await self._can_be_read()
                self._until = self._clock() + BELIEVED
        if not self._is_ready:
            raise NotNow(NOT_READY, delay=BELIEVED)
        return web.Response(text="ok\n")

    async def _can_be_read(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._workshop.call(self._try_store)
        except (
            Busy,
            TimeoutError,
        ):  # with the questions of others, which is no reason to send them elsewhere
            return self._is_ready
        except KubeweftError as error:
            if self._is_ready:  # once, however often it is asked
                logger.warning("the store cannot be read: %s", error)
            return False
        if not self._is_ready:
            logger.info("the store can be read again")
        return True
