"""Who tokens stand for, as the API server of the home cluster says; no other one ever gets a token.

Whoever has no token can make one up, and ask with thousands of them. So strangers wait apart from those who were known
of late, their number and their mistakes are bounded, and what they send pushes nobody out of what is remembered. That
somebody had to wait says nothing about the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.app.access_bounds import Allowance, Bounds, busy
from kubeweft.app.access_memory import Memory
from kubeweft.kube.failures import ApiFailure
from kubeweft.kube.reviews import DEADLINE, Person, who_is
from kubeweft.model.errors import NotNow

logger = logging.getLogger(__name__)


class Silent(NotNow):
    """The API server does not say who somebody is."""


class Caller:
    """Whoever has one token, in all the answers that are made for it at a time."""

    def __init__(self, token: str, name: bytes, bounds: Bounds) -> None:
        """``name`` stands for the token wherever something is remembered."""
        self.token = token
        self.name = name
        self.waiting = 0
        self.turn = asyncio.Lock()  # one asks who it is, the others hear the answer
        self.slots = asyncio.Semaphore(bounds.at_once_each)


class Silence:
    """Which API servers do not answer."""

    def __init__(self) -> None:
        """All of them answer, as far as is known."""
        self._silent: set[str] = set()

    def tell(self, cluster: str, failure: Exception) -> None:
        """Once, until it answers again: everybody is shut out meanwhile, and whoever runs this should know why."""
        if cluster not in self._silent:
            self._silent.add(cluster)
            reason = str(failure) or type(failure).__name__
            logger.warning(
                "nothing of cluster %s is shown to anybody, rights cannot be asked: %s", cluster, reason
            )

    def end(self, cluster: str) -> None:
        """It has answered."""
        self._silent.discard(cluster)


class Persons:
    """Asks the home cluster, and remembers for some seconds. Lives in one event loop."""

    def __init__(
        self,
        client: ApiClient,
        *,
        cluster: str,
        silence: Silence,
        bounds: Bounds,
        clock: Callable[[], float],
    ) -> None:
        """``client`` is that of ``cluster``."""
        self._client, self._cluster, self._silence, self._bounds = client, cluster, silence, bounds
        self._people = Memory[Person](most=bounds.entries, clock=clock)
        self._acquainted = Memory[bool](most=bounds.entries, clock=clock)
        self._refused = Memory[None](most=bounds.entries, clock=clock)
        self._unsaid = Memory[None](most=bounds.entries, clock=clock)
        self._wrong = Allowance(
            most=bounds.wrong_tokens, per_second=bounds.wrong_tokens_per_second, clock=clock
        )
        self._strangers = asyncio.Semaphore(bounds.tokens_at_once)
        self._regulars = asyncio.Semaphore(bounds.tokens_at_once)
        self._waiting_strangers = 0

    async def whose(self, caller: Caller) -> Person | None:
        """Whose token it is; None for nobody's.

        Raises ``Silent`` where the API server does not say so, and another ``NotNow`` where too many ask.
        """
        known = self._recall(caller.name)
        if known is not None:
            return known[0]
        is_regular = self._acquainted.recall(caller.name) is not None
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._place(caller, is_regular=is_regular))
            until = asyncio.get_running_loop().time() + self._bounds.deadline
            await _enter(stack, caller.turn, until)
            known = self._recall(caller.name)  # somebody else asked meanwhile
            if known is not None:
                return known[0]
            await _enter(stack, self._regulars if is_regular else self._strangers, until)
            return await self._ask(caller) if is_regular else await self._ask_about_stranger(caller)

    def _recall(self, name: bytes) -> tuple[Person | None] | None:
        known = self._people.recall(name) or self._refused.recall(name)
        if known is None and self._unsaid.recall(name) is not None:
            raise self._silent()
        return known

    @contextlib.contextmanager
    def _place(self, caller: Caller, *, is_regular: bool) -> Iterator[None]:
        """A place among those who wait, if there is one."""
        if caller.waiting >= self._bounds.waiting_each:
            raise busy()
        if not is_regular and self._waiting_strangers >= self._bounds.waiting_strangers:
            raise busy()
        caller.waiting += 1
        self._waiting_strangers += not is_regular
        try:
            yield
        finally:
            caller.waiting -= 1
            self._waiting_strangers -= not is_regular

    async def _ask_about_stranger(self, caller: Caller) -> Person | None:
        """Only so many wrong tokens are asked about; right ones cost nothing."""
        if not self._wrong.take():
            raise busy()
        person = await self._ask(caller)
        if person is not None:
            self._wrong.give_back()
        return person

    async def _ask(self, caller: Caller) -> Person | None:
        try:
            said = await who_is(self._client, caller.token, deadline=min(DEADLINE, self._bounds.deadline))
        except ApiFailure as failure:
            self._silence.tell(self._cluster, failure)
            self._unsaid.keep(caller.name, None, seconds=self._bounds.keep_failure)
            raise self._silent() from failure
        self._silence.end(self._cluster)
        if said is None:
            self._acquainted.forget(caller.name)
            self._refused.keep(caller.name, None, seconds=self._bounds.keep)
            return None
        self._acquainted.keep(caller.name, True, seconds=self._bounds.keep_acquaintance)
        self._people.keep(caller.name, said, seconds=self._bounds.keep)
        return said

    def _silent(self) -> Silent:
        return Silent(
            f"nobody can be let in now: the API server of {self._cluster} does not say who you are", delay=1.0
        )


async def _enter(
    stack: contextlib.AsyncExitStack, turn: contextlib.AbstractAsyncContextManager[Any], until: float
) -> None:
    """Wait for a turn, but no longer than until then."""
    try:
        async with asyncio.timeout_at(until):
            await stack.enter_async_context(turn)
    except TimeoutError:
        raise busy() from None
