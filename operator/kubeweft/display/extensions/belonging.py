"""Which spans of a trace belong to what is shown: one trace may serve many requests, of many people.

A span belongs if it carries a wanted value, if it lies below one that does, or between one that does and the entry
into the same service. Pure, and the same whatever order spans come in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from kubeweft.display.extensions.wanting import BUILTIN_RULES, JOIN_MARK, Joined, JoinRule, joined_by
from kubeweft.model.foreign import ForeignSpan

SERVER: Final = 2  # OTLP's number of the kind of a span that is the entry into a service
Join = tuple[Joined, str]
Place = tuple[bytes, bytes]


class Belonging(NamedTuple):
    """The spans that belong, parents before children, and how many more there would be."""

    spans: list[ForeignSpan]
    more: int


def belonging(
    spans: Iterable[ForeignSpan],
    wanted: Collection[Join],
    *,
    rules: Sequence[JoinRule],
    most_each: int,
    most: int,
    strict: bool = False,
) -> Belonging:
    """The spans of these traces that belong to the ``wanted`` values; at most ``most_each`` of each, and ``most`` in all.

    ``strict`` leaves out whatever says that it belongs to something that is not wanted, and all below it: whoever asks
    may not be allowed to see that.
    """
    forest = _Forest(spans, frozenset(wanted), rules, strict=strict)
    kept: list[ForeignSpan] = []
    taken: dict[Join, int] = {}
    more = 0
    for join, root in forest.roots():
        room = min(most_each - taken.get(join, 0), most - len(kept))
        below = forest.below(root, join)
        kept += [forest.marked(span) for span in below[:room]]
        taken[join] = taken.get(join, 0) + min(room, len(below))
        more += len(below) - min(room, len(below))
    return Belonging(kept, more)


class _Forest:
    """All traces at hand."""

    def __init__(
        self,
        spans: Iterable[ForeignSpan],
        wanted: frozenset[Join],
        rules: Sequence[JoinRule],
        *,
        strict: bool,
    ) -> None:
        self._rules = rules
        self._wanted = wanted
        self._strict = strict
        self._spans: dict[Place, ForeignSpan] = {}
        for span in spans:
            self._spans.setdefault(_place(span), span)
        self._children: dict[Place, list[ForeignSpan]] = {}
        for span in sorted(self._spans.values(), key=_order):
            if span.parent_span_id:
                self._children.setdefault((span.trace_id, span.parent_span_id), []).append(span)
        self._reached: set[Place] = set()

    def roots(self) -> Iterator[tuple[Join, ForeignSpan]]:
        """Where what belongs to each value begins, in order of time; :meth:`below` is to be asked before the next.

        Requests come before Pods: what a Pod's program tells all day leaves them their room.
        """
        joined = [(span, join) for span in self._spans.values() if (join := self._join(span))]
        for span, join in sorted(joined, key=lambda one: (one[1][0] != "audit-id", _order(one[0]))):
            if _place(span) in self._reached or self._is_closed(span):
                continue
            entry = self._entry(span, join)
            yield join, span if _place(entry) in self._reached else entry

    def below(self, root: ForeignSpan, join: Join) -> list[ForeignSpan]:
        """The span and all below it but what belongs to another value, nearer ones first; none twice in all calls."""
        found, index = [root], 0
        self._reached.add(_place(root))
        while index < len(found):
            for child in self._children.get(_place(found[index]), ()):
                if _place(child) not in self._reached and self._may_follow(child, join):
                    self._reached.add(_place(child))
                    found.append(child)
            index += 1
        return found

    def marked(self, span: ForeignSpan) -> ForeignSpan:
        """The span, with a word about what it was joined by where that is not one of the usual attributes."""
        if any(join in self._wanted for join in joined_by(span, BUILTIN_RULES)):
            return span
        join = self._join(span)
        return span if join is None else _marked(span, f"{join[0]}={join[1]}")

    def _join(self, span: ForeignSpan) -> Join | None:
        """What is wanted and the span belongs to; the first rule that says so decides."""
        return next((join for join in joined_by(span, self._rules) if join in self._wanted), None)

    def _may_follow(self, child: ForeignSpan, join: Join) -> bool:
        return self._join(child) in (None, join) and not self._is_closed(child)

    def _entry(self, span: ForeignSpan, join: Join) -> ForeignSpan:
        """The span by which the work entered the service: up to there it was for the same request."""
        entry, seen = span, {span.span_id}
        while entry.kind != SERVER and entry.parent_span_id and entry.parent_span_id not in seen:
            above = self._spans.get((entry.trace_id, entry.parent_span_id))
            if above is None or above.service != span.service or self._is_of_another(above, join):
                break
            seen.add(above.span_id)
            entry = above
        return entry

    def _is_of_another(self, span: ForeignSpan, join: Join) -> bool:
        return any(told != join for told in joined_by(span, self._rules))

    def _is_closed(self, span: ForeignSpan) -> bool:
        return self._strict and any(told not in self._wanted for told in joined_by(span, self._rules))


def _place(span: ForeignSpan) -> Place:
    return span.trace_id, span.span_id


def _order(span: ForeignSpan) -> tuple[int, int, bytes, bytes]:
    return span.start, -span.end, span.trace_id, span.span_id


def _marked(span: ForeignSpan, mark: str) -> ForeignSpan:
    return structs.replace(span, attributes={**span.attributes, JOIN_MARK: mark})
