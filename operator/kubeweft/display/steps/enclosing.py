"""Let a cause last until the last of what it caused: its bar then shows how far it reached."""

from __future__ import annotations

from kubeweft.display.tree.changing import each_list, enclosing
from kubeweft.display.tree.trees import Fact, Tree


def enclose_children(tree: Tree) -> Tree:
    """Every fact ends with the last of what stands under it; the line of a request still tells how long it took itself."""
    return each_list(tree, lambda facts: tuple([_enclosing(fact) for fact in facts]))


def _enclosing(fact: Fact) -> Fact:
    if not fact.children:
        return fact
    children = tuple([_enclosing(child) for child in fact.children])
    end = max([fact.end, *[child.end for child in children]])
    start = min([child.start for child in children]) if fact.folds == "group" else fact.start
    return enclosing(fact, start, end, children)
