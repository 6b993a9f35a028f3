"""Writes the status of our objects whenever it differs from what is stored: level-triggered, so nothing is lost.

At once when an object was seen, else every few seconds; what differs only in numbers and times waits until half a
minute has passed since the last write. A status that cannot be written is told once and tried again later.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from kubeweft.control.api import ControlApi
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.judging.health import Health
from kubeweft.control.judging.status import (
    Status,
    differs,
    differs_in_meaning,
    link_rule_status,
    policy_status,
)
from kubeweft.kube.failures import ApiFailure, Forbidden, NotServed

logger = logging.getLogger(__name__)

CHECK_EVERY = 5.0
COUNTERS_EVERY = 30.0


@dataclass(slots=True)
class _Written:
    """What was last written for one life of an object, onto which version, and when to try again after a failure."""

    version: str = ""
    status: Status = field(default_factory=dict)
    at: float = float("-inf")
    not_before: float = float("-inf")
    failure: str = ""


class Reporter:
    """Reports on everything in ``declarations``. ``health`` is asked before each round."""

    def __init__(
        self,
        declarations: Declarations,
        api: ControlApi,
        *,
        health: Callable[[], Health],
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        check_every: float = CHECK_EVERY,
        counters_every: float = COUNTERS_EVERY,
    ) -> None:
        """``check_every`` and ``counters_every`` are in seconds."""
        self._declarations = declarations
        self._api = api
        self._health = health
        self._now = now
        self._check_every = check_every
        self._counters_every = counters_every
        self._written: dict[str, _Written] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._declarations.news.clear()
            await self.report()
            try:
                async with asyncio.timeout(self._check_every):
                    await self._declarations.news.wait()
            except TimeoutError:
                pass

    async def report(self) -> None:
        """One round: every status that should be written is written."""
        declared = [
            o for resource in (POLICIES, LINK_RULES) for o in self._declarations.objects(resource).values()
        ]
        alive = {o.uid for o in declared}
        self._written = {uid: written for uid, written in self._written.items() if uid in alive}
        for current, status in self._wanted([self._as_written(o) for o in declared]):
            if self._is_due(current, status):
                await self._write(current, status)

    def _as_written(self, declared: DeclaredObject) -> DeclaredObject:
        """The object with the status we gave it, while the watch has not told it yet."""
        written = self._written.get(declared.uid)
        if written is None or not written.status or written.version != declared.version:
            return declared
        return replace(declared, status={**declared.status, **written.status})

    def _wanted(self, objects: Iterable[DeclaredObject]) -> Iterator[tuple[DeclaredObject, Status]]:
        health, compiled = self._health(), self._declarations.compiled
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        in_force = health.plan == compiled.plan
        for declared in objects:
            if declared.resource == LINK_RULES:
                rule = compiled.rule_verdicts[declared.name]
                yield declared, link_rule_status(declared, rule, health, in_force=in_force, now=now)
            else:
                verdict = compiled.verdicts[declared.name]
                yield declared, policy_status(declared, verdict, health, in_force=in_force, now=now)

    def _is_due(self, declared: DeclaredObject, status: Status) -> bool:
        if declared.status.get("observedGeneration", 0) > declared.generation:
            return False  # somebody knows a newer spec than we do: ours comes with the next event
        last = self._written.get(declared.uid, _Written())
        now = asyncio.get_running_loop().time()
        if now < last.not_before:
            return False
        if differs_in_meaning(status, declared.status):
            return True
        return now - last.at >= self._counters_every and differs(status, declared.status)

    async def _write(self, declared: DeclaredObject, status: Status) -> None:
        written = self._written.setdefault(declared.uid, _Written())
        try:
            await self._api.write_status(declared.resource, declared.name, status)
        except ApiFailure as error:
            self._failed(declared, written, error)
        else:
            written.version, written.status, written.failure = declared.version, status, ""
            written.at = asyncio.get_running_loop().time()

    def _failed(self, declared: DeclaredObject, written: _Written, error: ApiFailure) -> None:
        lasting = isinstance(error, Forbidden | NotServed)
        wait = self._counters_every if lasting else self._check_every
        written.not_before = asyncio.get_running_loop().time() + wait
        if isinstance(error, NotServed):
            self._declarations.sweep_wanted.set()  # it may be gone without our having seen it
        failure = _explain(error)
        if failure != written.failure:
            written.failure = failure
            place = f"{declared.resource}/{declared.name}"
            logger.warning("status cannot be written: object=%s reason=%s", place, failure)


def _explain(error: ApiFailure) -> str:
    if isinstance(error, Forbidden):
        return f"{error}; apply config/rbac, which allows it"
    if isinstance(error, NotServed):
        return f"{error}; it may be deleted, or its CRD is older than this version of Kubeweft"
    return str(error)
