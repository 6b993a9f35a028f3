"""Put the spans of other tracing systems where they belong: under the request with their audit ID, at the Pod with their UID.

They keep their own nesting, and a span that belongs to another request than its parent stands under that one. Where a
request is folded with others, what its servers did stands beside it: under it would be taken for more of the same.

The audit log takes the time of a request's end before the server has told everything to whoever traces it (milliseconds).
So a request is shown until the last of what was done for it; its line still tells how long it took itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from kubeweft.display.extensions.wanting import JOIN_MARK, Joined, audit_id_of, is_pod, join_of
from kubeweft.display.tree.changing import enclosing
from kubeweft.display.tree.trees import Fact, Node, Tree, each_node, facts_of, shown_nodes
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, Span

DEEPEST: Final = 40  # spans below each other; what is deeper stands beside: every step goes down by recursion
TRACE_ID: Final = "trace_id"  # of the uppermost span: where the whole trace is found in its own system
KINDS: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
OF_OBJECTS: Final = frozenset({v.CLUSTER, v.NAMESPACE, v.SERVICE_NAME, JOIN_MARK})
"""Attributes that tell on every shown span whose it is, and the mark, which has served."""

Place = tuple[bytes, bytes]
Home = tuple[Joined, str]


def graft_foreign(tree: Tree) -> Tree:
    """Foreign spans under the facts and objects that they belong to; those that belong to nothing shown are left out."""
    if not tree.foreign:
        return tree
    grafts = _Grafts(tree)

    def visit(node: Node) -> Node:
        facts = tuple(_with_requests(node.facts, grafts))
        own = [fact for life in node.lives for fact in grafts.of_pod(node, life.uid)] if is_pod(node) else []
        if own:
            facts = tuple(_merged(facts, own))
        return msgspec.structs.replace(node, facts=facts) if facts != node.facts else node

    return each_node(tree, visit)


class _Where(NamedTuple):
    """Whose the facts made of spans are."""

    key: ObjectKey
    life: int


class _Grafts:
    """The foreign spans of a tree by what they belong to, and how they lie below each other."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._spans = {(span.trace_id, span.span_id): span for span in tree.foreign}
        self._used = {fact.span.span_id for node in shown_nodes(tree) for fact in facts_of(node.facts)}
        self._used |= {link.span.span_id for node in shown_nodes(tree) for link in node.links}
        self._used |= {node.span.span_id for node in shown_nodes(tree)}
        self._known = _homes(tree)
        self._home = self._settled()
        self._roots: dict[Home, list[ForeignSpan]] = {}
        self._children: dict[Place, list[ForeignSpan]] = {}
        for span in sorted(self._spans.values(), key=_order):
            home = self._home.get(_place(span))
            above = _above(span)
            if home is None:
                continue
            if self._home.get(above) == home:
                self._children.setdefault(above, []).append(span)
            else:
                self._roots.setdefault(home, []).append(span)

    def of_request(self, fact: Fact) -> tuple[Fact, ...]:
        """What was done for a request; each only once, should the request be shown twice."""
        home: Home = ("audit-id", audit_id_of(fact))
        roots = self._roots.pop(home, ()) if home[1] else ()
        return tuple([self._fact(root, _Where(fact.span.key, fact.life), is_root=True) for root in roots])

    def of_pod(self, node: Node, uid: str) -> list[Fact]:
        """What was done for a Pod in the time that is shown."""
        life = next((number for number, life in enumerate(node.lives) if life.uid == uid), 0)
        roots = self._roots.pop(("uid", uid), ())
        inside = [root for root in roots if root.start <= self._tree.until and root.end >= self._tree.since]
        return [self._fact(root, _Where(node.key, life), is_root=True) for root in inside]

    def _settled(self) -> dict[Place, Home]:
        """What each span belongs to: what it says itself, else its parent, else what those say that it encloses."""
        homes: dict[Place, Home] = {}
        for span in self._spans.values():
            own = next((home for home in join_of(span).items() if home in self._known), None)
            if own is not None:
                homes[_place(span)] = own
        self._inherit(homes)
        for span in sorted(self._spans.values(), key=_order):
            above, home = _above(span), homes.get(_place(span))
            while home is not None and above in self._spans and above not in homes:
                homes[above] = home
                above = _above(self._spans[above])
        self._inherit(homes)
        return homes

    def _inherit(self, homes: dict[Place, Home]) -> None:
        """Give spans without a home that of the nearest above them that has one."""
        for span in self._spans.values():
            way: dict[Place, None] = {}
            place = _place(span)
            while place in self._spans and place not in homes and place not in way:
                way[place] = None
                place = _above(self._spans[place])
            if place in homes:
                homes.update(dict.fromkeys(way, homes[place]))

    def _fact(self, root: ForeignSpan, where: _Where, *, depth: int = 1, is_root: bool = False) -> Fact:
        children = self._children.pop(_place(root), [])
        if depth >= DEEPEST:
            children = self._flattened(children)
        facts = [self._fact(child, where, depth=depth + 1) for child in children]
        span = self._span(root, where.key, is_root=is_root)
        return Fact(span, span.start, max(span.start, span.end), tuple(facts), life=where.life)

    def _flattened(self, spans: Sequence[ForeignSpan]) -> list[ForeignSpan]:
        flat, index = list(spans), 0
        while index < len(flat):
            flat += self._children.pop(_place(flat[index]), [])
            index += 1
        return sorted(flat, key=_order)

    def _span(self, told: ForeignSpan, key: ObjectKey, *, is_root: bool) -> Span:
        span_id = told.span_id
        while span_id in self._used:
            span_id = blake2b(told.trace_id + span_id, digest_size=identity.SPAN_ID_SIZE).digest()
        self._used.add(span_id)
        return Span(
            told.trace_id,
            span_id,
            told.parent_span_id,
            "foreign",
            key,
            told.name,
            told.start,
            told.end,
            {TRACE_ID: told.trace_id.hex(), **_attributes(told)} if is_root else _attributes(told),
            error=told.error,
        )


def _homes(tree: Tree) -> set[Home]:
    """Everything in a tree that spans can belong to."""
    homes: set[Home] = set()
    for node in shown_nodes(tree):
        homes.update(("audit-id", audit_id_of(fact)) for fact in facts_of(node.facts))
        if is_pod(node):
            homes.update(("uid", life.uid) for life in node.lives)
    return homes - {("audit-id", ""), ("uid", "")}


def _with_requests(facts: Iterable[Fact], grafts: _Grafts) -> Iterable[Fact]:
    for fact in facts:
        if fact.span.source == "foreign":
            yield fact
            continue
        children = tuple(_with_requests(fact.children, grafts)) if fact.children else ()
        grafted = grafts.of_request(fact)
        if grafted and not fact.folds:
            end = max(fact.end, *[one.end for one in facts_of(grafted)])
            yield enclosing(fact, fact.start, end, (*children, *grafted))
            continue
        same = len(children) == len(fact.children) and all(map(_is, children, fact.children))
        yield fact if same else fact.holding(children)
        yield from grafted


def _merged(facts: Sequence[Fact], grafted: Iterable[Fact]) -> list[Fact]:
    """Each before the first fact that is later, so that the order of the others stays what it is."""
    waiting = sorted(grafted, key=lambda fact: (fact.start, -fact.end, fact.span.span_id))
    merged: list[Fact] = []
    for fact in facts:
        while waiting and waiting[0].start < fact.start and waiting[0].life <= fact.life:
            merged.append(waiting.pop(0))
        merged.append(fact)
    return [*merged, *waiting]


def _attributes(span: ForeignSpan) -> Attributes:
    told: Attributes = {v.SERVICE_NAME: span.service}
    if span.kind in KINDS:
        told["span.kind"] = KINDS[span.kind]
    for attributes in (span.attributes, span.resource):
        for name, value in attributes.items():
            if name not in OF_OBJECTS:
                told.setdefault(name, value)
    return told


def _is(new: Fact, old: Fact) -> bool:
    return new is old


def _place(span: ForeignSpan) -> Place:
    return span.trace_id, span.span_id


def _above(span: ForeignSpan) -> Place:
    return span.trace_id, span.parent_span_id


def _order(span: ForeignSpan) -> tuple[int, int, bytes, bytes]:
    return span.start, -span.end, span.trace_id, span.span_id
