"""What a view gathered facts under, in words: what they have in common, and how much of what there is."""

from __future__ import annotations

from kubeweft.display.tree.made import (
    GROUP_AGENT,
    GROUP_BY,
    GROUP_CONFLICTS,
    GROUP_FACTS,
    GROUP_FAILURES,
    GROUP_OBJECTS,
    GROUP_UID,
    GROUP_VALUE,
    GROUP_WARNINGS,
    GROUP_WRITES,
)
from kubeweft.display.tree.trees import Fact, Life, Node
from kubeweft.display.words.lives import life_pieces
from kubeweft.display.words.pens import Pen, Piece, name_of
from kubeweft.display.words.people import who_pieces
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey


def group_pieces(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    by = fact.text(GROUP_BY)
    if by == "life":
        uid = fact.text(GROUP_UID)
        life = next((life for life in node.lives if life.uid == uid), Life(uid=uid))
        return life_pieces(life, fact.life + 1, fact.start, pen)
    if by == "object":
        what = [(f"{name_of(fact.span.key, node.key, pen)}", "bold cyan")]
    elif by == "actor":
        what = _actor(fact, pen)
    else:
        what = [(fact.text(GROUP_VALUE) or fact.span.name, "bold cyan")]
    return [*what, (f"  {_counts(fact, node, pen)}", "dim")]


def _actor(fact: Fact, pen: Pen) -> list[Piece]:
    user, value = fact.text(v.USER), fact.text(GROUP_VALUE)
    if not user:
        return [(value, "bold cyan")]
    cluster = value.partition(" ")[0] if value.startswith("[") else ""
    return [(f"{cluster} " if cluster else "", "magenta"), *_names(fact, user, pen)]


def _names(fact: Fact, user: str, pen: Pen) -> list[Piece]:
    return who_pieces(user, fact.text(v.IMPERSONATED_USER), fact.text(GROUP_AGENT), pen, style="bold cyan")


def _counts(fact: Fact, node: Node, pen: Pen) -> str:
    """``12 facts, 3 writes, 2 conflicts``; where they are of one other object, of which."""
    facts, objects = fact.number(GROUP_FACTS), fact.number(GROUP_OBJECTS)
    parts = [_count(facts, "fact")]
    key: ObjectKey = fact.span.key
    if objects > 1:
        parts[0] += f" of {objects} objects"
    elif objects == 1 and fact.text(GROUP_BY) != "object" and (key != node.key or node.key in pen.shared):
        parts[0] += f" of {name_of(key, node.key, pen)}"
    for name, what in (
        (GROUP_WRITES, "write"),
        (GROUP_CONFLICTS, "conflict"),
        (GROUP_FAILURES, "failure"),
        (GROUP_WARNINGS, "warning"),
    ):
        if number := fact.number(name):
            parts.append(_count(number, what))
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
