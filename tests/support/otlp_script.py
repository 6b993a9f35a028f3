"""How a recording OTLP receiver misbehaves: one rule per kind of trouble, the same for gRPC and HTTP."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import grpc

from otlp_recording import ReceivedSpan


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: a failure in both protocols' terms, or a success that refuses some spans.

    ``retry_after`` (seconds) travels as RetryInfo or Retry-After; ``delay`` is how long the answer takes.
    """

    code: grpc.StatusCode = grpc.StatusCode.OK
    status: int = 200
    message: str = ""
    retry_after: float | None = None
    rejected: int = 0
    delay: float = 0.0

    @property
    def accepts(self) -> bool:
        return self.code is grpc.StatusCode.OK


FINE = Answer()
UNAVAILABLE = Answer(grpc.StatusCode.UNAVAILABLE, 503, "shutting down")
INVALID = Answer(grpc.StatusCode.INVALID_ARGUMENT, 400, "a span is bad")
BROKEN = Answer(grpc.StatusCode.INTERNAL, 500, "nil pointer")
UNKNOWN_CALLER = Answer(grpc.StatusCode.UNAUTHENTICATED, 401, "who are you")
NO_SUCH_PLACE = Answer(grpc.StatusCode.UNIMPLEMENTED, 404, "no such service")
TOO_LARGE = Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, 413, "message larger than max")


def exhausted(seconds: float) -> Answer:
    """RESOURCE_EXHAUSTED with RetryInfo, or 429 with Retry-After (whole seconds there)."""
    return Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "too many spans", retry_after=seconds)


@dataclass
class Rule:
    """Gives ``answer`` to the next ``times`` requests that it concerns; None for ever.

    It concerns requests with one of ``span_ids`` (none given: all), and more than ``above`` spans.
    """

    answer: Answer
    times: int | None = None
    span_ids: Collection[bytes] = ()
    above: int = -1
    used: int = field(default=0, init=False)

    def answer_to(self, spans: Collection[ReceivedSpan]) -> Answer | None:
        """The answer, if this rule concerns the request."""
        if self.times is not None and self.used >= self.times:
            return None
        if len(spans) <= self.above:
            return None
        if self.span_ids and not any(span.span_id in self.span_ids for span in spans):
            return None
        self.used += 1
        return self.answer
