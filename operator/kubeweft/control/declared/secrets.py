"""The Secrets that policies name: read one by one, again and again, and never told to anybody but the compiler.

Only ``get`` on single names is asked for, so that RBAC can allow these Secrets and no others. What was read stays in
force while the API server cannot be asked: a broken connection must not stop an exporter that works.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kubeweft.kube.failures import ApiFailure, Forbidden, NotServed

logger = logging.getLogger(__name__)

EVERY = 10.0
LIMIT = 10.0
MOST_AT_ONCE = 8
MOST_SECRETS = 2000  # a policy can name 152

State = Literal["Read", "Missing", "Forbidden", "NotYet"]


@dataclass(frozen=True, slots=True)
class Secret:
    """What is known of one Secret. ``content`` is secret: never log it. ``detail`` says why it is not there."""

    state: State
    content: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    detail: str = ""


Known = Mapping[str, Secret]
NOT_YET = Secret("NotYet", detail="it has not been read yet")
MISSING = Secret("Missing", detail="there is no such Secret")
FORBIDDEN = Secret("Forbidden", detail="RBAC does not allow to get it")


class SecretBook:
    """What is known of the wanted Secrets; ``on_change`` is called when any of it is known otherwise than before."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[Mapping[str, bytes]]],
        *,
        on_change: Callable[[], None] = lambda: None,
        every: float = EVERY,
        limit: float = LIMIT,
    ) -> None:
        """``read`` gives the content of the Secret of this name, or raises an ``ApiFailure``.

        ``every`` is how long to wait between rounds, and ``limit`` for one answer, in seconds. ``on_change`` may also
        be set later; it has to be quick.
        """
        self.on_change = on_change
        self._read = read
        self._every = every
        self._limit = limit
        self._wanted: frozenset[str] = frozenset()
        self._known: dict[str, Secret] = {}
        self._told: dict[str, str] = {}
        self._more_wanted = asyncio.Event()

    @property
    def known(self) -> Known:
        """All that is known now, by name; what is missing here has not been asked for yet."""
        return dict(self._known)

    def want(self, names: frozenset[str]) -> None:
        """These and no others are kept and read from now on; the rest is forgotten."""
        if len(names) > MOST_SECRETS:
            logger.warning("policies name too many Secrets: named=%d read=%d", len(names), MOST_SECRETS)
            names = frozenset(sorted(names)[:MOST_SECRETS])
        for name in self._wanted - names:
            self._known.pop(name, None)
            self._told.pop(name, None)
        if names - self._wanted:
            self._more_wanted.set()
        self._wanted = names

    async def run(self) -> None:
        """Read them all every so often, and new ones at once, until cancelled."""
        while True:
            self._more_wanted.clear()
            await self.refresh()
            try:
                async with asyncio.timeout(self._every):
                    await self._more_wanted.wait()
            except TimeoutError:
                pass

    async def refresh(self) -> None:
        """Read all wanted Secrets once; whatever has changed is told once, at the end."""
        gate = asyncio.Semaphore(MOST_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            asked = {name: group.create_task(self._ask(name, gate)) for name in sorted(self._wanted)}
        changed = [name for name, task in asked.items() if self._learn(name, task.result())]
        if changed:
            self.on_change()

    async def _ask(self, name: str, gate: asyncio.Semaphore) -> Secret:
        """What there is; ``NotYet`` if nobody can tell now."""
        try:
            async with gate, asyncio.timeout(self._limit):
                return Secret("Read", dict(await self._read(name)))
        except NotServed:
            return MISSING
        except Forbidden:
            return FORBIDDEN
        except TimeoutError:
            return Secret("NotYet", detail="it cannot be read: no answer in time")
        except ApiFailure as failure:
            return Secret("NotYet", detail=f"it cannot be read: {failure}")

    def _learn(self, name: str, found: Secret) -> bool:
        """Whether anything else is known now than before."""
        if name not in self._wanted:
            return False  # no longer, since it was asked for
        self._tell(name, found.detail)
        known = self._known.get(name)
        if known is not None and found.state == "NotYet" and known.state != "NotYet":
            return False
        self._known[name] = found
        return found != known

    def _tell(self, name: str, failure: str) -> None:
        if failure and self._told.get(name) != failure:
            logger.warning("a Secret that a policy names is not there: secret=%s reason=%s", name, failure)
        self._told[name] = failure
