"""Keeps Kopf running beside the data path: started again when it ends, and when our own CRDs have come.

The latter because Kopf looks for a new type only once, when its CRD changes, and discovery may show it a moment later:
then Kopf would never watch it (seen on a real API server).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

import kopf

from kubeweft.control.admission.setting_up import Admission
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.login import Login
from kubeweft.control.watching.handlers import build_registry, safe_settings
from kubeweft.control.watching.kopf_run import KopfRun
from kubeweft.control.watching.steering import Mailbox, Steering
from kubeweft.kube.failures import ApiFailure

logger = logging.getLogger(__name__)

Served = Callable[[], Awaitable[frozenset[str]]]

STOP_LIMIT = 3.0
BACKOFFS = (1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_AFTER = 60.0
LOOK_EVERY = 2.0
LOOK_PAUSE = 0.5  # a CRD changes several times while it is installed
OURS = frozenset({POLICIES, LINK_RULES})
QUIETER = {
    "kopf.objects": logging.WARNING,  # a line for each event otherwise
    "kopf._core.reactor": logging.CRITICAL,  # why Kopf ended, or which CRDs are missing, is told here, once
    "kopf._cogs.clients": logging.CRITICAL,  # each attempt of each watch while the API server is away
}


class OperatorThread:
    """Runs Kopf until cancelled.

    ``login`` is called in Kopf's own event loop, so it must not use objects of another. ``served`` tells which of our
    types the API server's discovery shows. With an ``admission``, policies and rules are checked before they are stored.
    """

    def __init__(
        self,
        steering: Steering,
        login: Login,
        *,
        served: Served,
        admission: Admission | None = None,
        backoffs: tuple[float, ...] = BACKOFFS,
        settings: Callable[[], kopf.OperatorSettings] = safe_settings,
    ) -> None:
        """``backoffs`` are the waits, in seconds, between an end and the next start; the last repeats."""
        self._steering = steering
        self._login = login
        self._ask_served = served
        self._admission = admission
        self._backoffs = backoffs
        self._settings = settings
        self._served = OURS
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; then Kopf is stopped, within three seconds."""
        for name, level in QUIETER.items():
            logging.getLogger(name).setLevel(level)
        failures = 0
        while True:
            started = time.monotonic()
            reason = await self._run_once()
            if not reason:
                continue
            failures = 0 if time.monotonic() - started > HEALTHY_AFTER else failures
            delay = self._backoffs[min(failures, len(self._backoffs) - 1)]
            failures += 1
            logger.warning("Kopf has ended, starting it again: reason=%s delay=%.1fs", reason, delay)
            self._steering.failed(reason)
            await asyncio.sleep(delay)

    async def _run_once(self) -> str:
        """One life of Kopf; why it ended, or empty if it only has to start again."""
        self._note_served(await self._look())
        loop = asyncio.get_running_loop()
        mailbox = Mailbox(self._steering, on_types=self._news.set)
        registry = build_registry(mailbox, self._login)
        settings = self._settings()
        if self._admission is not None:
            self._admission.set_up(registry, settings, self._login)
        run = KopfRun(registry, settings, self._login, on_end=lambda: _wake(loop, self._news))
        try:
            return await self._watch_over(run)
        finally:
            if not await run.stop(limit=STOP_LIMIT):
                logger.warning("Kopf has not stopped within %.0f s; it ends with the process", STOP_LIMIT)

    async def _watch_over(self, run: KopfRun) -> str:
        while not run.why_ended():
            try:
                async with asyncio.timeout(None if self._served == OURS else LOOK_EVERY):
                    await self._news.wait()
                await asyncio.sleep(LOOK_PAUSE)
            except TimeoutError:
                pass
            self._news.clear()
            served = await self._look() if not run.why_ended() else None
            if served is not None and served - self._served:
                logger.info("our resource types are served now: types=%s", ",".join(sorted(served)))
                return ""
            self._note_served(served)
        return run.why_ended()

    async def _look(self) -> frozenset[str] | None:
        """Which of our types are served; None if the API server does not tell."""
        try:
            return OURS & await self._ask_served()
        except ApiFailure:
            return None

    def _note_served(self, served: frozenset[str] | None) -> None:
        if served is None or served == self._served:
            return
        if OURS - served:
            missing = ",".join(sorted(OURS - served))
            logger.warning("CRDs are not installed, apply the folder crds/: missing=%s", missing)
        self._served = served


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the application has closed its loop: nobody is left to wake
        loop.call_soon_threadsafe(event.set)
