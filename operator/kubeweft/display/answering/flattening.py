"""A tree as the spans that a trace viewer draws: objects, what happened to them, their links, and what was left out.

Spans come parents first, so that whoever has enough may stop anywhere without leaving orphans. Everything is said by
spans, because viewers show nothing else: the lives of a name, the objects beside the tree, and each limit that was
reached. IDs are the stored ones where they are unique, else hashes of where the span stands; they never change
between two readings of the same store. Of objects only the one that was asked for has the stored one, so that links
to other objects, which tell it, lead out of the trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from kubeweft.display.answering.addressing import Addresses
from kubeweft.display.answering.contract import DisplayedSpan
from kubeweft.display.answering.finer_times import with_finer_times
from kubeweft.display.tree.made import LEFT_HINT, LEFT_MORE, LEFT_SHOWN, has_lives_apart
from kubeweft.display.tree.trees import (
    USUAL,
    Fact,
    Label,
    MergedWindow,
    Node,
    Tree,
    Truncation,
    facts_of,
    link_target,
    shown_nodes,
)
from kubeweft.display.words.headlines import headline, object_headline
from kubeweft.display.words.left_out_wording import hint_in_viewers, words_of
from kubeweft.display.words.lives import life_pieces
from kubeweft.display.words.pens import Pen, pen_of
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey, group_resource
from kubeweft.model.spans import Attributes, Span, SpanLink

BESIDE = "linked"  # the service of the span over the objects beside the tree
MORE = "more"  # the service of spans that tell what was left out
LAST_TIME = 2**63 - 2
UNBOUNDED = 2**31
LONGEST_OPERATION = 240  # characters; the whole of a message is in the attributes


def flatten(
    tree: Tree, addresses: Addresses, *, stored: bytes = b"", most: int = UNBOUNDED
) -> Iterator[DisplayedSpan]:
    """The spans of a tree at the finest times known, parents first; what is beyond ``most`` is one span that says how many
    those are.

    ``stored`` is the stored trace that the ID of this one names (none: the first); links to it tell its object span.
    """
    spans_at_all = count_spans(tree) if most < UNBOUNDED else 0
    tree = with_finer_times(tree)
    writing, root, linked = _writing(tree, addresses, stored), [tree.root], [*tree.linked]
    del tree  # a viewer may read slowly: what has been written is not kept for it
    for number, span in enumerate(writing.spans(root, linked)):
        if number >= most:
            yield writing.cut(shown=most, more=spans_at_all - most)
            return
        yield span


def count_spans(tree: Tree) -> int:
    """How many spans :func:`flatten` makes of a tree, without making them."""
    return (
        sum(
            1
            + len(node.links)
            + sum(1 for _ in facts_of(node.facts))
            + (len(node.lives) if has_lives_apart(node) else 0)
            for node in shown_nodes(tree)
        )
        + len(tree.truncated)
        + bool(tree.linked)
    )


def identifying(key: ObjectKey) -> Attributes:
    """Whose a span is, as text: what every search of every viewer can ask for."""
    named = {
        v.CLUSTER: key.cluster,
        v.GROUP: key.group,
        v.RESOURCE: key.resource,
        v.NAMESPACE: key.namespace,
        v.NAME: key.name,
    }
    return {name: value for name, value in named.items() if value}


@dataclass(slots=True)
class _Writing:
    """One tree while it is written. Of its objects it keeps none: those are let go as they are written."""

    addresses: Addresses
    stored: bytes
    root: ObjectKey
    asked: ObjectKey
    times: tuple[int, int]
    kinds: Mapping[tuple[str, str], str]
    pen: Pen
    cuts: Mapping[str, list[Truncation]]
    last_windows: Mapping[ObjectKey, MergedWindow]
    used: set[bytes] = field(default_factory=set)
    identities: dict[ObjectKey, Attributes] = field(default_factory=dict)
    root_id: bytes = b""

    def spans(self, root: list[Node], linked: list[Node]) -> Iterator[DisplayedSpan]:
        """The spans of the root and of the objects beside the tree; both lists are empty afterwards."""
        times = min([n.start for n in linked], default=0), max([n.end for n in linked], default=0)
        yield from self._node(root.pop(), b"", self.times)
        if linked:
            beside = self._made(
                BESIDE,
                _count(len(linked), "linked object"),
                under=self.root_id,
                times=times,
                attributes=self._identity(self.root),
            )
            yield beside
            linked.reverse()
            while linked:
                yield from self._node(linked.pop(), beside.span_id)

    def cut(self, *, shown: int, more: int) -> DisplayedSpan:
        """The span that says that the viewer did not get everything."""
        return self._made(
            MORE,
            f"{more} more spans: open this trace to see all of them",
            under=self.root_id,
            times=(self.times[0], self.times[0]),
            attributes={**self._identity(self.root), LEFT_SHOWN: shown, LEFT_MORE: more},
        )

    def _node(
        self, node: Node, parent: bytes, times: tuple[int, int] | None = None
    ) -> Iterator[DisplayedSpan]:
        span = self._object(node, parent, times or (node.start, node.end))
        yield span
        for link in node.links:
            yield self._link(link, node, span.span_id)
        for cut in self.cuts.get(str(node.key), ()) if self.cuts else ():
            yield self._truncation(cut, node, span)
        if has_lives_apart(node):
            yield from self._lives(node, span)
        else:
            yield from self._facts(node.facts, node, span.span_id)
        children = [*reversed(node.children)]
        del node
        while children:
            yield from self._node(children.pop(), span.span_id)

    def _object(self, node: Node, parent: bytes, times: tuple[int, int]) -> DisplayedSpan:
        attributes: Attributes = {**self._identity(node.key), **node.span.attributes}
        if node.kind:
            attributes[v.KIND] = node.kind
        uids = [life.uid for life in node.lives if life.uid]
        if len(uids) == 1:
            attributes[v.UID] = uids[0]
        span_id, links = self._own_trace(node.span)
        kind = node.kind or group_resource(node.key.group, node.key.resource)
        span = self._settled(
            DisplayedSpan(
                span_id,
                parent,
                node.label.service or kind,
                node.label.operation
                or _without_kind(object_headline(node, self.pen), "" if node.label.service else kind),
                *times,
                _with_tags(attributes, node.label),
                links,
            )
        )
        self.root_id = self.root_id or span.span_id
        return span

    def _own_trace(self, span: Span) -> tuple[bytes, tuple[SpanLink, ...]]:
        """The ID that an object has in this trace, and the link to the trace that is about it.

        Viewers look for the end of a link in the same trace first, so the ID that the link tells must not be there.
        """
        if span.key == self.asked:
            return identity.object_span_id(self.stored) if self.stored else span.span_id, ()
        window = self.last_windows.get(span.key)
        return _hash(b"object", span.span_id), (self.addresses.link(window),) if window else ()

    def _lives(self, node: Node, owner: DisplayedSpan) -> Iterator[DisplayedSpan]:
        for number, life in enumerate(node.lives):
            facts = tuple([fact for fact in node.facts if fact.life == number])
            start = min([fact.start for fact in facts], default=node.start)
            end = max([fact.end for fact in facts], default=start)
            attributes = {**self._identity(node.key), v.UID: life.uid}
            words = self.pen.plain(life_pieces(life, number + 1, start, self.pen))
            lived = self._made(
                owner.service, words, under=owner.span_id, times=(start, end), attributes=attributes
            )
            yield lived
            yield from self._facts(facts, node, lived.span_id)

    def _facts(
        self, facts: Iterable[Fact], node: Node, parent: bytes, under: Fact | None = None
    ) -> Iterator[DisplayedSpan]:
        for fact in facts:
            span = self._fact(fact, node, parent, under)
            yield span
            if fact.children:
                yield from self._facts(fact.children, node, span.span_id, fact)

    def _fact(self, fact: Fact, node: Node, parent: bytes, under: Fact | None) -> DisplayedSpan:
        stored, label = fact.span, fact.label
        if stored.source == "link":
            return self._link(fact, node, parent)
        span_id, links = stored.span_id, stored.links
        if stored.source == "object":
            span_id, links = self._own_trace(stored)
        return self._settled(
            DisplayedSpan(
                span_id,
                parent,
                label.service or self._usual_service(stored),
                label.operation or self._headline(fact, node, under),
                fact.start,
                fact.end,
                _with_tags({**self._identity(stored.key), **stored.attributes}, label),
                links,
                stored.error,
            )
        )

    def _headline(self, fact: Fact, node: Node, under: Fact | None) -> str:
        """What happened; of a change also what changed, as far as that has room in a line."""
        words = headline(fact, node, self.pen, under=under)
        if fact.span.source == "object" and not fact.label.service:
            return _without_kind(words, self._usual_service(fact.span))
        if fact.span.source == "foreign" and not fact.label.service:
            return words.removeprefix(f"{self._usual_service(fact.span)}: ")
        if fact.span.source != "change":
            return words
        first, *others = fact.text(v.WORDS).splitlines() or [""]
        more = f" (+{len(others)})" if others else ""
        return f"{words}: {self.pen.clean(first)}{more}" if first else words

    def _link(self, link: Fact, node: Node, parent: bytes) -> DisplayedSpan:
        """A link leads to the other object's own trace: by its last window shown, else by that in which it was made."""
        attributes = {**self._identity(link.span.key), **link.span.attributes}
        if link.rules:
            attributes[v.LINK_RULE] = ", ".join(link.rules)
        return self._settled(
            DisplayedSpan(
                link.span.span_id,
                parent,
                link.label.service or "link",
                link.label.operation or headline(link, node, self.pen),
                link.start,
                link.end,
                _with_tags(attributes, link.label),
                self._links(link.span, node),
            )
        )

    def _links(self, link: Span, node: Node) -> tuple[SpanLink, ...]:
        target = link_target(link)
        if target == self.asked:  # shown here: Jaeger's UI hangs on links to ancestors
            return ()
        last = self.last_windows.get(target)
        if last is not None:
            return (self.addresses.link(last),)
        window = _window_of(node, link)
        return (self.addresses.link_to(target, window),) if window else link.links

    def _truncation(self, cut: Truncation, node: Node, owner: DisplayedSpan) -> DisplayedSpan:
        told: Attributes = {
            LEFT_SHOWN: cut.shown,
            LEFT_MORE: cut.more,
            LEFT_HINT: hint_in_viewers(cut.hint),
        }
        attributes = {**self._identity(node.key), **told}
        return self._made(
            MORE, words_of(cut), under=owner.span_id, times=(owner.start, owner.start), attributes=attributes
        )

    def _made(
        self, service: str, operation: str, *, under: bytes, times: tuple[int, int], attributes: Attributes
    ) -> DisplayedSpan:
        """A span that is stored nowhere; its ID is made of its place and its words."""
        span_id = _hash(under, service.encode(), operation.encode("utf-8", "surrogatepass"))
        return self._settled(DisplayedSpan(span_id, under, service, operation, *times, attributes))

    def _settled(self, span: DisplayedSpan) -> DisplayedSpan:
        """With an ID that no other has, times that every viewer can hold, and an operation that fits a line."""
        if span.span_id in self.used:
            span_id = span.span_id
            while span_id in self.used:
                span_id = _hash(span.parent_span_id, span_id)
            span = span._replace(span_id=span_id)
        self.used.add(span.span_id)
        if not 0 <= span.start <= span.end <= LAST_TIME:
            start = min(max(span.start, 0), LAST_TIME)
            span = span._replace(start=start, end=min(max(span.end, start), LAST_TIME))
        if len(span.operation) > LONGEST_OPERATION:
            span = span._replace(operation=f"{span.operation[: LONGEST_OPERATION - 1]}…")
        return span

    def _usual_service(self, span: Span) -> str:
        if span.source == "foreign":  # several components may have had a part in it
            return str(span.attributes.get(v.SERVICE_NAME) or span.source)
        if span.source != "object":
            return span.source
        kind = self.kinds.get((span.key.group, span.key.resource))
        return kind or group_resource(span.key.group, span.key.resource)

    def _identity(self, key: ObjectKey) -> Attributes:
        known = self.identities.get(key)
        if known is None:
            known = self.identities[key] = identifying(key)
        return known


def _writing(tree: Tree, addresses: Addresses, stored: bytes) -> _Writing:
    return _Writing(
        addresses=addresses,
        stored=stored,
        root=tree.root.key,
        asked=tree.asked or tree.root.key,
        times=(tree.start, tree.end),
        kinds=tree.kinds,
        pen=pen_of(tree),
        cuts=_cuts_by_place(tree),
        last_windows={node.key: node.windows[-1] for node in shown_nodes(tree) if node.windows},
    )


def _cuts_by_place(tree: Tree) -> dict[str, list[Truncation]]:
    """What was left out, by the object at which it is told: the root where that is not in the tree."""
    if not tree.truncated:
        return {}
    places = {str(node.key) for node in shown_nodes(tree)}
    cuts: dict[str, list[Truncation]] = {}
    for cut in tree.truncated:
        place = cut.of if cut.of in places else str(tree.root.key)
        cuts.setdefault(place, []).append(cut)
    return cuts


def _without_kind(words: str, kind: str) -> str:
    """Viewers write the service before the operation, so a kind that is the service need not be told twice."""
    return words.replace(f"{kind} ", "", 1) if kind else words


def _with_tags(attributes: Attributes, label: Label) -> Attributes:
    if label is not USUAL:
        attributes.update(label.tags)
    return attributes


def _window_of(node: Node, link: Span) -> MergedWindow | None:
    """The window in which a link is stored; another object's where a view has moved it (then its stored links hold)."""
    if link.key != node.key:
        return None
    return next((window for window in node.windows if window.trace_id == link.trace_id), None)


def _hash(*parts: bytes) -> bytes:
    return blake2b(b"\0".join(parts), digest_size=identity.SPAN_ID_SIZE).digest()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
