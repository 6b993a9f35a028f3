"""An Event in words, however often it repeated."""

from __future__ import annotations

from kubeweft.display.tree.made import true_start
from kubeweft.display.tree.trees import Fact, Node
from kubeweft.display.words.axis import clock, moment
from kubeweft.display.words.pens import Pen, Piece
from kubeweft.model import vocabulary as v
from kubeweft.model.timestamps import parse_timestamp


def event_pieces(fact: Fact, _: Node, pen: Pen) -> list[Piece]:
    last = last_state(fact)
    warning = is_warning(last)
    style = "yellow" if warning else "blue"
    states = (fact, *fact.children) if fact.folds == "series" else (fact,)
    count = max([state.number(v.EVENT_COUNT) for state in states])
    reporter, field_path = last.text(v.EVENT_REPORTER), last.text(v.EVENT_FIELD_PATH)
    message, skew = last.text(v.EVENT_MESSAGE), last.text(v.CLOCK_SKEW_SECONDS)
    return [
        (f"{last.text(v.EVENT_TYPE) or 'Event'} ", style),
        (last.text(v.EVENT_REASON) or fact.span.name, f"bold {style}"),
        (f" ×{count}" if count > 1 else "", f"bold {style}"),
        (_span_of_event(fact, last, pen) if count > 1 else "", "dim"),
        (f" {message}" if message else "", "yellow" if warning else ""),
        (f" {field_path}" if field_path else "", "dim"),
        (f" ({reporter})" if reporter else "", "dim"),
        (f" (its clock was {skew}s ahead)" if skew else "", "yellow"),
    ]


def last_state(event: Fact) -> Fact:
    return event.children[-1] if event.folds == "series" else event


def is_warning(event: Fact) -> bool:
    return event.text(v.EVENT_TYPE) not in ("Normal", "")


def _span_of_event(fact: Fact, last: Fact, pen: Pen) -> str:
    start, end = fact.span.start, fact.span.end
    if fact.folds == "series":
        start = true_start(fact)
        end = start + fact.end - fact.start
    first = parse_timestamp(last.text(v.EVENT_FIRST)) or start
    since = f" since {moment(first, pen.zone, near=start)}" if first < start else ""
    until = f" until {clock(end, pen.zone, whole_seconds=True)}" if end > start else ""
    return f"{since}{until}"
