"""Take away the links that the tree itself shows, and keep the others once.

A link is written in every window and at both ends, and several rules may make the same. A child that stands under its
owner needs no line that says so, one that stands elsewhere says by which links; what remains are second parents,
peers, and parents outside the tree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree, is_owner_link, link_target, shown_nodes
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey

ROLE_RANK = {"Parent": 0, "Peer": 1, "Child": 2}


class _Link(NamedTuple):
    """A link with what decides about it."""

    role: str
    target: ObjectKey
    fact: Fact


def consume_links(tree: Tree) -> Tree:
    """Links that are not told by the nesting, one for each target, role and class, with all rules that make it."""
    shown = frozenset(node.key for node in shown_nodes(tree))
    return dataclasses.replace(tree, root=_consume(tree.root, owner=None, shown=shown))


def _consume(node: Node, *, owner: ObjectKey | None, shown: frozenset[ObjectKey]) -> Node:
    links = _merged(node.links)
    down: dict[ObjectKey, list[Fact]] = {}
    for link in links:
        if link.role == "Child":
            down.setdefault(link.target, []).append(link.fact)
    children = []
    for child in node.children:
        consumed = _consume(child, owner=node.key, shown=shown)
        via = _via(child, down.get(child.key, ()))
        children.append(consumed if via == consumed.via else msgspec.structs.replace(consumed, via=via))
    told = {("Child", child.key) for child in node.children} | {("Parent", owner)}
    kept = [
        link.fact for link in links if (link.role, link.target) not in told and not _is_left_out(link, shown)
    ]
    return msgspec.structs.replace(node, links=tuple(kept), children=tuple(children))


def _is_left_out(link: _Link, shown: frozenset[ObjectKey]) -> bool:
    """A child that is not there: a limit or the range did that, and said so."""
    return link.role == "Child" and link.target not in shown


def _via(child: Node, down: Sequence[Fact]) -> tuple[Fact, ...]:
    """The links by which a child stands where it does; none if by owner reference, which goes without saying."""
    if not down:
        return child.via  # told before
    return () if any(is_owner_link(link) for link in down) else tuple(down)


def _merged(links: Iterable[Fact]) -> list[_Link]:
    """One link for each role, target and class: the earliest, of an owner reference if there is one."""
    same: dict[tuple[int, ObjectKey, str], list[Fact]] = {}
    for link in sorted(links, key=lambda f: (not is_owner_link(f), f.start, f.span.trace_id, f.span.span_id)):
        rank = ROLE_RANK.get(link.text(v.LINK_ROLE), 9)
        same.setdefault((rank, link_target(link.span), link.text(v.LINK_CLASS)), []).append(link)
    return [
        _Link(facts[0].text(v.LINK_ROLE), target, _with_rules(facts))
        for (_, target, _), facts in sorted(same.items(), key=lambda one: one[0])
    ]


def _with_rules(links: list[Fact]) -> Fact:
    rules = tuple(sorted({rule for link in links for rule in (*link.rules, link.text(v.LINK_RULE)) if rule}))
    first = links[0]
    return first if first.rules == rules else msgspec.structs.replace(first, rules=rules)
