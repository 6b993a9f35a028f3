"""A life of an object in words: when it began and ended, and which one it is of several."""

from __future__ import annotations

from kubeweft.display.tree.trees import Life
from kubeweft.display.words.axis import duration, moment
from kubeweft.display.words.pens import Pen, Piece


def life_pieces(life: Life, number: int, start: int, pen: Pen) -> list[Piece]:
    """``life 2 · uid 3f2a…  created · deleted 10:05:11``."""
    uid = f" · uid {life.uid}" if life.uid else ""
    return [(f"life {number}", "bold magenta"), (uid, "dim"), *lifetime_pieces(life, start, pen)]


def lifetime_pieces(life: Life, start: int, pen: Pen) -> list[Piece]:
    """``created · deleted 10:05:11 after 5m11s``; ``start`` is the time already written before it."""
    pieces: list[Piece] = []
    if life.created is not None:
        at = "" if life.created == start else f" {moment(life.created, pen.zone, near=start)}"
        pieces.append((f"created{at}", "green"))
    if life.deleted is not None:
        lived = f" after {duration(life.deleted - life.created)}" if life.created is not None else ""
        pieces.append((f"deleted {moment(life.deleted, pen.zone, near=start)}{lived}", "red"))
    joined = [part for piece in pieces for part in ((" · ", "dim"), piece)]
    return [("  ", ""), *joined[1:]] if joined else []
