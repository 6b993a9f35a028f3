"""The command line: one file per command, each of which only reads its options and calls ``app``."""

from __future__ import annotations

from kubeweft.cli.root import main

__all__ = ["main"]
