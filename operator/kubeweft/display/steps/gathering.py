"""Spans that a view makes to gather facts under: what they have in common, and how much of what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from kubeweft.display.steps import nesting
from kubeweft.display.tree import made
from kubeweft.display.tree.changing import dissolved
from kubeweft.display.tree.trees import Fact, Node, facts_of, is_gathered, number_of, succeeded, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.identity import SPAN_ID_SIZE
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, Span

WRITES = frozenset({*nesting.WRITES, "deletecollection"})
CONFLICT = 409


def gather(
    node: Node,
    facts: Sequence[Fact],
    *,
    by: str,
    value: str,
    path: tuple[str, ...] = (),
    attributes: Attributes | None = None,
    life: int = 0,
) -> Fact:
    """One span over facts under ``node``; ``path`` tells it from groups of the same name elsewhere in the tree."""
    key = _key(node, facts)
    start = min([fact.start for fact in facts], default=node.start)
    span = Span(
        node.span.trace_id,
        _span_id(node.span.span_id, *path, by, value),
        node.span.span_id,
        "group",
        key,
        value,
        start,
        max([start, *[fact.end for fact in facts]]),
        {
            made.GROUP_BY: by,
            made.GROUP_VALUE: value,
            **(attributes or {}),
            **_counts(facts, of_writes=by != "source"),
        },
    )
    return Fact(span, span.start, span.end, tuple(facts), "group", life)


def _key(node: Node, facts: Iterable[Fact]) -> ObjectKey:
    keys = {fact.span.key for fact in facts}
    return keys.pop() if len(keys) == 1 else node.key


def _counts(facts: Sequence[Fact], *, of_writes: bool) -> Attributes:
    inside = [fact.span for fact in facts_of(tuple(facts)) if not is_gathered(fact)]
    counts = {
        made.GROUP_FACTS: len(inside),
        made.GROUP_OBJECTS: len({fact.span.key for fact in dissolved(facts) if fact.span.key.name}),
        made.GROUP_WRITES: sum(map(_is_write, inside)) + (_written_unasked(facts) if of_writes else 0),
        made.GROUP_CONFLICTS: sum(1 for span in inside if number_of(span, v.CODE) == CONFLICT),
        made.GROUP_FAILURES: sum(map(_failed_otherwise, inside)),
        made.GROUP_WARNINGS: sum(1 for span in inside if text_of(span, v.EVENT_TYPE) not in ("Normal", "")),
    }
    return {name: count for name, count in counts.items() if count}


def _is_write(span: Span) -> bool:
    return span.source == "request" and text_of(span, v.VERB) in WRITES and succeeded(span)


def _written_unasked(facts: Iterable[Fact]) -> int:
    """Changes of which no request is known, not even one on the whole collection: somebody wrote them all the same."""
    count = 0
    for fact in facts:
        if is_gathered(fact):
            count += _written_unasked(fact.children)
        elif fact.span.source == "change" and fact.text(v.CHANGE_TYPE) != "Sighting":
            count += not made.tag(fact.label, made.SHOWN_TAKEN)
    return count


def _failed_otherwise(span: Span) -> bool:
    if span.source == "foreign":
        return bool(span.error)
    code = number_of(span, v.CODE)
    return span.source == "request" and code != CONFLICT and (code >= 400 or bool(span.error))


def _span_id(*parts: bytes | str) -> bytes:
    texts = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in parts]
    return blake2b(
        b"".join([len(text).to_bytes(4, "big") + text for text in texts]), digest_size=SPAN_ID_SIZE
    ).digest()
