"""How an exporter stands with its receiver: what its status, its metrics and its log say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from kubeweft.export.outcomes import Accepted, Rejected, RetryLater, Unauthenticated

Reason = Literal["Exporting", "Backpressure", "Unreachable", "AuthenticationFailed", "Rejected", "Pending"]
FAILURES_UNTIL_NOT_READY: Final = (
    2  # one failed attempt in a row is usual: a receiver restarts, a connection ages
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterState:
    """What is known now. The four counts grow since the start of the process; ``sent`` includes repeats.

    ``behind`` is how many spans wait, at most (spool positions may have holes). ``rejected`` are the spans that the
    receiver refused for good; ``retries`` the attempts that had to be repeated; ``dropped`` the spans over the cap.
    """

    ready: bool = False
    reason: Reason = "Pending"
    message: str = "nothing sent yet"
    position: int = 0
    behind: int = 0
    sent: int = 0
    rejected: int = 0
    retries: int = 0
    dropped: int = 0


class Standing:
    """Writes the state of one exporter; a log line only where the reason changes, or spans are lost."""

    def __init__(
        self, name: str, *, newest: Callable[[], int], changed: Callable[[ExporterState], None]
    ) -> None:
        self._name = name
        self._newest = newest
        self._changed = changed
        self._failures = 0
        self._refusal = ""
        self._partly_refused = False
        self.state = ExporterState()

    def moved(self, position: int) -> None:
        """All spans up to ``position`` are done with."""
        self._set(replace(self.state, position=position))

    def idle(self) -> None:
        """Nothing waits: an exporter that has not failed is ready before its first span."""
        if not self._failures and self.state.reason == "Pending":
            self._set(replace(self.state, ready=True, reason="Exporting", message="no spans yet"))
        else:
            self._set(self.state)  # only ``behind`` may have changed

    def accepted(self, outcome: Accepted, count: int) -> None:
        """The receiver took a batch of ``count`` spans, perhaps not all of them."""
        if self._failures >= FAILURES_UNTIL_NOT_READY:
            logger.info("exporter %s: the receiver accepts spans again", self._name)
        self._failures = 0
        if outcome.rejected:
            self._refused_partly(outcome)
        rejected = self.state.rejected + outcome.rejected
        message = (
            f"refused so far: {rejected}, the last because: {self._refusal}" if rejected else "all accepted"
        )
        self._set(
            replace(
                self.state,
                ready=True,
                reason="Exporting",
                message=message,
                sent=self.state.sent + count - outcome.rejected,
                rejected=rejected,
            )
        )

    def failed(self, outcome: RetryLater | Rejected | Unauthenticated, *, wait: float) -> None:
        """An attempt failed, and will be repeated after ``wait`` seconds."""
        self._failures += 1
        reason = _reason(outcome)
        if self._failures == FAILURES_UNTIL_NOT_READY or (
            self._failures > FAILURES_UNTIL_NOT_READY and reason != self.state.reason
        ):
            logger.warning("exporter %s: %s: %s; spans wait in the spool", self._name, reason, outcome.reason)
        self._set(
            replace(
                self.state,
                ready=self.state.ready and self._failures < FAILURES_UNTIL_NOT_READY,
                reason=reason,
                message=f"{outcome.reason} ({self._failures} in a row; again after {wait:.0f} s)",
                retries=self.state.retries + 1,
            )
        )

    def dropped(self, what: str, outcome: Rejected) -> None:
        """One span is given up because the receiver refuses it and nothing else."""
        logger.error("exporter %s: span %s is dropped: %s", self._name, what, outcome.reason)
        self._refusal = outcome.reason
        self._set(replace(self.state, rejected=self.state.rejected + 1))

    def capped(self, dropped: int) -> None:
        """So many more spans were over the cap, and have not been sent."""
        if dropped:
            self._set(replace(self.state, dropped=self.state.dropped + dropped))

    def _refused_partly(self, outcome: Accepted) -> None:
        self._refusal = outcome.message or "no reason given"
        if not self._partly_refused:
            self._partly_refused = True
            logger.warning(
                "exporter %s: the receiver took a batch without %d of its spans (%s); more of this is only counted",
                self._name,
                outcome.rejected,
                self._refusal,
            )

    def _set(self, state: ExporterState) -> None:
        state = replace(state, behind=max(self._newest() - state.position, 0))
        if state != self.state:
            self.state = state
            self._changed(state)


def _reason(outcome: RetryLater | Rejected | Unauthenticated) -> Reason:
    if isinstance(outcome, Unauthenticated):
        return "AuthenticationFailed"
    if isinstance(outcome, Rejected):
        return "Rejected"
    return "Backpressure" if outcome.busy else "Unreachable"
