"""A search that cannot be answered is answered by a trace of one span that says why.

Jaeger turns every error of a storage into an "HTTP 500" without a way out, and an empty result looks as if nothing had
happened.
"""

from __future__ import annotations

from typing import Final

from kubeweft.display.answering.contract import DisplayedSpan
from kubeweft.display.serving.storage_v2.chunks import trace_chunks
from kubeweft.display.tree.made import LEFT_HINT

# No stored trace has a count of windows, and no displayed one the view 0, so this is the ID of none of them.
TRACE_ID: Final = b"\x4b\x00\xff" + b"explanation"[:13].ljust(13, b"\0")
SERVICE: Final = "kubeweft"
AGAIN: Final = "this trace told why a search could not be answered: search again"


def explanation(message: str, *, at: int) -> bytes:
    """A message with the one trace; ``at`` is where it lies on the axis of time (nanoseconds)."""
    span = DisplayedSpan(TRACE_ID[3:11], b"", SERVICE, message, at, at, {LEFT_HINT: message}, (), message)
    return b"".join(trace_chunks(TRACE_ID, [span]))
