"""What stands under what in a story, and why, in short names."""

from __future__ import annotations

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.made import SHOWN_BECAUSE, tag
from kubeweft.display.tree.trees import Fact, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from memory_reader import story_of
from span_builders import weave


def causes(target: ObjectKey, *seen: Observation, within: Duration | None = None) -> dict[str, str]:
    """``pod/verb`` → what it stands under, and why, for everything that has a cause."""
    tree = story_of(target, weave(*seen))
    nested = nest_causes(tree) if within is None else nest_causes(tree, within=within)
    found: dict[str, str] = {}

    def visit(fact: Fact) -> None:
        for child in fact.children:
            if why := tag(child.label, SHOWN_BECAUSE):
                found[name(child)] = f"{name(fact)}: {why}"
            visit(child)

    for node in nodes_of(nested.root):
        for fact in node.facts:
            visit(fact)
    return found


def name(fact: Fact) -> str:
    """``web-1 update`` for a request or an Event, ``web-1 v7`` for a change."""
    if fact.span.source == "change":
        return f"{fact.span.key.name} v{fact.text(v.RESOURCE_VERSION)}"
    return f"{fact.span.key.name} {fact.span.name}"
