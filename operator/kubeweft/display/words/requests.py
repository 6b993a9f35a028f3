"""A request in words: what was asked, by whom, and how it was answered."""

from __future__ import annotations

from kubeweft.display.tree.trees import Fact, Node
from kubeweft.display.words.axis import duration
from kubeweft.display.words.pens import Pen, Piece, about_a_type
from kubeweft.display.words.people import program, who_pieces
from kubeweft.model import vocabulary as v


def request_pieces(fact: Fact, node: Node, pen: Pen, *, by: list[Piece] | None = None) -> list[Piece]:
    """``update status by jane (kubectl) → 200 12ms``; ``by`` whom, where that is to be told otherwise."""
    code = fact.number(v.CODE)
    has_failed = failed(fact)
    reason = fact.text(v.FAILURE_REASON) if has_failed else ""
    colour = "red" if has_failed else "green"
    pieces = [
        (fact.span.name, "bold red" if has_failed else "bold"),
        (" (dry run)" if fact.text(v.DRY_RUN).lower() == "true" else "", "yellow"),
        *about_a_type(fact, node, pen),
        *(_by(fact, pen) if by is None else by),
        (" and others" if _is_of_several(fact) else "", ""),
        (f" → {code or fact.text(v.AUDIT_STAGE) or 'no answer'}", colour),
        (f" {reason}" if reason else "", colour),
    ]
    if fact.folds == "conflicts":
        pieces.append((f" ×{len(fact.children) + 1}", "bold red"))
        pieces.append((f" against version {fact.text(v.REQUEST_BASE_VERSION)}", "red"))
    pieces.append((took_itself(fact), "dim"))
    return pieces


def _is_of_several(fact: Fact) -> bool:
    users = fact.text(v.USER), fact.text(v.IMPERSONATED_USER)
    return fact.folds == "conflicts" and any(
        (child.text(v.USER), child.text(v.IMPERSONATED_USER)) != users for child in fact.children
    )


def failed(fact: Fact) -> bool:
    """Whether a request was refused or broken off."""
    return fact.number(v.CODE) >= 400 or bool(fact.span.error)


def took_itself(fact: Fact) -> str:
    """How long it took itself: a view may show it for as long as what it caused."""
    span = fact.span
    took = fact.end - fact.start if fact.folds else span.end - span.start
    return f" {duration(took)}" if took > 0 else ""


def _by(fact: Fact, pen: Pen) -> list[Piece]:
    user, agent = fact.text(v.USER) or "somebody", program(fact.text(v.USER_AGENT))
    return [(" by ", "dim"), *who_pieces(user, fact.text(v.IMPERSONATED_USER), agent, pen)]
