"""What end-to-end tests share about the control plane: where its audit events go, and waiting instead of sleeping."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class AuditTarget:
    """Where a control plane sends its audit events from its start on, and how to listen there.

    The certificate and its key are written when the control plane starts.
    """

    host: str
    port: int
    token: str
    certificate: Path
    key: Path

    @property
    def url(self) -> str:
        """The URL in the API server's webhook configuration: https, or no token would be sent."""
        return f"https://{self.host}:{self.port}/audit"


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = 30) -> None:
    """Look again and again until the condition holds; AssertionError naming `what` when the time is over."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        time.sleep(_POLL_SECONDS)
