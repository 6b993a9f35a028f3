"""Take away the links that the tree itself shows, and keep the others once.

A link is written in every window and at both ends, and several rules may make the same. A child that stands under its
owner needs no line that says so, one that stands elsewhere says by which links; what remains are second parents,
peers, and parents outside the tree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from kubeweft.display.trees import Fact, Node, Tree, is_owner_link, link_target, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey

ROLE_RANK = {"Parent": 0, "Peer": 1, "Child": 2}


def consume_links(tree: Tree) -> Tree:
    """Links that are not told by the nesting, one for each target, role and class, with all rules that make it."""
    shown = frozenset(node.key for node in nodes_of(tree.root))
    return dataclasses.replace(tree, root=_consume(tree.root, owner=None, shown=shown))


def _consume(node: Node, *, owner: ObjectKey | None, shown: frozenset[ObjectKey]) -> Node:
    links = _merged(node.links)
    children = [
        dataclasses.replace(_consume(child, owner=node.key, shown=shown), via=_via(child, links))
        for child in node.children
    ]
    told = {("Child", child.key) for child in node.children} | {("Parent", owner)}
    kept = [
        link
        for link in links
        if (_role(link), link_target(link.span)) not in told and not _is_left_out(link, shown)
    ]
    return dataclasses.replace(node, links=tuple(kept), children=tuple(children))


def _role(link: Fact) -> str:
    return link.text(v.LINK_ROLE)


def _is_left_out(link: Fact, shown: frozenset[ObjectKey]) -> bool:
    """A child that is not there: a limit or the range did that, and said so."""
    return _role(link) == "Child" and link_target(link.span) not in shown


def _via(child: Node, links: Iterable[Fact]) -> tuple[Fact, ...]:
    """The links by which a child stands where it does; none if by owner reference, which goes without saying."""
    down = [link for link in links if _role(link) == "Child" and link_target(link.span) == child.key]
    if not down:
        return child.via  # told before
    return () if any(is_owner_link(link) for link in down) else tuple(down)


def _merged(links: Iterable[Fact]) -> list[Fact]:
    """One link for each role, target and class: the earliest, of an owner reference if there is one."""
    same: dict[tuple[int, ObjectKey, str], list[Fact]] = {}
    for link in sorted(links, key=lambda f: (not is_owner_link(f), f.start, f.span.trace_id, f.span.span_id)):
        key = ROLE_RANK.get(_role(link), 9), link_target(link.span), link.text(v.LINK_CLASS)
        same.setdefault(key, []).append(link)
    return [_with_rules(same[key]) for key in sorted(same)]


def _with_rules(links: list[Fact]) -> Fact:
    rules = {rule for link in links for rule in (*link.rules, link.text(v.LINK_RULE)) if rule}
    return dataclasses.replace(links[0], rules=tuple(sorted(rules)))
