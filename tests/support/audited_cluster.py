"""What becomes of one cluster's audit events in tests of the webhook: everything is kept in memory, or refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.events.pending import Pending

Deliver = Callable[[Sequence[Request | EventSeen]], Awaitable[None]]


class AuditedByTest:
    """Fits ``kubeweft.sources.audit.webhook.Audited``."""

    def __init__(self, parser: Callable[[], AuditParser], deliver: Deliver) -> None:
        """``parser`` is asked for each batch."""
        self._parser = parser
        self._deliver = deliver
        self.pending = Pending()

    @property
    def parser(self) -> AuditParser:
        """The one to parse the next batch with."""
        return self._parser()

    async def deliver(self, observations: Sequence[Request | EventSeen], /) -> None:
        """As the test says."""
        await self._deliver(observations)
