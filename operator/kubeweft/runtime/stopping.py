"""How work in a thread ends when nobody waits for its answer any more, or when its time is over.

A thread cannot be interrupted. So whoever starts work puts a :class:`Stop` into its context, and what reads or searches
asks it from time to time.
"""

from __future__ import annotations

import contextvars
import functools
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from kubeweft.model.errors import KubeweftError

Result = TypeVar("Result")


class Stopped(KubeweftError):
    """The work was given up, because nobody waits for it or its time is over."""


class Stop:
    """When to give up: when told so, or after a number of seconds. It also counts what has been read for the work."""

    def __init__(self, *, seconds: float) -> None:
        """The time begins now."""
        self.spans_read = 0
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._asked = False

    def ask(self) -> None:
        """Nobody waits any more; may be called from any thread."""
        self._asked = True

    def check(self) -> None:
        """Raise :class:`Stopped` if it is time to."""
        if self._asked:
            raise Stopped("nobody waits for this answer any more")
        if time.monotonic() > self._end:
            raise took_longer_than(self._seconds)


def took_longer_than(seconds: float) -> Stopped:
    """Why an answer was given up, in words for whoever asked."""
    return Stopped(
        f"the answer took longer than {seconds:g} seconds: narrow the search, or its range of time"
    )


_current: ContextVar[Stop | None] = ContextVar("kubeweft_stop", default=None)


def stoppable(work: Callable[[], Result], stop: Stop) -> Callable[[], Result]:
    """The same work, which asks ``stop`` whether to go on."""
    context = contextvars.copy_context()
    context.run(_current.set, stop)
    return functools.partial(context.run, work)


def check_stop() -> None:
    """Raise :class:`Stopped` if the work of this context is to end."""
    stop = _current.get()
    if stop is not None:
        stop.check()


def count_read(spans: int) -> None:
    """Note for the work of this context that so many more spans have been read."""
    stop = _current.get()
    if stop is not None:
        stop.spans_read += spans
