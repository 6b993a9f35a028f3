"""A share of whole trees: which ones is a matter of the root's key and the window alone.

So every process chooses the same trees, in any order, and a tree chosen at 10 % is chosen at 20 % as well. A tree that
turns out to hold a failed request or a Warning Event is kept: what had been held back of it is read from the store and
sent, then the rest as it comes.

What is remembered may be forgotten, by a restart for one. A tree that is met again and holds errors in the store is
sent from there on; whether the error was read before, when everything was sent, or is still to be read, shows when it
is read: only then is sent what is missing. The one price of forgetting is that some spans are sent twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from kubeweft.export.forest import Forest, Place, Root
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Sampling
from kubeweft.model.spans import Span

MOST_ROOTS: Final = 20_000
MOST_RECENT: Final = 50_000  # spans that are known to have been sent ahead of their turn

_PARTS: Final = 2**64


class Keeping:
    """What is decided of a tree. ``unsure`` are the errors it held when it was met: have they been read before?"""

    __slots__ = ("chosen", "kept", "unsure")

    def __init__(self, *, chosen: bool) -> None:
        self.chosen = chosen
        self.kept = chosen
        self.unsure: frozenset[bytes] = frozenset()


class Sampler:
    """Decides about spans in the order of the spool; for one thread at a time."""

    def __init__(self, sampling: Sampling, forest: Forest, *, most: int = MOST_ROOTS) -> None:
        """``most`` trees are remembered."""
        self._sampling = sampling
        self._forest = forest
        self._most = most
        self._trees: OrderedDict[Root, Keeping] = OrderedDict()
        self._sent: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()

    def admit(self, span: Span, *, before: Place | None = None) -> Iterator[Span]:
        """What is to be sent now that ``span`` is read: nothing, the span, or also what was held back until now.

        ``before`` is where the trace belonged until this span, if it told another place.
        """
        place = self._forest.place(span)
        tree = self._tree(place)
        if before is not None and before.root != place.root:
            yield from self._join(span, before, place, tree)
        if not tree.chosen and self._sampling.keep_errors and is_error(span):
            owed = not tree.kept or span.span_id in tree.unsure
            tree.kept, tree.unsure = True, frozenset()
            if owed:
                yield from self._not_sent(self._forest.tree(place.path))
        if not tree.kept:
            return
        if _id(span) in self._sent:
            del self._sent[_id(span)]  # its turn comes only once
            return
        if tree.unsure:
            self._remember(span)
        yield span

    def _tree(self, place: Place) -> Keeping:
        known = self._trees.get(place.root)
        if known is not None:
            self._trees.move_to_end(place.root)
            return known
        tree = self._trees[place.root] = Keeping(chosen=is_chosen(place.root, self._sampling.percent))
        if len(self._trees) > self._most:
            self._trees.popitem(last=False)
        if not tree.chosen and self._sampling.keep_errors:
            spans = (span for trace in self._forest.tree(place.path) for span in trace)
            tree.unsure = frozenset(span.span_id for span in spans if is_error(span))
            tree.kept = bool(tree.unsure)
        return tree

    def _join(self, span: Span, before: Place, place: Place, tree: Keeping) -> Iterator[Span]:
        """A link came late: what hung alone until now is part of a tree."""
        alone = self._trees.get(before.root) or Keeping(chosen=is_chosen(before.root, self._sampling.percent))
        if tree.kept and not alone.kept:
            yield from self._not_sent(self._forest.below(span.trace_id))
        elif alone.kept and not alone.chosen and not tree.kept:
            tree.kept = True
            yield from self._not_sent(self._forest.tree(place.path))

    def _not_sent(self, traces: Iterable[list[Span]]) -> Iterator[Span]:
        """What of these has not been sent by this process; their turn will come, and they must not be sent again."""
        for spans in traces:
            for span in spans:
                if _id(span) not in self._sent:
                    self._remember(span)
                    yield span

    def _remember(self, span: Span) -> None:
        self._sent[_id(span)] = None
        if len(self._sent) > MOST_RECENT:
            self._sent.popitem(last=False)


def is_chosen(root: Root, percent: int) -> bool:
    """Whether a tree belongs to the share; ``percent`` is from 0 to 100."""
    text = "\0".join([f"{len(part)}:{part}" for part in (*root.key, str(root.window))])
    number = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return number * 100 < percent * _PARTS


def is_error(span: Span) -> bool:
    """Whether a span is a reason to keep its tree: a failed request, or an Event of type Warning."""
    if span.source == "request":
        return bool(span.error)
    return span.source == "event" and span.attributes.get(v.EVENT_TYPE) == "Warning"


def _id(span: Span) -> tuple[bytes, bytes]:
    return span.trace_id, span.span_id
