"""Connections by TLS that end when we end them.

asyncio says farewell, as TLS asks for, and then waits up to 30 s for the other side's, with the socket open: an API
server under load, or gone, leaves as many sockets behind as there were watches. One's own farewell is all that TLS
demands of the side that ends a connection; this says it and waits for nothing.
"""

from __future__ import annotations

import contextlib
import ssl


class _EndedByUs(ssl.SSLObject):
    """Its end does not depend on the other side."""

    def unwrap(self) -> None:
        """Say farewell; that the other side has not done so yet is no reason to try again."""
        with contextlib.suppress(ssl.SSLWantReadError):
            super().unwrap()


def wait_for_no_farewell(context: ssl.SSLContext) -> None:
    """Of asyncio's connections with this context, none outlasts its end.

    Unless it has still something to send that the other side does not take: CPython's own event loop then waits for
    that, without a limit; uvloop, which Kubeweft runs with, does not.
    """
    context.sslobject_class = _EndedByUs
