"""Keep, of the requests on whole collections, those that ended an object of this tree.

``deletecollection`` is one request on no object, so nothing joins it by UID: it counts where an object of the type and
namespace began to go while it ran, and no other request explains that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from kubeweft.display.trees import Fact, Node, Tree, nodes_of, succeeded
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS


def keep_deleting_collections(tree: Tree) -> Tree:
    """No ``deletecollection`` at the root but those that took objects of the tree with them."""
    if not any(_is_collection_request(fact) for fact in tree.root.facts):
        return tree
    ends = [(node.key, fact.start) for node in nodes_of(tree.root) for fact in _unexplained_ends(node)]
    facts = [f for f in tree.root.facts if not _is_collection_request(f) or _took_any(f, ends)]
    return dataclasses.replace(tree, root=dataclasses.replace(tree.root, facts=tuple(facts)))


def _is_collection_request(fact: Fact) -> bool:
    return fact.span.source == "request" and not fact.span.key.name


def _unexplained_ends(node: Node) -> Iterator[Fact]:
    for fact in node.facts:
        ends = '"/metadata/deletionTimestamp"' in fact.text(v.PATCH) or fact.text(v.CHANGE_TYPE) == "Deleted"
        if ends and fact.span.source == "change":
            yield fact


def _took_any(request: Fact, ends: list[tuple[ObjectKey, int]]) -> bool:
    collection = request.span.key
    earliest = request.start - request.start % NANOSECONDS
    return succeeded(request.span) and any(
        key[:3] == collection[:3]
        and collection.namespace in ("", key.namespace)
        and earliest <= time <= request.end + NANOSECONDS
        for key, time in ends
    )
