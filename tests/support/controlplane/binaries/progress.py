"""How long work is shown: one line rewritten on a terminal, a line every 15 seconds elsewhere, so that a CI log stays short."""

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

Report = Callable[[str], None]
_PLAIN_SECONDS = 15.0


class Progress(Protocol):
    """`note` is a fact to keep on the screen, `tick` the present state of something that takes long."""

    def note(self, text: str) -> None: ...

    def tick(self, text: str) -> None: ...


class TerminalProgress:
    """Writes to a stream, stderr by default because stdout belongs to the result."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._rewrites = self._stream.isatty()
        self._open_line = False
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(text, file=self._stream, flush=True)
        self._last = time.monotonic()

    def tick(self, text: str) -> None:
        """Show the present state; on a plain stream at most every 15 s."""
        if self._rewrites:
            self._stream.write(f"\r\x1b[2K{text}")
            self._stream.flush()
            self._open_line = True
        elif time.monotonic() - self._last >= _PLAIN_SECONDS:
            self.note(text)

    def _clear(self) -> None:
        if self._open_line:
            self._stream.write("\r\x1b[2K")
            self._open_line = False


class CallbackProgress:
    """Hands every line to a caller that has its own screen."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        """Hand over a line at once."""
        self._report(text)
        self._last = time.monotonic()

    def tick(self, text: str) -> None:
        """Hand over the present state at most every 15 s."""
        if time.monotonic() - self._last >= _PLAIN_SECONDS:
            self.note(text)


def clock_text(seconds: float) -> str:
    """`1:05` for 65 seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
