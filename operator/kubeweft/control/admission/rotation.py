"""Which certificate serves now, and which comes next: API servers trust the new one before anybody sees it.

Three states: one certificate; two, of which the old serves while API servers come to know the new; then one again.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Sequence

from kubeweft.control.admission.certificates import Certificate, make_certificate
from kubeweft.model.windows import NANOSECONDS

LIFETIME = 7 * 86_400 * NANOSECONDS
LONGEST_OVERLAP = 10 * NANOSECONDS  # API servers see a change of the configuration within a second or so


class Rotation:
    """One server's certificates. ``context`` is the one to listen with; it stays the same."""

    def __init__(self, names: Sequence[str], *, lifetime: int = LIFETIME, now: Callable[[], int]) -> None:
        """``lifetime`` is in nanoseconds, as is what ``now`` gives."""
        self._names = names
        self._lifetime = lifetime
        self._now = now
        self._overlap = min(LONGEST_OVERLAP, lifetime // 10)
        self._current = self._make()
        self._next: Certificate | None = None
        self._known_since = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._current.load_into(self.context)

    @property
    def authorities(self) -> str:
        """All that API servers have to trust now, as ``caBundle``."""
        trusted = [c.authority for c in (self._current, self._next) if c is not None]
        return base64.b64encode(b"".join(trusted)).decode()

    def advance(self) -> bool:
        """Go on to what the time has come for; whether :attr:`authorities` has changed by that."""
        now = self._now()
        if self._next is None:
            if now < self._current.renew_at:
                return False
            self._next, self._known_since = self._make(), 0
            return True
        if not self._known_since or now < self._known_since + self._overlap:
            return False
        self._next.load_into(self.context)
        self._current, self._next = self._next, None
        return True

    def published(self) -> None:
        """The API server has just confirmed that it knows :attr:`authorities`."""
        if self._next is not None and not self._known_since:
            self._known_since = self._now()

    def due_in(self) -> float:
        """Seconds until there is something to do, not counting what waits for :meth:`published`."""
        if self._next is None:
            due = self._current.renew_at
        elif self._known_since:
            due = self._known_since + self._overlap
        else:
            return float("inf")
        return max(0.0, (due - self._now()) / NANOSECONDS)

    def _make(self) -> Certificate:
        return make_certificate(self._names, lifetime=self._lifetime, now=self._now())
