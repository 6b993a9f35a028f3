"""Hands exporters to the fleet; those of policies that look into objects only when the objects are known.

What such a policy selects is decided by what watches have told (``sources.objects.choosing``). Until they have told
everything once, after a start or a change of such a policy, its exporters wait: their spans stay in the spool. So do
those of exporters that cannot be made now, because a Secret cannot be read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kubeweft.export.fleet import ExporterFleet
from kubeweft.model.plan import Exporter, Plan, Scope

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # seconds
LONGEST_WAIT = 120.0


class Exports:
    """Belongs to one event loop."""

    def __init__(
        self, fleet: ExporterFleet, *, objects_are_known: Callable[[], bool], longest: float = LONGEST_WAIT
    ) -> None:
        """``objects_are_known`` tells whether every watch has told all of its objects under the plan in force.

        ``longest`` is how long that is waited for, in seconds.
        """
        self._fleet = fleet
        self._objects_are_known = objects_are_known
        self._longest = longest
        self._plan = Plan(scopes=())
        self._known_for: tuple[Scope, ...] = ()
        self._wanted = asyncio.Event()

    def use(self, plan: Plan) -> None:
        """From now on the exporters of this plan."""
        self._plan = plan
        if self._waits:
            self._wanted.set()
        self._hand_on()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with asyncio.timeout(self._longest):
                    await self._wait_for_objects()
            except TimeoutError:
                logger.warning(
                    "not all objects could be listed: exporters that select by their labels begin all the same"
                )
            if not self._wanted.is_set():
                self._known_for = _looking(self._plan)
                self._hand_on()

    async def _wait_for_objects(self) -> None:
        while True:
            await asyncio.sleep(
                LOOK_EVERY
            )  # also before the first look: watches take a changed plan up in their turn
            if self._objects_are_known():
                return

    @property
    def _waits(self) -> bool:
        return _looking(self._plan) != self._known_for

    def _hand_on(self) -> None:
        waiting = [e for e in self._plan.exporters if self._waits and _looks(e)]
        self._fleet.use(
            [e for e in self._plan.exporters if e not in waiting],
            grouped=any(rule.same_trace for rule in self._plan.rules),
            waiting=[*(e.name for e in waiting), *self._plan.waiting_exporters],
        )


def _looks(exporter: Exporter) -> bool:
    return any(scope.looks_into_objects for scope in exporter.scopes)


def _looking(plan: Plan) -> tuple[Scope, ...]:
    return tuple(scope for scope in plan.scopes if scope.looks_into_objects)
