"""Keep what lies in the time asked for.

Overlap decides, not the start: a request that began before the range still counts, and so does what is known only to
the second. Objects that were stored but have nothing inside go, unless they own something that has.
"""

from __future__ import annotations

import dataclasses

from kubeweft.display.tree.trees import FOREVER, Fact, Node, Tree, latest_end


def clip_to_range(tree: Tree) -> Tree:
    """The tree between ``since`` and ``until``, both included; the root always stays."""
    if tree.since <= 0 and tree.until >= FOREVER:
        return tree
    linked = tuple([_clip(node, tree) for node in tree.linked])
    return dataclasses.replace(tree, root=_clip(tree.root, tree), linked=linked)


def _clip(node: Node, tree: Tree) -> Node:
    facts = tuple([fact for fact in node.facts if _inside(fact, tree)])
    clipped = [_clip(child, tree) for child in node.children]
    children = tuple(
        [new for old, new in zip(node.children, clipped, strict=True) if not old.facts or _is_filled(new)]
    )
    used = {fact.span.trace_id for fact in facts} | {c.span.trace_id for f in facts for c in f.children}
    windows = tuple(
        [
            window
            for window in node.windows
            if window.overlaps(tree.since, tree.until) or window.trace_id in used
        ]
    )
    traces = {window.trace_id for window in windows}
    links = tuple([link for link in node.links if link.span.trace_id in traces])
    return dataclasses.replace(node, facts=facts, children=children, windows=windows, links=links)


def _inside(fact: Fact, tree: Tree) -> bool:
    return fact.start <= tree.until and latest_end(fact) >= tree.since


def _is_filled(node: Node) -> bool:
    return bool(node.facts or node.children)
