"""Settings of the Python interpreter that suit a process which makes many short-lived values and few cycles."""

from __future__ import annotations

import gc
import sys

# Decoded objects die by reference count. At Python's own threshold of 700 the collector walks through them all the
# time, for nothing: measured, half of the CPU time of large objects.
YOUNGEST_GENERATION = 50_000
# Seconds. At Python's 5 ms the writer's thread waits for a busy event loop: a write of 2,000 spans takes 124 ms, not 30.
SWITCH_INTERVAL = 0.0005


def tune_interpreter() -> None:
    """Call it once, after imports: what has been loaded stays for good and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST_GENERATION, 20, 50)
    sys.setswitchinterval(SWITCH_INTERVAL)
