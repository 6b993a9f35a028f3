"""Observations in, durable spans out: the one way that leads from the sources to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from prometheus_client import Counter

from kubeweft.model.errors import NotNow
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from kubeweft.runtime.telemetry import tracer
from kubeweft.store.interfaces import Batch, Checkpoint
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

logger = logging.getLogger(__name__)

FRAME = ("object", "link")  # spans that are woven once, for whatever comes
MOST_OWED = 50_000

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
        self._owed: list[Span] = []

    async def offer(self, observations: Sequence[Observation]) -> None:
        """Write, or raise ``NotNow``: for senders that keep what is refused and come again (the audit webhook)."""
        batch = Batch(spans=self._weaver.weave(observations))
        try:
            await self._write(batch)
        except BaseException:
            self._owe(batch.spans)
            raise

    async def deliver(
        self, observations: Sequence[Observation], checkpoints: Sequence[Checkpoint] = ()
    ) -> None:
        """Write, however long it takes: for watches, which are held back by waiting here."""
        await self._insist(Batch(spans=self._weaver.weave(observations), checkpoints=checkpoints))

    def forget_cluster(self, cluster: str) -> None:
        """Nobody watches a cluster any more."""
        self._weaver.forget_cluster(cluster)

    async def kinds_learned(self) -> None:
        """Resolve what waited for kinds to become known."""
        await self._insist(Batch(spans=self._weaver.kinds_learned()))

    async def _insist(self, batch: Batch) -> None:
        try:
            while True:
                try:
                    return await self._write(batch)
                except NotNow as full:
                    WAITS.inc()
                    logger.warning("the store takes nothing now, watches wait: reason=%s", full)
                    await asyncio.sleep(full.delay)
        except BaseException:
            self._owe(batch.spans)
            raise

    async def _write(self, batch: Batch) -> None:
        owed, self._owed = self._owed, []
        spans = [*owed, *batch.spans] if owed else batch.spans
        if not spans and not batch.checkpoints:
            return
        try:
            with tracer.start_as_current_span("write to the store") as own:
                own.set_attribute("kubeweft.spans", len(spans))
                await self._writer.write(Batch(spans=spans, checkpoints=batch.checkpoints))
        except BaseException:
            self._owed += owed
            raise
        SPANS.inc(len(spans))

    def _owe(self, spans: Sequence[Span]) -> None:
        """What was not written is woven again when it is told again, but for object spans and links.

        Those go with whatever is written next, because other spans that rely on them may have been woven meanwhile.
        """
        self._owed += [span for span in spans if span.source in FRAME]
        if len(self._owed) > MOST_OWED:
            self._owed.clear()
            self._weaver.start_over()
