"""The tree that a person sees: objects, what happened to them, the objects they own, and those linked with them.

Values only. A :class:`Fact` is a stored span in its place in the tree; it keeps the span as it was stored, beside the
times it is shown with. Steps never change a tree, they make a new one.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.plan import NAMESPACES
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import NANOSECONDS

FOREVER = 2**63 - 1
NAMESPACE_CONTROLLER = ":namespace-controller"  # so ends the account of who empties namespaces that are to go
OWNER_RULE = "owner"  # the name under which owner references are followed, with a LinkRule or without

Folds = Literal["", "conflicts", "series", "group"]
"""Why the children of a fact stand under it: they are more of the same (``""``: it caused them; ``group``: a view
gathered them under a span that it made)."""

LinkedMode = Literal["auto", "none", "names", "full"]
"""What is told of objects that are linked, but are no children: ``names`` in a line at the object, ``full`` also what
happened to each, ``auto`` that of those only to which something happened that may matter, ``none`` not even names."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a trace viewer is to call a span where a view decides otherwise than usual; empty fields decide nothing."""

    service: str = ""
    operation: str = ""
    tags: tuple[tuple[str, str], ...] = ()


USUAL = Label()


class Finer(NamedTuple):
    """When something was that tells only its second: nanoseconds, and by what that is known (see ``SHOWN_PLACED``)."""

    time: int
    by: str


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One span in its place. ``life`` is an index into the lives of its object; ``rules`` made it, if it is a link.

    Views may put facts of one object under those of another; ``span.key`` tells whose a fact is. A whole object may
    stand as a fact too: then ``span`` is its object span. ``start`` is what the span tells; where something else tells
    more precisely when that was, ``finer`` does.
    """

    span: Span
    start: int
    end: int
    children: tuple[Fact, ...] = ()
    folds: Folds = ""
    life: int = 0
    rules: tuple[str, ...] = ()
    label: Label = USUAL
    finer: Finer | None = None

    def text(self, name: str) -> str:
        """An attribute as text, empty where it is missing."""
        value = self.span.attributes.get(name, "")
        return value if value.__class__ is str else str(value)

    def number(self, name: str) -> int:
        """An attribute as a whole number, 0 where it is missing or none."""
        return number_of(self.span, name)

    def moved(self, start: int, end: int) -> Fact:
        """The fact at another time."""
        return msgspec.structs.replace(self, start=start, end=end)

    def known(self, finer: Finer) -> Fact:
        """The fact with what is known of its time beside its own."""
        return msgspec.structs.replace(self, finer=finer)

    def holding(self, children: tuple[Fact, ...]) -> Fact:
        """The fact with these under it."""
        return msgspec.structs.replace(self, children=children)


@dataclass(frozen=True, slots=True)
class Life:
    """One of the objects that bore a name, told apart by UID. Times are None where nobody saw them."""

    uid: str
    created: int | None = None
    deleted: int | None = None


class MergedWindow(NamedTuple):
    """One stored trace of an object: it begins at ``start`` and lasts ``length`` nanoseconds."""

    start: int
    length: int
    trace_id: bytes

    def overlaps(self, since: int, until: int) -> bool:
        """Whether the window has a moment between two times, both included."""
        return self.start + self.length > since and self.start <= until


class Node(msgspec.Struct, frozen=True, gc=False):
    """One object with all its windows merged: ``span`` is the object span of the first.

    ``via`` are the links by which it stands where it does: under a parent that is not its owner, or beside the tree.
    """

    key: ObjectKey
    kind: str
    span: Span
    start: int
    end: int
    windows: tuple[MergedWindow, ...]
    facts: tuple[Fact, ...] = ()
    links: tuple[Fact, ...] = ()
    children: tuple[Node, ...] = ()
    lives: tuple[Life, ...] = ()
    via: tuple[Fact, ...] = ()
    label: Label = USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """How linked objects are shown: at most so many of them, each with at most so many facts."""

    mode: LinkedMode = "auto"
    objects: int = 20
    facts: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncation:
    """Something left out on purpose: ``more`` of it, around ``of``, beside the ``shown``; ``hint`` says how to see it.

    Where it is objects, ``kinds`` tells how many there are of each kind, most first.
    """

    what: str
    of: str
    shown: int
    more: int
    hint: str
    kinds: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One root with everything under it, between two times (nanoseconds), and what had to be left out.

    ``linked`` are objects that are no children of any, but linked with one; what is linked with them is not followed.
    ``kinds`` names the kinds of (group, resource), as far as they are known, also of objects that are only named.
    ``asked`` is the object that somebody asked for, where the tree begins above it (None: the root).
    ``foreign`` are spans of other tracing systems that a step may put into the tree.
    """

    root: Node
    linked: tuple[Node, ...] = ()
    linking: Linking = Linking()
    kinds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    since: int = 0
    until: int = FOREVER
    truncated: tuple[Truncation, ...] = ()
    asked: ObjectKey | None = None
    foreign: tuple[ForeignSpan, ...] = ()

    @property
    def start(self) -> int:
        """When the first of everything shown begins, linked objects too."""
        return min([self.root.start, *(node.start for node in self.linked)])

    @property
    def end(self) -> int:
        """When the last of everything shown ends, linked objects too."""
        return max([self.root.end, *(node.end for node in self.linked)])


Step = Callable[[Tree], Tree]


def is_gathered(fact: Fact) -> bool:
    """Whether it is no fact itself: a span that a view made to gather facts, or an object that stands as one."""
    return fact.span.source in ("group", "object")


def fact_of(span: Span) -> Fact:
    """A span as a fact, at the time it was stored with."""
    start, end = span.start, span.end
    return Fact(span, start, max(start, end))


def text_of(span: Span, name: str) -> str:
    """An attribute as text, empty where it is missing."""
    value = span.attributes.get(name, "")
    return value if value.__class__ is str else str(value)


def number_of(span: Span, name: str) -> int:
    """An attribute as a whole number, 0 where it is missing or none."""
    value = span.attributes.get(name, 0)
    if isinstance(value, str):  # some trace stores give numbers back as text
        return int(value) if value.isdecimal() else 0
    return int(value)


def succeeded(request: Span) -> bool:
    """Whether an audited request was carried out (2xx and no dry run)."""
    return 200 <= number_of(request, v.CODE) < 300 and text_of(request, v.DRY_RUN).lower() != "true"


def version_number(version: str) -> int:
    """A resourceVersion for comparing within one resource type; -1 where it is opaque."""
    return int(version) if version.isdecimal() else -1


def is_whole_second(fact: Fact) -> bool:
    """Whether the fact tells only the second in which it was (metav1.Time), so that it may be up to 1 s later."""
    if fact.start != fact.end or fact.start % NANOSECONDS:
        return False
    source = fact.span.source
    return source == "event" or (source == "change" and text_of(fact.span, v.TIME_SOURCE) in ("object", ""))


def latest_end(fact: Fact) -> int:
    """The latest moment to which the fact may reach."""
    return fact.end + NANOSECONDS - 1 if is_whole_second(fact) else fact.end


def link_target(link: Span) -> ObjectKey:
    """The object at the other end of a link span."""
    return ObjectKey(
        text_of(link, v.LINK_CLUSTER) or link.key.cluster,
        text_of(link, v.LINK_GROUP),
        text_of(link, v.LINK_RESOURCE),
        text_of(link, v.LINK_NAMESPACE),
        text_of(link, v.LINK_NAME),
    )


def namespace_of(key: ObjectKey) -> ObjectKey | None:
    """The Namespace that an object is in, None for what is in none."""
    return ObjectKey(key.cluster, *NAMESPACES, "", key.namespace) if key.namespace else None


def is_namespace(key: ObjectKey) -> bool:
    """Whether an object is a Namespace."""
    return bool(key.name) and (key.group, key.resource) == NAMESPACES


def is_of_namespace(fact: Fact, key: ObjectKey) -> bool:
    """Whether a fact is not of the object of this key (or of one beside it), but of a Namespace around it."""
    own = fact.span.key
    return bool(own.name) and (own.group, own.resource) == NAMESPACES != (key.group, key.resource)


def is_owner_link(link: Fact | Span) -> bool:
    """Whether a link is an owner reference, at either end."""
    span = link.span if isinstance(link, Fact) else link
    return text_of(span, v.LINK_RULE) in (OWNER_RULE, "")


def each_node(tree: Tree, change: Callable[[Node], Node]) -> Tree:
    """A tree in which ``change`` has been applied to every object, owned ones before their owners."""

    def visit(node: Node) -> Node:
        children = tuple([visit(child) for child in node.children])
        same = all(map(operator.is_, children, node.children))
        return change(node if same else msgspec.structs.replace(node, children=children))

    return dataclasses.replace(
        tree, root=visit(tree.root), linked=tuple([visit(node) for node in tree.linked])
    )


def shown_nodes(tree: Tree) -> Iterator[Node]:
    """All objects of a tree in display order, the linked ones last."""
    yield from nodes_of(tree.root)
    yield from tree.linked


def nodes_of(node: Node) -> Iterator[Node]:
    """The object and all under it, in display order."""
    yield node
    for child in node.children:
        yield from nodes_of(child)


def facts_of(facts: tuple[Fact, ...]) -> Iterator[Fact]:
    """Facts and all nested in them, in display order."""
    for fact in facts:
        yield fact
        yield from facts_of(fact.children)
