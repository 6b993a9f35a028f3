"""Reads all our objects at the start, after each start of Kopf and now and then.

A watch does not tell everything: what is deleted while it lists anew goes unseen (Kopf does not compare lists), and
nothing at all is seen while Kopf is down. Without a sweep, a deleted policy could stay in force for ever, and at the
start objects would be traced before the policy that redacts them is known.
"""

from __future__ import annotations

import asyncio
import logging

from kubeweft.control.api import ControlApi
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.kube.failures import ApiFailure, Forbidden

logger = logging.getLogger(__name__)

EVERY = 60.0
AGAIN_AFTER = 2.0


class Sweeper:
    """Keeps ``declarations`` complete. ``known`` is set once the API server has told what there is, or forbidden it."""

    def __init__(
        self,
        declarations: Declarations,
        api: ControlApi,
        *,
        every: float = EVERY,
        again_after: float = AGAIN_AFTER,
    ) -> None:
        """``every``, and ``again_after`` a failure, are in seconds."""
        self._declarations = declarations
        self._api = api
        self._every = every
        self._again_after = again_after
        self._told: dict[str, str] = {}
        self.known = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        wanted = self._declarations.sweep_wanted
        while True:
            wanted.clear()
            complete = await self.sweep()
            try:
                async with asyncio.timeout(self._every if complete else self._again_after):
                    await wanted.wait()
            except TimeoutError:
                pass

    async def sweep(self) -> bool:
        """Read everything once; whether it could be read or never can be."""
        answered = [await self._sweep(resource) for resource in (POLICIES, LINK_RULES)]
        if all(answered):
            self.known.set()
        return all(answered)

    async def _sweep(self, resource: str) -> bool:
        before = self._declarations.objects(resource)
        try:
            bodies = await self._api.list_all(resource)
        except ApiFailure as failure:
            self._tell(resource, str(failure))
            return isinstance(failure, Forbidden)
        self._told.pop(resource, None)
        self._declarations.listed(resource, bodies, before=before)
        return True

    def _tell(self, resource: str, message: str) -> None:
        if self._told.get(resource) != message:
            self._told[resource] = message
            logger.warning("declared objects cannot be listed: resource=%s reason=%s", resource, message)
