"""Facts in words for the terminal: one styled headline, and the lines under it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from rich.text import Text

from kubeweft.display.tree.made import SHOWN_REPLACED, changes_made, is_made_by, tag
from kubeweft.display.tree.trees import USUAL, Fact, Label, Life, Node
from kubeweft.display.words.headlines import (
    fact_pieces,
    object_pieces,
    style_of,
)
from kubeweft.display.words.lives import life_pieces, lifetime_pieces
from kubeweft.display.words.pens import Pen, Piece
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import SpanLink

__all__ = [
    "Pen",
    "Piece",
    "Wording",
    "is_detail",
    "word_fact",
    "word_life",
    "word_line",
    "word_object",
]

GONE = "the object is gone"
_ACCOUNT = re.compile(r"\bsystem:serviceaccount:([^:\s]+):([^:\s]+)")
MOVED = re.compile(r"status\.conditions\[[^\]]*\] moved \d+ → \d+")
CHANGED_FIELD = re.compile(r"((?:[^\s\[]|\[[^\]]*\])+) (.*?) → (.*)")


@dataclass(frozen=True, slots=True)
class Wording:
    """A fact as lines: what was absorbed from its children is in ``details``."""

    headline: Text
    details: tuple[Text, ...] = ()
    style: str = ""


def word_fact(fact: Fact, node: Node, pen: Pen, *, under: Fact | None = None) -> Wording:
    """The words for one fact that stands in the tree of ``node``, maybe ``under`` another."""
    headline = pen.write(*fact_pieces(fact, node, pen, under=under))
    return Wording(headline, tuple(_details(fact, pen)), style=style_of(fact))


def is_detail(child: Fact, fact: Fact) -> bool:
    """Whether a fact needs no line of its own: the change that a request made, or one of many alike."""
    if fact.folds in ("conflicts", "series"):
        return True
    return is_made_by(child, fact)


def word_object(node: Node, begin: int, pen: Pen) -> Text:
    """``Pod default/demo-1  created · deleted 10:05:11 after 5m11s``; ``begin`` is the time already written before it."""
    text = pen.write(*object_pieces(node, pen))
    if len(node.lives) > 1:
        text.append_text(pen.write((f"  {len(node.lives)} lives", "magenta")))
    elif node.lives:
        text.append_text(pen.write(*lifetime_pieces(node.lives[0], begin, pen)))
    return text


def word_life(life: Life, number: int, start: int, pen: Pen) -> Text:
    """``life 2 · uid 3f2a…  created · deleted 10:05:11``."""
    return pen.write(*life_pieces(life, number, start, pen))


def _details(fact: Fact, pen: Pen) -> list[Text]:
    source = fact.span.source
    if source == "change":
        return _change_details(fact, pen, ended=False)
    if source != "request":
        return []
    message = fact.text(v.FAILURE_MESSAGE) if style_of(fact) == "red" else ""
    details = [pen.write((message, "red"))] if message else []
    if write := tag(fact.label, SHOWN_REPLACED):
        write = _ACCOUNT.sub(r"sa \1/\2", write) if pen.brief else write
        details.append(
            pen.write((f"version {fact.text(v.REQUEST_BASE_VERSION)} had been replaced: {write}", "red"))
        )
    if fact.folds == "conflicts":
        details.extend(_conflicting(fact, pen))
    if fact.label is not USUAL:
        details.extend(_folded_change(fact.label, pen))
    for change in changes_made(fact):
        details.extend(_change_details(change, pen, ended=change.text(v.CHANGE_TYPE) == "Deleted"))
    return details


def _folded_change(label: Label, pen: Pen) -> list[Text]:
    """What the tags of a request tell, where a view has folded its change into it."""
    lines = [word_line(line, pen) for line in _worth_telling(tag(label, v.WORDS).splitlines())]
    return [*lines, pen.write((GONE, "red"))] if tag(label, v.CHANGE_TYPE) == "Deleted" else lines


def _conflicting(fact: Fact, pen: Pen) -> list[Text]:
    """Who failed how often, where it was more than one."""
    users = Counter([fact.text(v.USER), *(child.text(v.USER) for child in fact.children)])
    if len(users) < 2:
        return []
    return [pen.write((", ".join(f"{count} by {user}" for user, count in sorted(users.items())), "red"))]


def _change_details(change: Fact, pen: Pen, *, ended: bool) -> list[Text]:
    lines = [word_line(line, pen) for line in _worth_telling(change.text(v.WORDS).splitlines())]
    if ended:
        lines.append(pen.write((GONE, "red")))
    if change.text(v.PATCH_TRUNCATED).lower() == "true":
        lines.append(pen.write(("(the patch was too long to be kept)", "yellow")))
    lines.extend(_context(context, pen) for context in change.span.links)
    return lines


def _worth_telling(lines: list[str]) -> list[str]:
    """Lines without those of conditions that only changed places, which has no meaning, if anything else is told."""
    return [line for line in lines if not MOVED.fullmatch(line)] or lines


def _context(context: SpanLink, pen: Pen) -> Text:
    """A span of another tracing system that an annotation of the object names since this change."""
    annotation = str(context.attributes.get(v.LINK_ANNOTATION, ""))
    return pen.write(
        ("⇢ ", "dim"),
        (f"trace {context.trace_id.hex()} span {context.span_id.hex()}", "cyan"),
        (f" ({annotation})" if annotation else "", "dim"),
    )


def word_line(line: str, pen: Pen) -> Text:
    """One line of :mod:`kubeweft.model.words`: the field, what was (red), what is (green)."""
    sign, rest = line[:2], line[2:]
    if sign == "+ ":
        label, equals, value = rest.partition(" = ")
        return pen.write((sign, "green"), (label, "cyan"), (equals, "dim"), (value, "green"))
    if sign == "- ":
        label, was, value = rest.partition(" (was ")
        return pen.write((sign, "red"), (label, "cyan"), (was, "dim"), (value, "red"))
    changed = CHANGED_FIELD.fullmatch(line)
    if changed is None:
        return pen.write((line, "dim"))
    label, old, new = changed.groups()
    return pen.write((f"{label} ", "cyan"), (old, "red"), (" → ", "dim"), (new, "green"))
