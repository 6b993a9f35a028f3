"""Keep what lies in the time asked for.

Overlap decides, not the start: a request that began before the range still counts, and so does what is known only to
the second. Objects that were stored but have nothing inside go, unless they own something that has, or are Pods whose
programs tell something of that time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Set

import msgspec

from kubeweft.display.extensions.wanting import is_pod, join_of
from kubeweft.display.tree.trees import FOREVER, Fact, Node, Tree, latest_end


def clip_to_range(tree: Tree) -> Tree:
    """The tree between ``since`` and ``until``, both included; the root always stays."""
    if tree.since <= 0 and tree.until >= FOREVER:
        return tree
    at_work = {
        join_of(span).get("uid", "")
        for span in tree.foreign
        if span.start <= tree.until and span.end >= tree.since
    }
    linked = tuple([_clip(node, tree, at_work) for node in tree.linked])
    return dataclasses.replace(tree, root=_clip(tree.root, tree, at_work), linked=linked)


def _clip(node: Node, tree: Tree, at_work: Set[str]) -> Node:
    facts = tuple([fact for fact in node.facts if _inside(fact, tree)])
    clipped = [_clip(child, tree, at_work) for child in node.children]
    children = tuple(
        [
            new
            for old, new in zip(node.children, clipped, strict=True)
            if not old.facts or _is_filled(new) or (is_pod(new) and _is_at_work(new, at_work))
        ]
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
    return msgspec.structs.replace(node, facts=facts, children=children, windows=windows, links=links)


def _inside(fact: Fact, tree: Tree) -> bool:
    return fact.start <= tree.until and latest_end(fact) >= tree.since


def _is_at_work(node: Node, at_work: Set[str]) -> bool:
    return any(life.uid and life.uid in at_work for life in node.lives)


def _is_filled(node: Node) -> bool:
    return bool(node.facts or node.children)
