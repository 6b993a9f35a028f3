"""What becomes of one export of spans, whichever way it came: decoded, cleaned, durable, and only then acknowledged.

What comes is bounded: so many exports at once and so many bytes of them; whoever does not fit, and whoever the store has
no room for, is told to come again (``NotNow``). Decoding takes a thread, so that large exports keep nobody waiting.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kubeweft.model.errors import BadInput, NotNow
from kubeweft.model.foreign import ForeignSpan
from kubeweft.otlp.foreign import Hiding, Received, foreign_spans, foreign_spans_of_json
from kubeweft.sources.audit.admission import MEBIBYTE, Admission
from kubeweft.sources.audit.admission import Limits as Bounds
from kubeweft.sources.otlp import metrics
from kubeweft.store.interfaces import Batch, ForeignPart

Form = Literal["protobuf", "json"]
SLOW: Final = 5.0  # seconds to come back after, where the store has taken too long
SLICE: Final = 2_000  # spans of one batch: larger ones would make the audit log wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of the endpoint. ``unpacked_bytes`` is for one export whose body was compressed."""

    body_bytes: int = 8 * MEBIBYTE
    unpacked_bytes: int = 32 * MEBIBYTE
    bytes_in_flight: int = 64 * MEBIBYTE
    exports_in_flight: int = 16
    answer_seconds: float = 8.0  # senders give up after 10


class Intake:
    """Takes exports; ``write`` makes a batch durable or raises ``NotNow``."""

    def __init__(
        self,
        write: Callable[[Batch], Awaitable[object]],
        *,
        hiding: Callable[[], Hiding],
        joins: Sequence[str],
        now: Callable[[], int],
        is_open: Callable[[], bool],
        limits: Limits | None = None,
    ) -> None:
        """``hiding`` gives the redaction in force, ``joins`` are attributes by which traces are found, ``now`` nanoseconds.

        ``is_open`` says whether policies are known: before, nobody can say what has to be hidden.
        """
        self._write = write
        self._hiding = hiding
        self._joins = tuple(joins)
        self._now = now
        self.limits = limits or Limits()
        self._is_open = is_open
        self.admission = Admission(
            Bounds(
                body_bytes=self.limits.body_bytes,
                bytes_in_flight=self.limits.bytes_in_flight,
                bodies_in_flight=self.limits.exports_in_flight,
            )
        )

    async def take(self, body: bytes, form: Form) -> Received:
        """Everything that was not refused is durable when this returns.

        Raises ``BadInput`` where the body is no export, and ``NotNow`` where it has to come again.
        """
        if not self._is_open():
            raise NotNow("the policies are not known yet", delay=SLOW)
        with self.admission.body(len(body)):
            metrics.BYTES_IN_FLIGHT.set(self.admission.bytes)
            try:
                async with asyncio.timeout(self.limits.answer_seconds):
                    received = await asyncio.to_thread(decoded, body, form, self._hiding())
                    await self._store(received.spans)
            except TimeoutError:
                raise NotNow("the spans could not be stored in time", delay=SLOW) from None
        metrics.BYTES_IN_FLIGHT.set(self.admission.bytes)
        metrics.SPANS.inc(len(received.spans))
        for reason, count in received.refused.items():
            metrics.REFUSED.labels(reason=reason).inc(count)
        return received

    async def _store(self, spans: Sequence[ForeignSpan]) -> None:
        parts = parts_of(spans, joins=self._joins, now=self._now())
        batch: list[ForeignPart] = []
        size = 0
        for part in parts:
            batch.append(part)
            size += len(part.spans)
            if size >= SLICE:
                await self._write(Batch(foreign=batch))
                batch, size = [], 0
        if batch:
            await self._write(Batch(foreign=batch))


def parts_of(spans: Iterable[ForeignSpan], *, joins: Sequence[str], now: int) -> list[ForeignPart]:
    """The spans by trace, with what each trace is found by."""
    traces: dict[bytes, list[ForeignSpan]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    return [ForeignPart(trace_id, some, _joins_of(some, joins), now) for trace_id, some in traces.items()]


def _joins_of(spans: Iterable[ForeignSpan], names: Sequence[str]) -> list[tuple[str, str, int]]:
    found: dict[tuple[str, str], int] = {}
    for span in spans:
        for name in names:
            value = span.attributes.get(name) or span.resource.get(name)
            if value:
                join = (name, str(value))
                found[join] = min(span.start, found.get(join, span.start))
    return [(name, value, start) for (name, value), start in found.items()]


def decoded(body: bytes, form: Form, hiding: Hiding) -> Received:
    """The spans of an ``ExportTraceServiceRequest``; raises ``BadInput`` where it is none."""
    if form == "protobuf":
        request = ExportTraceServiceRequest()
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise BadInput("the body is no ExportTraceServiceRequest") from None
        return foreign_spans(request.resource_spans, hiding=hiding)
    try:
        document: Any = orjson.loads(body)
        return foreign_spans_of_json(document.get("resourceSpans") or (), hiding=hiding)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput("the body is no ExportTraceServiceRequest in JSON") from None


def unpacked(body: bytes, *, most: int) -> bytes:
    """A gzipped body as it was; raises ``BadInput`` where it is none, or larger than ``most`` bytes."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(body, most + 1)
    except zlib.error:
        raise BadInput("the body is no gzip") from None
    if len(content) > most:
        raise BadInput(
            f"the body is larger than {most} bytes when it is unpacked: export fewer spans at once"
        )
    if not unpacking.eof:
        raise BadInput("the gzip is broken off")
    return content


def refusal_of(received: Received) -> str:
    """What was refused, in words for the sender's log; empty where nothing was."""
    told = [f"{count} by {reason}" for reason, count in sorted(received.refused.items())]
    return f"spans refused: {', '.join(told)}" if told else ""
