"""What a search has to say of itself, as a trace of one span: viewers show nothing else.

It comes last, lies where the search has stopped looking (or at the end of the time asked for), and is never there where
as much was found as was asked for.
"""

from __future__ import annotations

from typing import Final

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace
from kubeweft.display.answering.flattening import MORE
from kubeweft.display.tree.made import LEFT_HINT, LEFT_SHOWN
from kubeweft.display.tree.trees import Node, Tree
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, Span

# No stored trace has a count of windows, and no displayed one the view 0, so this is the ID of none of them.
NOTICE_ID: Final = b"\x4b\x00\xfe" + b"search-notice"
NARROW: Final = "narrow the search by the tags kind, namespace and name, or by its time (Lookback)"
AGAIN: Final = "this trace told why a search had not answered everything: search again"
NOBODY: Final = ObjectKey("", "", "", "", "")


def not_everything(looked_at: int, *, at: int) -> DisplayedTrace:
    """That a search has looked into the latest objects only, the last of which was active ``at`` (nanoseconds)."""
    was = "object that was active last has"
    were = f"{looked_at} objects that were active last have"
    words = f"only the {was if looked_at == 1 else were} been looked into: {NARROW}"
    return _notice(words, {LEFT_SHOWN: looked_at, LEFT_HINT: NARROW}, at=at)


def no_more_at_once(found: int, *, at: int) -> DisplayedTrace:
    """That there may be more than one search gives."""
    words = f"no search gives more than {found} traces: {NARROW}"
    return _notice(words, {LEFT_SHOWN: found, LEFT_HINT: NARROW}, at=at)


def explanation(message: str, *, at: int) -> DisplayedTrace:
    """Why a search could not be answered, or not to its end: viewers that get an error show nothing, or only its number."""
    return _notice(message, {LEFT_HINT: message}, at=at, error=message)


def opened_notice() -> DisplayedTrace:
    """What there is to see where somebody opens such a trace."""
    return _notice(AGAIN, {LEFT_HINT: AGAIN}, at=0)


def _notice(words: str, attributes: Attributes, *, at: int, error: str = "") -> DisplayedTrace:
    span_id = NOTICE_ID[3:11]
    told = DisplayedSpan(span_id, b"", MORE, words, at, at, attributes, (), error)
    span = Span(NOTICE_ID, span_id, b"", "object", NOBODY, words, at, at, {})
    root = Node(key=NOBODY, kind="", span=span, start=at, end=at, windows=())
    return DisplayedTrace(NOTICE_ID, Tree(root=root), iter((told,)))
