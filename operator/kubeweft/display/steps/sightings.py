"""Hide sightings of versions that a change already tells of.

A sighting is a snapshot taken when an object was met in a list. It is worth showing only where nothing else tells
how the object came to that version.
"""

from __future__ import annotations

import msgspec

from kubeweft.display.tree.trees import Fact, Node, Tree, each_node, facts_of
from kubeweft.model import vocabulary as v


def hide_known_sightings(tree: Tree) -> Tree:
    """No sighting whose UID and version are those of a change."""
    return each_node(tree, _hide)


def _hide(node: Node) -> Node:
    if not any(map(_is_sighting, node.facts)):
        return node
    changes = [fact for fact in facts_of(node.facts) if fact.span.source == "change"]
    known = {_version(change) for change in changes if not _is_sighting(change)}
    facts = [fact for fact in node.facts if not (_is_sighting(fact) and _version(fact) in known)]
    return node if len(facts) == len(node.facts) else msgspec.structs.replace(node, facts=tuple(facts))


def _is_sighting(fact: Fact) -> bool:
    return fact.span.source == "change" and fact.text(v.CHANGE_TYPE) == "Sighting"


def _version(fact: Fact) -> tuple[str, str]:
    return fact.text(v.UID), fact.text(v.RESOURCE_VERSION)
