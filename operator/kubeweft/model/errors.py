"""Errors as a decision table: who is at fault decides what happens next.

===============  =========================================  ==========================================
error            who, for example                           what the catcher does
===============  =========================================  ==========================================
``BadInput``     the sender: a body that is no JSON         answer clearly, count it, drop only that
``NotNow``       nobody: the store is full, a server busy   try again after ``delay`` seconds
``UserError``    the person at the terminal                 print the message, exit with status 2
===============  =========================================  ==========================================

Anything else is our own fault: it ends its task, and the supervisor reports it and starts the task again.
"""

from __future__ import annotations


class KubeweftError(Exception):
    """The root of the tree; never raised itself."""


class BadInput(KubeweftError):
    """What was sent cannot be understood; the message says what is wrong with it, and never quotes it."""


class NotNow(KubeweftError):
    """It could not be done now; trying again after ``delay`` seconds is right."""

    def __init__(self, message: str, *, delay: float) -> None:
        """``delay`` is in seconds."""
        super().__init__(message)
        self.delay = delay


class UserError(KubeweftError):
    """The command cannot do what was asked; the message says what to do instead."""
