"""How stored traces hang together: who is whose parent in a window, as far as link spans tell.

Only links that put objects under each other count: owner references that control, and links of rules with
``grouping: SameTrace``, which go first. A trace is read from the store when it is first met, so links that are written
but not yet read in the order of the spool are known as well; those that are written later are learned as they are
read. The parent that was known first stays while the trace is remembered. Cycles and chains without end do no harm:
in a cycle the object with the smallest key is the top, and beyond ``DEEPEST`` steps nothing is followed.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span

MOST_TRACES: Final = 20_000  # remembered at once
LARGEST_TREE: Final = 20_000  # traces that are looked at for one tree
DEEPEST: Final = 64
OWNER_RULE, CONTROLS, SAME_TRACE = "owner", "Controls", "SameTrace"

SpansOf = Callable[[Iterable[bytes]], list[Span]]


class Up(NamedTuple):
    """The parent of an object in its window; ``grouped`` if the object's spans go into the parent's trace."""

    trace: bytes
    key: ObjectKey
    grouped: bool


class Facts:
    """What is remembered of a trace. ``root`` is its object span; ``put_at`` the trace that this was moved to last."""

    __slots__ = ("put_at", "root", "up")

    def __init__(self, root: Span | None) -> None:
        self.root = root
        self.up: Up | None = None
        self.put_at = b""


class Root(NamedTuple):
    """The top of a tree in one window, which begins at ``window``."""

    key: ObjectKey
    window: int


class Place(NamedTuple):
    """Where a trace belongs: into the trace ``home``, in the tree ``root``; ``path`` leads up to it, itself first."""

    home: bytes
    root: Root
    path: tuple[bytes, ...]


class Forest:
    """The trees of all windows; for one thread at a time."""

    def __init__(self, spans_of: SpansOf, *, most: int = MOST_TRACES) -> None:
        """``spans_of`` reads whole traces from the store; ``most`` of them are remembered."""
        self._spans_of = spans_of
        self._most = most
        self._facts: OrderedDict[bytes, Facts] = OrderedDict()

    def facts(self, trace: bytes) -> Facts:
        """What is known of a trace."""
        known = self._facts.get(trace)
        if known is None:
            return self._load(trace, self._spans_of((trace,)))
        self._facts.move_to_end(trace)
        return known

    def learn(self, span: Span) -> Place | None:
        """Take up what a span tells; the place that its trace had, if it has another one now."""
        known = self._facts.get(span.trace_id)
        if known is None:
            return None
        if known.root is None:
            del self._facts[span.trace_id]  # it was asked for before it was written
            return None
        up = _up(span, known.root)
        if up is None or (known.up is not None and (known.up.grouped or not up.grouped)):
            return None
        before = self.place(span)
        known.up = up
        return before

    def place(self, span: Span) -> Place:
        """Where the trace of a span belongs."""
        facts = self.facts(span.trace_id)
        if facts.root is None:  # a trace without its object span stands alone
            window = int.from_bytes(span.trace_id[-8:])
            return Place(span.trace_id, Root(span.key, window), (span.trace_id,))
        return self._climb(span.trace_id, facts.root, facts.up)

    def home(self, trace: bytes) -> bytes:
        """The trace that the spans of a trace go into: itself, usually."""
        facts = self.facts(trace)
        if facts.root is None or facts.up is None or not facts.up.grouped:
            return trace
        return self._climb(trace, facts.root, facts.up).home

    def tree(self, path: Iterable[bytes]) -> Iterator[list[Span]]:
        """All spans of a tree, trace by trace: of those on a path to its top, and of all below them."""
        waiting: deque[tuple[bytes, bytes]] = deque((trace, b"") for trace in reversed(tuple(path)))
        return self._walk(waiting)

    def below(self, trace: bytes) -> Iterator[list[Span]]:
        """All spans of a trace and of those below it, trace by trace."""
        return self._walk(deque([(trace, b"")]))

    def _walk(self, waiting: deque[tuple[bytes, bytes]]) -> Iterator[list[Span]]:
        seen = {trace for trace, _ in waiting}
        while waiting:
            trace, above = waiting.popleft()
            spans = self._spans_of((trace,))
            facts = self._facts.get(trace) or self._load(trace, spans)
            if above and (facts.up is None or facts.up.trace != above):
                continue  # it hangs somewhere else
            if facts.root is not None:
                for child in _children(spans, facts.root):
                    if child not in seen and len(seen) < LARGEST_TREE:
                        seen.add(child)
                        waiting.append((child, trace))
            yield spans

    def _climb(self, trace: bytes, root: Span, up: Up | None) -> Place:
        steps = [Up(trace, root.key, grouped=True)]  # ``grouped``: how it was reached
        places = {trace: 0}
        while up is not None and up.trace not in places and len(steps) <= DEEPEST:
            places[up.trace] = len(steps)
            steps.append(up)
            up = self.facts(up.trace).up
        window, path = root.start, tuple(step.trace for step in steps)
        if up is None:
            return Place(_end_of_group(steps).trace, Root(steps[-1].key, window), path)
        if up.trace not in places:  # too deep
            return Place(trace, Root(steps[-1].key, window), path)
        cycle = steps[places[up.trace] :]
        top = min(cycle, key=lambda step: step.key)
        around = up.grouped and all(step.grouped for step in steps[1:])
        return Place(top.trace if around else _end_of_group(steps).trace, Root(top.key, window), path)

    def _load(self, trace: bytes, spans: list[Span]) -> Facts:
        facts = Facts(next((span for span in spans if span.source == "object"), None))
        if facts.root is not None:
            ups = [up for span in spans if (up := _up(span, facts.root)) is not None]
            facts.up = min(ups, key=lambda up: (not up.grouped, up.key), default=None)
        self._facts[trace] = facts
        if len(self._facts) > self._most:
            self._facts.popitem(last=False)
        return facts


def is_grouping(span: Span) -> bool:
    """Whether a span says that one object goes into the trace of another."""
    return span.source == "link" and span.attributes.get(v.LINK_GROUPING) == SAME_TRACE


def _end_of_group(steps: list[Up]) -> Up:
    """The last one that is reached over nothing but groups."""
    top = steps[0]
    for step in steps[1:]:
        if not step.grouped:
            break
        top = step
    return top


def _up(span: Span, root: Span) -> Up | None:
    if span.source != "link" or span.attributes.get(v.LINK_ROLE) != "Parent" or not _is_stem(span):
        return None
    key = _target(span)
    return Up(_trace_of(key, root), key, is_grouping(span))


def _children(spans: list[Span], root: Span) -> Iterator[bytes]:
    for span in spans:
        if span.source == "link" and span.attributes.get(v.LINK_ROLE) == "Child" and _is_stem(span):
            yield _trace_of(_target(span), root)


def _is_stem(span: Span) -> bool:
    """Whether a link puts one object under the other."""
    told = span.attributes
    return is_grouping(span) or (told.get(v.LINK_RULE) == OWNER_RULE and told.get(v.LINK_CLASS) == CONTROLS)


def _target(span: Span) -> ObjectKey:
    told = span.attributes
    return ObjectKey(
        str(told.get(v.LINK_CLUSTER, "")),
        str(told.get(v.LINK_GROUP, "")),
        str(told.get(v.LINK_RESOURCE, "")),
        str(told.get(v.LINK_NAMESPACE, "")),
        str(told.get(v.LINK_NAME, "")),
    )


def _trace_of(key: ObjectKey, root: Span) -> bytes:
    """The trace of another object in the window of a trace."""
    return identity.trace_id(key, root.start, root.end - root.start)
