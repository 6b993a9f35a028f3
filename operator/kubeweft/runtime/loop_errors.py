"""What the event loop reports of its own troubles, without one that is none.

uvloop writes TLS's last words to a connection after its transport has been closed, and reports its own refusal as a
fatal error with a traceback (seen at every other stop of a busy process). Nobody waits for those bytes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

logger = logging.getLogger(__name__)

LAST_WORDS = "Fatal error on SSL protocol"
TOO_LATE = "the handler is closed"


def quieten(loop: asyncio.AbstractEventLoop) -> None:
    """Leave that one report out of the log; all others are made as always."""
    loop.set_exception_handler(_report)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if context.get("message") == LAST_WORDS and TOO_LATE in str(context.get("exception")):
        logger.debug("a TLS connection was closed before its last words")
        return
    loop.default_exception_handler(context)
