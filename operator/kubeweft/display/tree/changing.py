"""Ways to change every fact or label of a tree, for steps that look at one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kubeweft.display.tree.trees import Fact, Label, Node, Tree, each_node, is_gathered


def each_list(tree: Tree, change: Callable[[tuple[Fact, ...]], tuple[Fact, ...]]) -> Tree:
    """A tree in which ``change`` has been applied to the facts of every object."""

    def visit(node: Node) -> Node:
        facts = change(node.facts)
        return node if facts is node.facts else msgspec.structs.replace(node, facts=facts)

    return each_node(tree, visit)


def each_label(tree: Tree, label: Callable[[Fact | Node], Label]) -> Tree:
    """A tree with a new label on every object and fact, links too; ``label`` sees the part with its old one."""

    def of_fact(fact: Fact) -> Fact:
        children = tuple([of_fact(child) for child in fact.children]) if fact.children else ()
        return relabelled(fact, label(fact), children)

    def of_node(node: Node) -> Node:
        return msgspec.structs.replace(
            node,
            facts=tuple([of_fact(fact) for fact in node.facts]),
            links=tuple([of_fact(link) for link in node.links]),
            label=label(node),
        )

    return each_node(tree, of_node)


def relabelled(fact: Fact, label: Label, children: tuple[Fact, ...]) -> Fact:
    """The fact with another label and these under it, made without the cost of a general ``replace``."""
    return Fact(
        fact.span, fact.start, fact.end, children, fact.folds, fact.life, fact.rules, label, fact.finer
    )


def enclosing(fact: Fact, start: int, end: int, children: tuple[Fact, ...]) -> Fact:
    """The fact at another time, with these under it."""
    return Fact(fact.span, start, end, children, fact.folds, fact.life, fact.rules, fact.label, fact.finer)


def dissolved(facts: Iterable[Fact]) -> Iterator[Fact]:
    """Facts without the spans that a view gathered them under."""
    for fact in facts:
        if is_gathered(fact):
            yield from dissolved(fact.children)
        else:
            yield fact
