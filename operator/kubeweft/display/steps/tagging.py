"""Add tags to what is shown, or take attributes away from it; what is stored stays as it is."""

from __future__ import annotations

import msgspec

from kubeweft.display.steps.parameters import Template
from kubeweft.display.steps.placeholders import Naming
from kubeweft.display.steps.renaming import Renamed
from kubeweft.display.tree.made import with_tags
from kubeweft.display.tree.trees import Fact, Label, Node, Tree, each_node
from kubeweft.model.spans import Span


def change_tags(
    tree: Tree,
    *,
    add: dict[str, Template] | None = None,
    remove: list[str] | None = None,
    only: list[Renamed] | None = None,
) -> Tree:
    """``add`` tags, by name, of text with placeholders, and ``remove`` attributes; ``only`` on spans of some sources.

    A step that comes later does not find what was removed.
    """
    added, gone = add or {}, frozenset(remove or ())
    wanted = None if only is None else frozenset[str](only)
    naming = Naming(tree, *added.values())

    def of_fact(fact: Fact, node: Node) -> Fact:
        children = tuple([of_fact(child, node) for child in fact.children]) if fact.children else ()
        if wanted is not None and fact.span.source not in wanted:
            return msgspec.structs.replace(fact, children=children)
        tags = {name: naming.of_fact(template, fact, node) for name, template in added.items()}
        return msgspec.structs.replace(
            fact, span=_without(fact.span, gone), children=children, label=_label(fact.label, tags, gone)
        )

    def of_node(node: Node) -> Node:
        facts, links = [tuple([of_fact(f, node) for f in some]) for some in (node.facts, node.links)]
        node = msgspec.structs.replace(node, facts=facts, links=links)
        if wanted is not None and "object" not in wanted:
            return node
        tags = {name: naming.of_object(template, node) for name, template in added.items()}
        return msgspec.structs.replace(
            node, span=_without(node.span, gone), label=_label(node.label, tags, gone)
        )

    return each_node(tree, of_node)


def _label(label: Label, tags: dict[str, str], gone: frozenset[str]) -> Label:
    left = Label(label.service, label.operation, tuple([tag for tag in label.tags if tag[0] not in gone]))
    return with_tags(left, *[(name, value) for name, value in tags.items() if value])


def _without(span: Span, gone: frozenset[str]) -> Span:
    if not gone.intersection(span.attributes):
        return span
    left = {name: value for name, value in span.attributes.items() if name not in gone}
    return msgspec.structs.replace(span, attributes=left)
