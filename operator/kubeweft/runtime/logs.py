"""Logging to standard error: constant messages with fields behind them, as text or as JSON lines.

Nothing is logged per observation: that is what metrics are for.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]

QUIETER = {"kopf": logging.WARNING, "kopf.objects": logging.WARNING, "aiohttp.access": logging.WARNING}


def configure_logging(*, level: str, form: LogFormat) -> None:
    """Set up the root logger once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quieter in QUIETER.items():
        logging.getLogger(name).setLevel(max(quieter, root.level))
