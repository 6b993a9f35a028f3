"""Observations in, durable spans out: the one way that leads from the sources to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from prometheus_client import Counter

from kubeweft.model.errors import NotNow
from kubeweft.model.observations import Observation
from kubeweft.store.interfaces import Batch, Checkpoint
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

logger = logging.getLogger(__name__)

SPANS = Counter("kubeweft_spans_written_total", "Spans handed to the store, repeated ones included.")
WAITS = Counter(
    "kubeweft_store_full_waits_total", "Times that a watch had to wait because the store was full."
)


class Pipeline:
    """Weaves and writes. Everything is durable when a call returns."""

    def __init__(self, weaver: Weaver, writer: Writer) -> None:
        """Both belong to the pipeline from now on."""
        self._weaver = weaver
        self._writer = writer

    async def offer(self, observations: Sequence[Observation]) -> None:
        """Write, or raise ``NotNow``: for senders that keep what is refused and come again (the audit webhook)."""
        spans = self._weaver.weave(observations)
        try:
            await self._write(Batch(spans=spans))
        except BaseException:
            # Whatever comes next must not rely on object spans that were never written.
            self._weaver.start_over()
            raise

    async def deliver(
        self, observations: Sequence[Observation], checkpoints: Sequence[Checkpoint] = ()
    ) -> None:
        """Write, however long it takes: for watches, which are held back by waiting here."""
        await self._insist(Batch(spans=self._weaver.weave(observations), checkpoints=checkpoints))

    async def kinds_learned(self) -> None:
        """Resolve what waited for kinds to become known."""
        await self._insist(Batch(spans=self._weaver.kinds_learned()))

    async def _insist(self, batch: Batch) -> None:
        while True:
            try:
                return await self._write(batch)
            except NotNow as full:
                WAITS.inc()
                logger.warning("the store takes nothing now, watches wait: reason=%s", full)
                await asyncio.sleep(full.delay)

    async def _write(self, batch: Batch) -> None:
        if batch.spans or batch.checkpoints:
            await self._writer.write(batch)
            SPANS.inc(len(batch.spans))
