"""What a search has to say of itself, as a trace of one span: viewers show nothing else.

It comes last, lies where the search has stopped looking, and is never there where as much was found as was asked for.
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
AGAIN: Final = "this trace told that a search had not looked at everything: search again"
NOBODY: Final = ObjectKey("", "", "", "", "")


def not_everything(looked_at: int, *, at: int) -> DisplayedTrace:
    """That a search has looked into the latest objects only, the last of which was active ``at`` (nanoseconds)."""
    words = f"only the {looked_at} objects that were active last have been looked into: {NARROW}"
    return _notice(words, {LEFT_SHOWN: looked_at, LEFT_HINT: NARROW}, at=at)


def opened_notice() -> DisplayedTrace:
    """What there is to see where somebody opens such a trace."""
    return _notice(AGAIN, {LEFT_HINT: AGAIN}, at=0)


def _notice(words: str, attributes: Attributes, *, at: int) -> DisplayedTrace:
    span_id = NOTICE_ID[3:11]
    told = DisplayedSpan(span_id, b"", MORE, words, at, at, attributes)
    span = Span(NOTICE_ID, span_id, b"", "object", NOBODY, words, at, at, {})
    root = Node(key=NOBODY, kind="", span=span, start=at, end=at, windows=())
    return DisplayedTrace(NOTICE_ID, Tree(root=root), iter((told,)))
