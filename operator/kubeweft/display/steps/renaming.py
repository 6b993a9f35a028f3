"""Call spans otherwise than usual: the service, by which viewers colour, and the operation, which is the line they show."""

from __future__ import annotations

from typing import Literal

import msgspec

from kubeweft.display.steps.parameters import Template
from kubeweft.display.steps.placeholders import Naming
from kubeweft.display.tree.changing import relabelled
from kubeweft.display.tree.trees import Fact, Label, Node, Tree, each_node

Renamed = Literal["object", "request", "change", "event", "link", "gap", "group", "foreign"]
NOTHING = Template.read("")


def rename(
    tree: Tree,
    *,
    service: Template = NOTHING,
    operation: Template = NOTHING,
    only: list[Renamed] | None = None,
) -> Tree:
    """New names from placeholders for all spans, or ``only`` for those of some sources; what is filled with nothing stays
    as it was."""
    wanted = None if only is None else frozenset[str](only)
    naming = Naming(tree, service, operation)

    def name(part: Fact | Node, node: Node) -> Label:
        old, new = part.label, []
        for template in (service, operation):
            if not template.text:
                new.append("")
            elif isinstance(part, Node):
                new.append(naming.of_object(template, part))
            else:
                new.append(naming.of_fact(template, part, node))
        return Label(new[0] or old.service, new[1] or old.operation, old.tags)

    def of_fact(fact: Fact, node: Node) -> Fact:
        children = tuple([of_fact(child, node) for child in fact.children]) if fact.children else ()
        label = name(fact, node) if wanted is None or fact.span.source in wanted else fact.label
        return relabelled(fact, label, children)

    def of_node(node: Node) -> Node:
        label = name(node, node) if wanted is None or "object" in wanted else node.label
        facts, links = [tuple([of_fact(f, node) for f in some]) for some in (node.facts, node.links)]
        return msgspec.structs.replace(node, facts=facts, links=links, label=label)

    return each_node(tree, of_node)
